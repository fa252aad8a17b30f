"""Figures of what the optics were trained to be."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from labonn.report.figures.canvas import INK, SMALL, bare, sheet

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
    figure = sheet(0.6 + 1.0 * columns, (0.4 + 1.0 * (1 + halves)) * bands)
    grid: NDArray[Any] = figure.subplots((1 + halves) * bands, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for index in range(count):
        band, column = divmod(index, columns)
        rows = grid[(1 + halves) * band : (1 + halves) * (band + 1), column]
        for axes in rows:
            axes.set_axis_on()
            bare(axes)
        reach = max(float(np.abs(signed[index]).max()), 1e-12)
        if signed.ndim == 4:
            rows[0].imshow(np.moveaxis(0.5 + signed[index] / (2 * reach), 0, -1), interpolation="nearest")
        else:
            rows[0].imshow(signed[index], cmap="RdBu_r", vmin=-reach, vmax=reach, interpolation="nearest")
        rows[0].set_title(f"kernel {index}", size=SMALL, color=INK, pad=2)
        for half in range(halves):
            psf = psfs[2 * index + half] if halves == 2 else psfs[index]
            brightest = max(float(psf.max()), 1e-12)
            shown = np.moveaxis(psf / brightest, 0, -1) if psf.ndim == 3 else psf
            rows[1 + half].imshow(shown, cmap="viridis", vmin=0, interpolation="nearest")
    return figure
