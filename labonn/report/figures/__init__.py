"""Figures from arrays, as `matplotlib.figure.Figure`; none touches pyplot's global state or opens a window."""

from labonn.report.figures.answers import accuracy_over, confusions, control_chart
from labonn.report.figures.characterisation import (
    flat_field_picture,
    geometry_shifts,
    phase_table_curve,
    photon_transfer_plot,
    psf_grid,
    tile_bars,
)
from labonn.report.figures.frames import frame_with_tiles
from labonn.report.figures.health import dark_frame, light_and_meter, step_response
from labonn.report.figures.kernels import kernels
from labonn.report.figures.maps import feature_maps
from labonn.report.figures.optics import layout, phase_pattern, psf_pairs, sensor_tiles
from labonn.report.figures.recognition import embedding, hardest, overlays
from labonn.report.figures.scores import accuracy_bars, gate_evidence, learning_curve, training_curves
from labonn.report.figures.sweeps import foretold, parallel_coordinates, trade_off
from labonn.report.figures.twin import attribution_bars, twin_residuals

__all__ = [
    "accuracy_bars",
    "accuracy_over",
    "attribution_bars",
    "confusions",
    "control_chart",
    "dark_frame",
    "embedding",
    "feature_maps",
    "flat_field_picture",
    "foretold",
    "frame_with_tiles",
    "gate_evidence",
    "geometry_shifts",
    "hardest",
    "kernels",
    "layout",
    "learning_curve",
    "light_and_meter",
    "overlays",
    "parallel_coordinates",
    "phase_pattern",
    "phase_table_curve",
    "photon_transfer_plot",
    "psf_grid",
    "psf_pairs",
    "sensor_tiles",
    "step_response",
    "tile_bars",
    "trade_off",
    "training_curves",
    "twin_residuals",
]
