"""Figures of what a camera delivers."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from labonn.report.figures.canvas import NEGATIVE_SIGN, NORMAL, POSITIVE_SIGN, SMALL, sheet, tidy
from labonn.report.style import SKY, YELLOW

DRAWN_PX = 1000  # about as many along a frame's shorter side


def frame_with_tiles(frame: NDArray[Any], tile_outlines: NDArray[Any]) -> Figure:
    """Draw a frame and where its tiles are.

    Parameters
    ----------
    frame
        (H, W), counts.
    tile_outlines
        (T, 4, 2): the corners of each tile as (y, x), in camera pixels.
    """
    height, width = frame.shape
    figure = sheet(7.0, 0.3 + 6.0 * height / width)
    axes = figure.subplots()
    tidy(axes)
    darkest, brightest = float(frame.min()), float(np.percentile(frame, 99.9))
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    image = axes.imshow(_fewer(frame), extent=extent, cmap="gray", vmin=darkest, vmax=max(brightest, darkest + 1))
    for index, corners in enumerate(np.asarray(tile_outlines, dtype=float)):
        colour, sign = (SKY, POSITIVE_SIGN) if index % 2 == 0 else (YELLOW, NEGATIVE_SIGN)
        axes.add_patch(Polygon(corners[:, ::-1], fill=False, ec=colour, lw=1.0))
        y, x = corners.min(axis=0)
        label = axes.annotate(
            f"{index // 2}{sign}", (x, y), (3, -3), textcoords="offset points", va="top", size=SMALL, color=colour
        )
        label.set_path_effects([withStroke(linewidth=2.5, foreground="black")])
    axes.set_xlabel("column (camera px)")
    axes.set_ylabel("row (camera px)")
    bar = figure.colorbar(image, ax=axes, shrink=0.85, extend="max")
    bar.ax.tick_params(labelsize=SMALL)
    bar.set_label("counts", size=NORMAL)
    return figure


def _fewer(frame: NDArray[Any]) -> NDArray[Any]:
    """Means over whole squares of pixels, of frames of many more than are drawn: drawing all takes seconds."""
    side = max(1, min(frame.shape) // DRAWN_PX)
    rows, columns = (length // side for length in frame.shape)
    squares = frame[: rows * side, : columns * side].reshape(rows, side, columns, side)
    mean: NDArray[Any] = squares.mean(axis=(1, 3))
    return mean
