"""Figures of the optical twin: what it leaves of the captures, and what each departure from the design costs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from labonn.report.figures.canvas import INK, NEGATIVE_SIGN, NORMAL, POSITIVE_SIGN, SMALL, sheet, tidy
from labonn.report.figures.grid import Grid
from labonn.report.style import BLUE, GREY

_COLUMNS = 8
LARGEST = 96  # tiles that are drawn; of more, those that are explained worst
_COLOURS = "RGB"


def twin_residuals(residual: NDArray[Any], held_out_r2: Sequence[float], *, colours: int = 1) -> Figure:
    """Draw where the twin errs: of each tile, the root mean square on captures left out, place by place.

    Parameters
    ----------
    residual
        (T, H, W), in the student's units; all tiles share one scale, which ends at the 99.5th percentile.
    held_out_r2
        (T,), written above each.
    colours
        How many of each tile there are, one after the other.
    """
    pictures = np.asarray(residual, dtype=float)
    chosen = np.sort(np.argsort(held_out_r2)[:LARGEST])
    pictures = pictures[chosen]
    columns = min(_COLUMNS, len(pictures))
    rows = -(-len(pictures) // columns)
    grid = Grid(pictures.shape[1:], columns, width_in=1.1, above=[True] * rows, beside_in=0.7)
    top = float(np.percentile(pictures, 99.5)) or 1.0
    image = None
    for place, (tile, picture) in enumerate(zip(chosen, pictures, strict=True)):
        number, colour = divmod(int(tile), colours)
        name = f"{number // 2}{NEGATIVE_SIGN if number % 2 else POSITIVE_SIGN}{_COLOURS[colour] if colours > 1 else ''}"
        left_percent = 100 * (1 - held_out_r2[tile])
        text = f"{name}  {left_percent:{'.2g' if left_percent < 99 else '.0f'}} %"
        image = grid.draw(*divmod(place, columns), picture, above=text, cmap="magma", vmin=0, vmax=top)
    if image is not None:
        grid.add_bar(image, "rms error, student's units")
    caption = "above each: part of the left-out captures' variance that is not predicted"
    grid.figure.supxlabel(caption, size=SMALL, color=INK)
    return grid.figure


def attribution_bars(costs: Mapping[str, tuple[float, float]], as_it_is: float, as_designed: float) -> Figure:
    """Draw what each departure costs, one line a fault, in the order that they come.

    Parameters
    ----------
    costs
        Fault -> points that restoring it alone brings back, and points that it alone would cost.
    as_it_is, as_designed
        Accuracies between which they lie, per cent.
    """
    names = list(costs)
    figure = sheet(7.0, 1.1 + 0.36 * len(names))
    axes = figure.subplots()
    tidy(axes)
    for row, name in enumerate(names):
        restored, alone = costs[name]
        axes.barh(row, restored, height=0.5, color=BLUE)
        axes.plot([alone, alone], [row - 0.36, row + 0.36], color=GREY, lw=2.0)
        axes.annotate(
            f"{restored:+.1f}", (max(restored, alone, 0.0), row), (6, 0), textcoords="offset points", va="center",
            size=NORMAL, color=INK,
        )  # fmt: skip
    axes.axvline(0.0, color=GREY, lw=0.8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), names, size=NORMAL)
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.12)
    axes.set_xlabel("points that restoring it alone brings; grey: that it alone would cost")
    axes.set_title(f"the twin as it is: {as_it_is:.1f} %; all as designed: {as_designed:.1f} %", size=NORMAL, color=INK)
    return figure
