"""Figures of a bench's check: its dark frame, its light, how its display settles."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from labonn.report.figures.canvas import INK, NORMAL, SMALL, sheet, tidy
from labonn.report.style import BLUE, GREEN, GREY, SKY, VERMILLION


def dark_frame(frame: NDArray[Any], level: float) -> Figure:
    """Draw a frame taken in the dark, (H, W) in counts, and how often each count comes in it; `level` is their mean."""
    height, width = frame.shape
    figure = sheet(7.2, 3.0)
    picture, histogram = figure.subplots(1, 2, width_ratios=[1, 1.25])
    tidy(picture)
    low, high = (float(value) for value in np.percentile(frame, (0.5, 99.5)))
    image = picture.imshow(frame, cmap="gray", vmin=low, vmax=max(high, low + 1), aspect=1)
    picture.set_xticks([0, width - 1])
    picture.set_yticks([0, height - 1])
    bar = figure.colorbar(image, ax=picture, shrink=0.8, extend="both")
    bar.ax.tick_params(labelsize=SMALL)
    bar.set_label("counts", size=NORMAL)
    tidy(histogram)
    brightest = int(frame.max())
    counts = np.bincount(frame.ravel(), minlength=brightest + 1)
    shown = np.flatnonzero(counts)
    histogram.vlines(shown, 0.5, counts[shown], color=BLUE, lw=1.4 if len(shown) < 200 else 0.6)
    histogram.axvline(level, color=INK, lw=0.8, ls=":")
    histogram.annotate(
        f"mean {level:.1f}", (level, 1), (4, -2), xycoords=("data", "axes fraction"), textcoords="offset points",
        va="top", size=SMALL, color=INK,
    )  # fmt: skip
    histogram.set_yscale("log")
    histogram.set_ylim(bottom=0.5)
    histogram.set_xlabel("counts")
    histogram.set_ylabel("pixels")
    return figure


def step_response(
    delay_ms: NDArray[Any],
    level: NDArray[Any],
    *,
    fitted_level: NDArray[Any] | None,
    latency_ms: float,
    settled_ms: float,
    promised_ms: float,
) -> Figure:
    """Draw how a display goes from black (0) to white (1) after a command.

    Parameters
    ----------
    delay_ms
        From the command to the middle of each exposure, (N,).
    level
        What each exposure saw, (N,).
    fitted_level
        What a fit says of each, (N,), if there is one.
    latency_ms, settled_ms
        When the new picture began to show, and when 99 % of it were there.
    promised_ms
        When the bench file says that it is settled.
    """
    figure = sheet(7.2, 3.4)
    axes, near = figure.subplots(1, 2, width_ratios=[1.7, 1])
    for part in (axes, near):
        tidy(part)
        if fitted_level is not None:
            part.plot(delay_ms, 100 * fitted_level, color=SKY, lw=1.4, zorder=1)
        part.plot(delay_ms, 100 * level, "o", color=BLUE, ms=4, zorder=3)
        part.axhline(99, color=GREY, lw=0.8, ls="--")
        part.axvline(promised_ms, color=VERMILLION, lw=1.0)
        part.axvline(settled_ms, color=GREEN, lw=1.2)
        part.grid(color="#e3e6ea", lw=0.6)
    axes.axvline(latency_ms, color=GREY, lw=0.8, ls=":")
    axes.set_xlabel("from the command to the middle of the exposure (ms)")
    near.set_xlabel("(ms)")
    axes.set_ylabel("% of the step")
    axes.set_ylim(-8, 112)
    for x, words, y, side, colour in (
        (latency_ms, f"first light\n{latency_ms:.1f} ms", 70.0, "right", INK),
        (settled_ms, f"99 %\n{settled_ms:.1f} ms", 30.0, "right", GREEN),
        (promised_ms, f"bench file\n{promised_ms:g} ms", 12.0, "left", VERMILLION),
    ):
        away = 4 if side == "left" else -4
        axes.annotate(
            words, (x, y), (away, 0), textcoords="offset points", size=SMALL, color=colour, va="center", ha=side
        )
    near.set_title("near the end", size=NORMAL, color=INK)
    near.set_ylim(94, 102)
    near.annotate("99 %", (1, 99), (-2, 2), xycoords=("axes fraction", "data"), textcoords="offset points",
                  ha="right", size=SMALL, color=GREY)  # fmt: skip
    return figure


def light_and_meter(
    told_mw: Sequence[float], meter_mw: Sequence[float] | None, signal: Sequence[float], *, meter_share: float = 1.0
) -> Figure:
    """Draw what meter and camera see of a light; the first value is with the shutter closed, the last at full power.

    Parameters
    ----------
    told_mw
        Power that the light was told to give through the shutter; 0 with the shutter closed.
    meter_mw
        What the meter read, if there is one.
    signal
        Mean of the camera's frames above their dark level, in counts.
    meter_share
        How much of the light the meter should see.
    """
    figure = sheet(7.2, 2.8)
    panels = figure.subplots(1, 1 if meter_mw is None else 2, squeeze=False)[0]
    full_mw = max(told_mw)
    quantities = [("camera (counts)", signal, signal[-1] / full_mw if full_mw else 0.0)]
    if meter_mw is not None:
        quantities.insert(0, ("meter (mW)", meter_mw, meter_share))
    for axes, (label, values, slope) in zip(panels, quantities, strict=True):
        tidy(axes)
        axes.plot([0, 1.08 * full_mw], [0, 1.08 * full_mw * slope], color=GREY, lw=0.9, ls="--", zorder=1)
        axes.plot(told_mw[1:], values[1:], "o", color=BLUE, ms=7, zorder=3)
        axes.plot(told_mw[:1], values[:1], "o", mfc="white", mec=BLUE, ms=7, zorder=3)
        axes.annotate("shutter closed", (told_mw[0], values[0]), (10, -4), textcoords="offset points", size=SMALL)
        axes.set_xlabel("light told to give (mW)")
        axes.set_ylabel(label)
        axes.set_xlim(-0.04 * full_mw, 1.1 * full_mw)
        axes.set_ylim(bottom=min(0.0, *values) - 0.05 * max(values))
        axes.grid(color="#e3e6ea", lw=0.6)
    return figure
