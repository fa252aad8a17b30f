"""Figures of many trials."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from labonn.report.figures.canvas import INK, SMALL, sheet, tidy
from labonn.report.style import BLUE, GREY, SERIES, VERMILLION


def trade_off(points: Sequence[tuple[float, float, bool]], *, names: tuple[str, str]) -> Figure:
    """Draw what a trial costs against what it reaches.

    Parameters
    ----------
    points
        (cost, gain, whether nothing beats it).
    names
        Of both axes.
    """
    figure = sheet(6.4, 4.0)
    axes = figure.subplots()
    tidy(axes)
    for best, colour, marker in ((False, GREY, "o"), (True, VERMILLION, "D")):
        chosen = [(x, y) for x, y, is_best in points if is_best == best]
        if chosen:
            x, y = zip(*chosen, strict=True)
            axes.plot(x, y, marker, color=colour, ms=6 if best else 4, alpha=1.0 if best else 0.55, ls="none")
    costs = [x for x, _, _ in points]
    if min(costs) > 0 and max(costs) > 20 * min(costs):
        axes.set_xscale("log")
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
    axes.grid(color="#e3e6ea", lw=0.6)
    return figure


def parallel_coordinates(rows: Sequence[Sequence[float]], names: Sequence[str], best: Sequence[bool]) -> Figure:
    """Draw each trial as a line over columns, each column from its least to its largest value.

    Parameters
    ----------
    rows
        (T, C) values.
    names
        Of the columns.
    best
        Which trials stand out.
    """
    values = np.asarray(rows, dtype=np.float64)
    low, high = values.min(axis=0), values.max(axis=0)
    scaled = (values - low) / np.where(high > low, high - low, 1.0)
    figure = sheet(max(6.0, 1.35 * len(names)), 4.0)
    axes = figure.subplots()
    places = range(len(names))
    for chosen, colour, alpha, width in ((False, GREY, 0.35, 0.8), (True, BLUE, 0.95, 1.6)):
        for line, is_best in zip(scaled, best, strict=True):
            if is_best == chosen:
                axes.plot(places, line, color=colour, alpha=alpha, lw=width)
    for place, least, most in zip(places, low, high, strict=True):
        axes.axvline(place, color="#c9cdd2", lw=0.8, zorder=0)
        axes.text(place, -0.04, f"{least:.4g}", ha="center", va="top", size=SMALL, color=INK)
        axes.text(place, 1.03, f"{most:.4g}", ha="center", va="bottom", size=SMALL, color=INK)
    axes.set_xticks(places, [name.removeprefix("design.") for name in names], size=SMALL, rotation=20, ha="right")
    axes.tick_params(axis="x", pad=14, length=0)
    axes.set_yticks([])
    axes.set_ylim(-0.12, 1.12)
    axes.spines[:].set_visible(False)
    return figure


def foretold(points: Mapping[str, Sequence[tuple[float, float, float, float]]]) -> Figure:
    """Draw what designs were trained to against what was foretold.

    Parameters
    ----------
    points
        Task -> (trained, foretold, low, high) of each design, in per cent.
    """
    figure = sheet(5.4, 5.2)
    axes = figure.subplots()
    tidy(axes)
    for (task, values), colour in zip(points.items(), SERIES, strict=False):
        trained, said, low, high = np.asarray(values, dtype=np.float64).T
        axes.vlines(trained, low, high, color=colour, lw=1.0, alpha=0.4)
        axes.plot(trained, said, "o", color=colour, ms=5, label=task)
    limits = axes.get_ylim()
    least = max(0.0, min(limits[0], axes.get_xlim()[0]))
    axes.plot([least, 100], [least, 100], color=GREY, lw=0.8)
    axes.set_xlim(least, 100.5)
    axes.set_ylim(least, 100.5)
    axes.set_aspect("equal")
    axes.set_xlabel("trained (%)")
    axes.set_ylabel("estimated before, with 90 % (%)")
    axes.grid(color="#e3e6ea", lw=0.6)
    axes.legend(frameon=False)
    return figure
