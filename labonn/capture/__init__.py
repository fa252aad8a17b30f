"""From an open bench to the student's maps: calibration, registration, the capture loop."""

from labonn.capture.calibrate import calibrate
from labonn.capture.calibration import Calibration
from labonn.capture.loop import CapturedImage, capture
from labonn.capture.registration import Registration
from labonn.capture.retakes import CaptureCounts, Fault
from labonn.capture.scene import scene_of

__all__ = ["Calibration", "CaptureCounts", "CapturedImage", "Fault", "Registration", "calibrate", "capture", "scene_of"]
