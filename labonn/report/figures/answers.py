"""Figures of how a network in use does: which class it takes for which, accuracy against a setting, its drift."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from labonn.report.figures.canvas import INK, NORMAL, SMALL, sheet, tidy
from labonn.report.style import BLUE, GREY, VERMILLION

MOST_WRITTEN_OUT = 99_999  # what a field has room for
LONGEST_LEVEL = 4  # letters of a class's name that is written beside others


def confusions(counts: NDArray[np.int64], classes: Sequence[str]) -> Figure:
    """Draw which class was taken for which: rows are what is right, columns the answers; what is right is left white.

    Parameters
    ----------
    counts
        (C, C), images of each class and answer; of pixels, which are many, each row is written in per cent.
    classes
        Their names.
    """
    many = counts.max() > MOST_WRITTEN_OUT
    of_label = 100 * counts / counts.sum(axis=1, keepdims=True).clip(1)
    side = 1.2 + (0.8 if many else 0.34) * len(classes)
    figure = sheet(side, side)
    axes = figure.subplots()
    wrong = np.where(np.eye(len(classes), dtype=bool), 0, counts)
    axes.imshow(wrong, cmap="Blues", vmin=0, vmax=max(1, int(wrong.max())))
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "white" if wrong[row, column] > 0.6 * wrong.max() else INK
        written = f"{of_label[row, column]:.1f} %" if many else str(counts[row, column])
        axes.text(column, row, written, ha="center", va="center", size=SMALL, color=colour)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(range(len(classes)), list(classes), size=SMALL)
    axes.tick_params(length=0)
    if max(map(len, classes)) > LONGEST_LEVEL:
        axes.tick_params(axis="x", labelrotation=90)
    axes.set_xlabel("answer", size=NORMAL)
    axes.set_ylabel("label", size=NORMAL)
    return figure


def accuracy_over(
    values: Sequence[float], percent: Sequence[float], error: Sequence[tuple[float, float]], name: str, used: float
) -> Figure:
    """Draw accuracy against something that was varied.

    Parameters
    ----------
    values
        What was set.
    percent, error
        Accuracy at each, and its interval, in per cent.
    name
        What was varied, with its unit.
    used
        The value that is in use.
    """
    figure = sheet(7.0, 3.0)
    axes = figure.subplots()
    tidy(axes)
    low, high = ([edge[place] for edge in error] for place in (0, 1))
    axes.vlines(values, low, high, color=BLUE, lw=2.2, alpha=0.45)
    axes.plot(values, percent, "o-", color=BLUE, ms=6, lw=1.2)
    axes.axvline(used, color=GREY, lw=0.8, ls=":")
    axes.set_xscale("log")
    axes.set_xticks(list(values), [f"{value:.3g}" for value in values])
    axes.minorticks_off()
    axes.set_xlabel(name)
    axes.set_ylabel("accuracy (%)")
    axes.grid(axis="y", color="#e3e6ea", lw=0.6)
    return figure


def control_chart(losses: Sequence[float], limit: float, tolerated: float) -> Figure:
    """Draw predicted losses, one a watch, in points; those above the limit are alarms.

    Parameters
    ----------
    losses
        In the order of the watches; the last one is this one.
    limit
        The control limit.
    tolerated
        The loss from which on a recalibration is due.
    """
    figure = sheet(7.0, 3.0)
    axes = figure.subplots()
    tidy(axes)
    numbers = np.arange(1, len(losses) + 1)
    values = np.asarray(losses, float)
    axes.plot(numbers, values, "-", color=GREY, lw=0.8)
    for alarms, colour in ((values <= limit, BLUE), (values > limit, VERMILLION)):
        axes.plot(numbers[alarms], values[alarms], "o", color=colour, ms=4)
    axes.axhline(limit, color=INK, lw=1.0, ls="--")
    axes.axhline(tolerated, color=INK, lw=1.0, ls=":")
    axes.axhline(0, color=GREY, lw=0.6)
    axes.set_xlim(0.5, max(10.5, len(losses) + 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("watch of this release")
    axes.set_ylabel("predicted loss (points)")
    axes.grid(axis="y", color="#e3e6ea", lw=0.6)
    return figure
