"""Figures from arrays, as `matplotlib.figure.Figure`; none touches pyplot's global state or opens a window."""

from labonn.report.figures.frames import frame_with_tiles
from labonn.report.figures.health import dark_frame, light_and_meter, step_response
from labonn.report.figures.maps import feature_maps
from labonn.report.figures.optics import layout, phase_pattern, psf_pairs
from labonn.report.figures.scores import accuracy_bars, training_curves

__all__ = [
    "accuracy_bars",
    "dark_frame",
    "feature_maps",
    "frame_with_tiles",
    "layout",
    "light_and_meter",
    "phase_pattern",
    "psf_pairs",
    "step_response",
    "training_curves",
]
