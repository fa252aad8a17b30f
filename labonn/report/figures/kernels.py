"""Figures of what the optics were trained to be."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from labonn.report.figures.canvas import NEGATIVE_SIGN, POSITIVE_SIGN
from labonn.report.figures.grid import Grid

LARGEST = 64  # kernels drawn; of more, the first
COLUMNS = 8


def kernels(signed: NDArray[Any], psfs: NDArray[Any]) -> Figure:
    """Draw signed kernels, and below each the two PSFs that make it.

    Parameters
    ----------
    signed
        (K, h, w), or (K, 3, h, w) in red, green, blue; red is positive and blue negative, or in colour grey is zero.
    psfs
        (2 K, h, w) or (2 K, 3, h, w), non-negative, positive halves first; (1, ...) of a plain lens, whose one tap is
        drawn with the nothing around it.
    """
    if signed.shape[-1] == 1:
        signed, psfs = (np.pad(taps, [(0, 0)] * (taps.ndim - 2) + [(1, 1)] * 2) for taps in (signed, psfs))
    count = min(len(signed), LARGEST)
    columns = min(count, COLUMNS)
    bands = -(-count // columns)
    halves = 1 if len(psfs) == 1 else 2
    rows = 1 + halves
    grid = Grid(signed.shape[-2:], columns, width_in=0.9, above=[row % rows == 0 for row in range(rows * bands)])
    for index in range(count):
        band, column = divmod(index, columns)
        share = signed[index] / max(float(np.abs(signed[index]).max()), 1e-12)
        shown = np.moveaxis(0.5 + share / 2, 0, -1) if signed.ndim == 4 else share
        grid.draw(rows * band, column, shown, above=f"kernel {index}", cmap="RdBu_r", vmin=-1, vmax=1)
        for half in range(halves):
            psf = psfs[2 * index + half] if halves == 2 else psfs[index]
            shown = np.moveaxis(psf / max(float(psf.max()), 1e-12), 0, -1) if psf.ndim == 3 else psf
            grid.draw(rows * band + 1 + half, column, shown, cmap="viridis", vmin=0)
    for band in range(bands):
        grid.name_row(rows * band, "signed")
        for half, sign in zip(range(halves), (POSITIVE_SIGN, NEGATIVE_SIGN), strict=False):
            grid.name_row(rows * band + 1 + half, f"PSF {sign}" if halves == 2 else "PSF")
    return grid.figure
