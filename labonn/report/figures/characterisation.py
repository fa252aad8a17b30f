"""Figures of a bench's characterisation: flat field, geometry, PSFs, phase table, photon transfer."""

from collections.abc import Sequence
from math import ceil, pi, sqrt
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from labonn.report.figures.canvas import INK, SMALL, sheet, tidy
from labonn.report.style import BLUE, GREY, VERMILLION


def flat_field_picture(flat: NDArray[Any]) -> Figure:
    """Draw a flat field, (H, W), 1 in the mean of each tile."""
    figure = sheet(4.6, 3.8)
    axes = figure.subplots()
    tidy(axes)
    image = axes.imshow(flat, cmap="cividis", vmin=0.85, vmax=1.1)
    axes.set_xticks([0, flat.shape[1] - 1])
    axes.set_yticks([0, flat.shape[0] - 1])
    bar = figure.colorbar(image, ax=axes, shrink=0.85, extend="both")
    bar.ax.tick_params(labelsize=SMALL)
    bar.set_label("light, as a share of its tile's mean", size=SMALL)
    return figure


def geometry_shifts(centres_px: NDArray[Any], shifts_px: NDArray[Any], shape: tuple[int, int]) -> Figure:
    """Draw how far each tile lies from its nominal place.

    Parameters
    ----------
    centres_px, shifts_px
        (T, 2) each, as (down, right).
    shape
        Of the sensor, (H, W).
    """
    figure = sheet(4.2, 4.0)
    axes = figure.subplots()
    tidy(axes)
    axes.set_xlim(0, shape[1])
    axes.set_ylim(shape[0], 0)
    axes.set_aspect(1)
    longest = max(float(np.hypot(*shifts_px.T).max()), 1e-3)
    reach = 0.09 * min(shape)
    axes.quiver(
        centres_px[:, 1], centres_px[:, 0], shifts_px[:, 1], shifts_px[:, 0],
        angles="xy", scale_units="xy", scale=longest / reach, color=BLUE, width=0.006,
    )  # fmt: skip
    axes.plot(centres_px[:, 1], centres_px[:, 0], ".", color=INK, ms=3)
    axes.set_title(f"shift of each tile; the longest arrow is {longest:.2f} px", size=SMALL, loc="left")
    axes.set_xlabel("column")
    axes.set_ylabel("row")
    return figure


def psf_grid(psfs: NDArray[Any], pixel_um: float) -> Figure:
    """Draw every tile's PSF, (T, side, side), each on its own scale, by the square root of its light."""
    columns = ceil(sqrt(len(psfs)))
    rows = ceil(len(psfs) / columns)
    figure = sheet(1.2 * columns, 1.3 * rows)
    for index, axes in enumerate(np.ravel(figure.subplots(rows, columns))):
        axes.axis("off")
        if index < len(psfs):
            axes.imshow(np.sqrt(np.clip(psfs[index], 0, None)), cmap="magma")
            axes.set_title(str(index), size=SMALL, pad=2)
    figure.supxlabel(f"each window is {psfs.shape[-1] * pixel_um:.0f} um wide", size=SMALL)
    return figure


def phase_table_curve(
    levels: NDArray[Any], zeroth_order: NDArray[Any], phase_rad: NDArray[Any], levels_per_2pi: float
) -> Figure:
    """Draw what was seen of the zeroth order at each level, and the phase that every level turns.

    Parameters
    ----------
    levels, zeroth_order
        Measured, (levels,) each.
    phase_rad
        Of level 0, 1, 2 ..., (all levels,).
    levels_per_2pi
        What the bench file says.
    """
    figure = sheet(7.2, 2.9)
    seen, table = figure.subplots(1, 2)
    tidy(seen)
    tidy(table)
    seen.plot(levels, zeroth_order, "o", color=BLUE, ms=3)
    seen.set_xlabel("level of the grating")
    seen.set_ylabel("zeroth order, share of flat phase")
    seen.set_ylim(bottom=0)
    every = np.arange(len(phase_rad))
    table.plot(every, 2 * every / levels_per_2pi, color=GREY, ls="--", lw=1, label="bench file")
    table.plot(every, phase_rad / pi, color=VERMILLION, lw=1.6, label="measured")
    table.set_xlabel("level")
    table.set_ylabel("phase, in units of pi")
    table.legend(frameon=False, fontsize=SMALL)
    return figure


def photon_transfer_plot(
    signal_dn: NDArray[Any], variance_dn2: NDArray[Any], gain_e_per_dn: float, read_noise_dn: float
) -> Figure:
    """Draw the variance of a pixel over its signal, (points,) each, and the line of the fitted gain and read noise."""
    figure = sheet(4.6, 3.3)
    axes = figure.subplots()
    tidy(axes)
    positive = signal_dn > 0
    axes.loglog(signal_dn[positive], variance_dn2[positive], ".", color=BLUE, ms=4)
    line = np.geomspace(max(1.0, float(signal_dn[positive].min())), float(signal_dn.max()), 50)
    axes.loglog(line, line / gain_e_per_dn + read_noise_dn**2 + 1 / 12, color=VERMILLION, lw=1.2)
    axes.set_xlabel("signal above black, counts")
    axes.set_ylabel("variance, counts squared")
    axes.set_title(f"{gain_e_per_dn:.3f} electrons per count", size=SMALL, loc="left")
    return figure


def tile_bars(gain: Sequence[float]) -> Figure:
    """Draw each tile's gain, 1 in the mean."""
    figure = sheet(4.6, 2.4)
    axes = figure.subplots()
    tidy(axes)
    axes.bar(range(len(gain)), gain, color=BLUE, width=0.7)
    axes.axhline(1, color=INK, lw=0.8, ls=":")
    axes.set_xlabel("tile")
    axes.set_ylabel("gain")
    return figure
