"""From an open bench to the student's maps: calibration, registration, the capture loop."""

from labonn.capture.before import Pattern
from labonn.capture.calibrate import Calibrator
from labonn.capture.calibration import Calibration
from labonn.capture.light import light
from labonn.capture.loop import CapturedImage, capture
from labonn.capture.ready import Used, ready_for_captures
from labonn.capture.registration import Registration
from labonn.capture.retakes import CaptureCounts, Fault
from labonn.capture.scene import scene_of

__all__ = [
    "Calibration",
    "Calibrator",
    "CaptureCounts",
    "CapturedImage",
    "Fault",
    "Pattern",
    "Registration",
    "Used",
    "capture",
    "light",
    "ready_for_captures",
    "scene_of",
]
