"""Figures of how good something is: accuracies side by side, losses over a training."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from labonn.report.figures.canvas import INK, NORMAL, sheet, tidy
from labonn.report.style import BLUE, GREY, SERIES

_UNCOMPENSATED = "none"


def accuracy_bars(methods: Mapping[str, float]) -> Figure:
    """Draw accuracies, in per cent, one line a method; from ``none`` (not compensated), if it is there, to each.

    The axis does not begin at zero: what is drawn is the difference, and each value is written beside its point.
    """
    names = list(methods)
    values = [float(methods[name]) for name in names]
    figure = sheet(7.0, 0.75 + 0.36 * len(names))
    axes = figure.subplots()
    tidy(axes)
    base = float(methods.get(_UNCOMPENSATED, min(values, default=0.0)))
    for row, (name, value) in enumerate(zip(names, values, strict=True)):
        colour = GREY if name == _UNCOMPENSATED else BLUE
        axes.plot([base, value], [row, row], color=colour, lw=2.2, alpha=0.45, solid_capstyle="round")
        axes.plot([value], [row], "o", color=colour, ms=8)
        side, place = (-9, "right") if value < base else (9, "left")  # away from its line
        axes.annotate(
            f"{value:.1f}", (value, row), (side, 0), textcoords="offset points", va="center", ha=place, size=NORMAL,
            color=INK,
        )  # fmt: skip
    if _UNCOMPENSATED in methods:
        axes.axvline(base, color=GREY, lw=0.8, ls=":")
    lowest, highest = min(values, default=0.0), max(values, default=100.0)
    margin = max(1.0, 0.08 * (highest - lowest))
    axes.set_xlim(max(0.0, lowest - 1.8 * margin), highest + 1.8 * margin)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names, size=NORMAL)
    axes.tick_params(axis="y", length=0)
    axes.set_xticks([tick for tick in axes.get_xticks() if axes.get_xlim()[0] <= tick <= 100])
    axes.set_xlabel("accuracy (%)")
    axes.grid(axis="x", color="#e3e6ea", lw=0.6)
    axes.set_axisbelow(True)
    return figure


def training_curves(curves: Mapping[str, Sequence[float]]) -> Figure:
    """Draw losses over the steps of a training, each as it was and its running mean; logarithmic if they span much."""
    figure = sheet(7.0, 3.2)
    axes = figure.subplots()
    tidy(axes)
    everything = np.concatenate([np.asarray(values, dtype=float) for values in curves.values()] or [np.zeros(0)])
    for index, (name, values) in enumerate(curves.items()):
        losses = np.asarray(values, dtype=float)
        colour = SERIES[index % len(SERIES)]
        window = max(1, len(losses) // 50)
        if window > 1:
            axes.plot(np.arange(1, len(losses) + 1), losses, color=colour, lw=0.6, alpha=0.25)
        mean = np.convolve(losses, np.full(window, 1 / window), mode="valid")
        axes.plot(np.arange(window, len(losses) + 1), mean, color=colour, lw=1.6, label=name)
    finite = everything[np.isfinite(everything)]
    if finite.size and finite.min() > 0 and finite.max() > 10 * finite.min():
        axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.grid(color="#e3e6ea", lw=0.6)
    if len(curves) > 1:
        axes.legend(frameon=False, fontsize=NORMAL)
    return figure


def gate_evidence(candidates: Mapping[str, Sequence[tuple[int, float, float]]], *, margin_points: float) -> Figure:
    """Draw what the gate saw: each candidate's gain, and what it is at least, against the captures it looked at.

    Parameters
    ----------
    candidates
        Name -> (captures, gain in points, its lower bound in points) for each look.
    margin_points
        The loss that had to be ruled out.
    """
    figure = sheet(7.0, 3.0)
    axes = figure.subplots()
    tidy(axes)
    for index, (name, looks) in enumerate(candidates.items()):
        captures, gains, bounds = zip(*looks, strict=True)
        shift = 1 + 0.02 * (index - (len(candidates) - 1) / 2)  # so that two that agree are both seen
        places = [shift * count for count in captures]
        colour = SERIES[index % len(SERIES)]
        axes.vlines(places, bounds, gains, color=colour, lw=2.2, alpha=0.45)
        axes.plot(places, gains, "o", color=colour, ms=7, label=name)
        axes.plot(places, bounds, "_", color=colour, ms=10, mew=2.2)
    axes.axhline(0, color=GREY, lw=0.8)
    axes.axhline(-margin_points, color=INK, lw=1.0, ls="--")
    axes.set_xscale("log")
    counts = sorted({look[0] for looks in candidates.values() for look in looks})
    axes.set_xlim(0.8 * counts[0], 1.25 * counts[-1])
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    axes.set_xlabel("validation captures")
    axes.set_ylabel("gain (points)")
    axes.grid(axis="y", color="#e3e6ea", lw=0.6)
    axes.legend(frameon=False, fontsize=NORMAL, loc="best")
    return figure


def learning_curve(
    images: Sequence[int],
    wrong_percent: Sequence[float],
    *,
    extrapolated: tuple[int, float],
    interval: tuple[float, float],
) -> Figure:
    """Draw how an error falls with the images, and to where it is extrapolated.

    Parameters
    ----------
    images, wrong_percent
        What was measured.
    extrapolated
        Images, and the per cent that are wrong then by the law.
    interval
        The least and the most per cent that an estimate expects there.
    """
    figure = sheet(6.0, 3.4)
    axes = figure.subplots()
    tidy(axes)
    at, law = extrapolated
    axes.plot(images, wrong_percent, "o", color=SERIES[0], ms=6, label="left out")
    axes.plot([images[-1], at], [wrong_percent[-1], law], "--", color=SERIES[0], lw=1.2, label="extrapolated")
    axes.vlines([at], *interval, color=SERIES[1], lw=2.4, label="estimate, 90 %")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("training images")
    axes.set_ylabel("wrong (%)")
    axes.grid(color="#e3e6ea", lw=0.6)
    axes.legend(frameon=False, fontsize=NORMAL)
    return figure
