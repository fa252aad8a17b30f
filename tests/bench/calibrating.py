"""A bench calibrated from nothing for a pattern, as a deployment does it."""

from pathlib import Path

import numpy as np

from labonn.capture import Calibration, Calibrator, Pattern, ready_for_captures
from labonn.design import Layout
from labonn.instruments import Bench


def calibrate(
    bench: Bench,
    lab: Path,
    layout: Layout,
    phase_rad: np.ndarray,
    images: np.ndarray,
    predicted: np.ndarray,
    steps: list[str] | None = None,
) -> Calibration:
    """Calibrate for images (N, h, w) whose maps (N, T, h, w) are predicted; give the names of the steps, too."""
    pattern = Pattern(phase_rad, images, predicted)
    calibrator = Calibrator(bench, lab, "trial", layout, images.shape[1:], pattern)
    return ready_for_captures(calibrator, (lambda _: None) if steps is None else steps.append)[0]
