"""Figures of the optic: its layout, the phase pattern on it, the point spread functions that it gives."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from labonn.design import Layout, Tile
from labonn.report.figures.canvas import INK, NEGATIVE_SIGN, NORMAL, POSITIVE_SIGN, SMALL, bare, sheet, tidy
from labonn.report.style import BLUE, GREY, VERMILLION

_ZOOM_PX = 512  # the four middle sub-apertures of the mono bench


def layout(layout: Layout) -> Figure:
    """Draw the sub-apertures on the aperture, to scale, in mm; each with the number and sign of its kernel."""
    height_mm, width_mm = layout.optic.aperture_mm
    side_mm = layout.optic.kernel_mm
    figure, axes = _to_scale(height_mm, width_mm, "optic", head_in=0.6)
    for sub in layout.sub_apertures:
        y_mm, x_mm = sub.centre_mm
        colour, sign = (BLUE, POSITIVE_SIGN) if sub.sign > 0 else (VERMILLION, NEGATIVE_SIGN)
        corner = (x_mm - side_mm / 2, y_mm - side_mm / 2)
        axes.add_patch(Rectangle(corner, side_mm, side_mm, fc=colour, ec=colour, alpha=0.22, lw=0))
        axes.add_patch(Rectangle(corner, side_mm, side_mm, fill=False, ec=colour, lw=1.0))
        text = f"{sub.kernel}{sign}"
        size = 12 if len(layout.sub_apertures) <= 36 else 7
        axes.text(x_mm, y_mm, text, ha="center", va="center", size=size, color=INK, in_layout=False)
    return figure


def sensor_tiles(tiles: Sequence[Tile], *, tile_um: tuple[float, float], sensor_um: tuple[float, float]) -> Figure:
    """Draw where the tiles of the first exposure stand on the sensor, to scale, in mm.

    Parameters
    ----------
    tiles
        Of all exposures.
    tile_um
        Height and width of a tile, the kernel's blur at its edge included.
    sensor_um
        Height and width of the sensor.
    """
    height_mm, width_mm = (side / 1e3 for side in sensor_um)
    figure, axes = _to_scale(height_mm, width_mm, "sensor", head_in=0.9)
    shown = [tile for tile in tiles if tile.exposure == 0]
    tall_mm, wide_mm = (side / 1e3 for side in tile_um)
    for tile in shown:
        y_mm, x_mm = (centre / 1e3 for centre in tile.sensor_um)
        colour, sign = (BLUE, POSITIVE_SIGN) if tile.sign > 0 else (VERMILLION, NEGATIVE_SIGN)
        corner = (x_mm - wide_mm / 2, y_mm - tall_mm / 2)
        axes.add_patch(Rectangle(corner, wide_mm, tall_mm, fc=colour, ec=colour, alpha=0.35, lw=0.8))
        size = 12 if len(shown) <= 36 else 7
        axes.text(x_mm, y_mm, f"{tile.kernel}{sign}", ha="center", va="center", size=size, color=INK, in_layout=False)
    frames = 1 + max(tile.exposure for tile in tiles)
    axes.set_title("one exposure" if frames == 1 else f"the first of {frames} exposures", size=NORMAL, color=INK)
    return figure


def phase_pattern(pattern_rad: NDArray[Any]) -> Figure:
    """Draw a phase pattern (H, W), in radians: the whole, and its centre magnified."""
    height, width = pattern_rad.shape
    wrapped = np.mod(pattern_rad, 2 * np.pi)
    zoom = min(_ZOOM_PX, height, width)
    top, left = (height - zoom) // 2, (width - zoom) // 2
    figure = sheet(10.0, 3.9)
    whole, centre = figure.subplots(1, 2, width_ratios=[width / height, 1.0])
    image = whole.imshow(wrapped, cmap="twilight", vmin=0, vmax=2 * np.pi, interpolation="nearest")
    whole.add_patch(Rectangle((left - 0.5, top - 0.5), zoom, zoom, fill=False, ec="white", lw=1.4))
    centre.imshow(
        wrapped[top : top + zoom, left : left + zoom],
        cmap="twilight",
        vmin=0,
        vmax=2 * np.pi,
        interpolation="nearest",
        extent=(left - 0.5, left + zoom - 0.5, top + zoom - 0.5, top - 0.5),
    )
    for axes, title in ((whole, "the whole SLM"), (centre, f"its centre, {zoom} x {zoom} px")):
        tidy(axes)
        axes.set_title(title, size=NORMAL, color=INK)
        axes.set_xlabel("column (px)")
    whole.set_ylabel("row (px)")
    bar = figure.colorbar(image, ax=[whole, centre], shrink=0.9, ticks=[0, np.pi, 2 * np.pi])
    bar.ax.set_yticklabels(["0", "\u03c0", "2\u03c0"], size=SMALL)
    bar.set_label("phase (rad)", size=NORMAL)
    return figure


def psf_pairs(target: NDArray[Any], realised: NDArray[Any], correlation: NDArray[Any]) -> Figure:
    """Draw what each sub-aperture should give and what it gives.

    Parameters
    ----------
    target, realised
        (T, h, w), non-negative; sub-aperture ``2 k`` is the positive half of kernel k, ``2 k + 1`` its negative half.
        Each is shown as shares of its own light, target and realised of one sub-aperture on one scale.
    correlation
        (T,), of target and realised.
    """
    kernels = len(target) // 2
    columns = min(kernels, 8)
    bands = -(-kernels // columns)
    figure = sheet(0.9 + 1.2 * columns, 5.4 * bands)
    grid: NDArray[Any] = figure.subplots(4 * bands, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    names = [f"{what} {sign}" for sign in (POSITIVE_SIGN, NEGATIVE_SIGN) for what in ("target", "realised")]
    for index in range(2 * kernels):
        kernel, half = divmod(index, 2)
        band, column = divmod(kernel, columns)
        rows = grid[4 * band + 2 * half : 4 * band + 2 * half + 2, column]
        wanted, given = _shares(target[index]), _shares(realised[index])
        for offset, (axes, psf) in enumerate(zip(rows, (wanted, given), strict=True)):
            axes.set_axis_on()
            bare(axes)
            axes.imshow(psf, cmap="viridis", vmin=0, vmax=max(float(wanted.max()), 1e-12), interpolation="nearest")
            if column == 0:
                axes.set_ylabel(names[2 * half + offset], size=NORMAL, color=INK)
        rows[1].set_xlabel(f"r = {correlation[index]:.3f}", size=SMALL, color=INK)
        if half == 0:
            rows[0].set_title(f"kernel {kernel}", size=NORMAL, color=INK)
    height, width = target.shape[1:]
    figure.supxlabel(f"each {height} x {width} taps; r: correlation of target and realised", size=SMALL, color=INK)
    return figure


def _to_scale(height_mm: float, width_mm: float, what: str, *, head_in: float) -> tuple[Figure, Axes]:
    """Axes of a surface seen from the front, to scale about its middle, with its outline."""
    figure = sheet(5.2, min(8.0, head_in + 4.6 * height_mm / width_mm))
    axes = figure.subplots()
    tidy(axes)
    axes.add_patch(Rectangle((-width_mm / 2, -height_mm / 2), width_mm, height_mm, fill=False, ec=GREY, lw=1.2))
    margin_mm = 0.03 * max(height_mm, width_mm)
    axes.set_xlim(-width_mm / 2 - margin_mm, width_mm / 2 + margin_mm)
    axes.set_ylim(height_mm / 2 + margin_mm, -height_mm / 2 - margin_mm)
    axes.set_aspect("equal")
    axes.set_xlabel(f"x on the {what} (mm)")
    axes.set_ylabel(f"y on the {what}, downwards (mm)")
    return figure, axes


def _shares(psf: NDArray[Any]) -> NDArray[Any]:
    total = float(psf.sum())
    return psf / total if total > 0 else psf
