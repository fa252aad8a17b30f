r"""The SLM's phase table: which phase a level really turns, measured behind its own sub-apertures.

Every sub-aperture shows a binary grating of level 0 and one level L, behind which a small bright square on the display
has an image in the zeroth order and two in the first orders, well apart. Of the light, the zeroth order keeps

    I_0(L) / I_0(0) = |1 - F + F ((1 - e) (1 + exp(i phi)) / 2 + e (exp(i phi) - 1) / (i phi))|^2

with phi(L) the phase, F the fill factor, and e the share of the area in which fringing fields smear a step's phase
from 0 to phi. For F = 1 and e = 0 it is cos^2(phi / 2). Each tile is compared with itself under a flat phase, so that
its own aberrations do not matter, and tiles show different levels at once. The table is phi = 2 pi s (L / L_2pi)^g.

Source: Z. Zhang et al., "Diffraction based phase compensation method for phase-only liquid crystal on silicon devices
in operation", Appl. Opt. 51, 3837 (2012).
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from labonn.capture.light import light, take_stack
from labonn.capture.scene import plain_scene
from labonn.design import Layout
from labonn.errors import CalibrationError
from labonn.instruments import Bench

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

_ORDER_TAPS = 4.5  # from the zeroth order to the first, on the sensor
_SQUARE_TAPS = 1.5  # side of the bright square
_WINDOW_TAPS = 2.2  # half the side of the window about the zeroth order: less than half the way to the first
_FRAMES = 2
_LEAST_SIGNAL = 20.0  # counts times noise
_WORST_RMS = 0.05


@dataclass(frozen=True)
class PhaseTable:
    """What phase each level turns."""

    levels: NDArray[np.intp]
    """Levels that were measured, (levels,), rising."""
    zeroth_order: Doubles
    """Light in the zeroth order as a share of that under a flat phase, (levels,)."""
    scale: float
    gamma: float
    fill_factor: float
    smeared: float
    """Share of a grating's area that fringing fields smear."""
    levels_per_2pi: float
    """What the bench file says."""
    rms: float
    """Of the fit, in shares of the zeroth order."""

    def phase_rad(self, levels: NDArray[np.floating | np.integer]) -> Doubles:
        """Phase that levels turn, in radians."""
        return np.asarray(2 * pi * self.scale * (np.asarray(levels) / self.levels_per_2pi) ** self.gamma, np.float64)


def measure_phase_table(
    bench: Bench, layout: Layout, affine: Doubles, *, rounds: int = 3, on_pattern: Callable[[int], None] | None = None
) -> PhaseTable:
    """Measure the phase table at the bench's wavelength; the shutter is closed when this ends.

    Parameters
    ----------
    bench
        An open bench with an SLM, at an exposure that uses the camera's range.
    layout
        Which sub-aperture makes which tile.
    affine
        Calibrated geometry, (T, 2, 3).
    rounds
        Patterns to show: each measures as many levels as there are tiles.
    on_pattern
        Told how many patterns are done, after each.

    Raises
    ------
    CalibrationError
        If a tile stays dark, or no smooth table explains what is seen.
    """
    highest = min(bench.slm.max_level, int(bench.slm.table.levels_per_2pi))
    tiles = len(affine)
    # A whole turn is shown as level 0.
    levels = np.unique(np.rint(np.linspace(0, highest, rounds * tiles + 2)[1:-1]).astype(np.intp))
    # Neighbouring tiles get levels far from each other, and every tile some of all sizes.
    assigned = np.array_split(np.random.default_rng(0).permutation(levels), -(-len(levels) // tiles))
    scene = _square(bench)
    shares: dict[int, float] = {}
    with light(bench):
        bench.slm.show(np.zeros(bench.slm.shape, np.float32))
        flat, noise = _seen(bench, scene)
        for number, part in enumerate(assigned, start=1):
            bench.slm.show(_gratings(bench, layout, part))
            seen, _ = _seen(bench, scene)
            for tile, level in enumerate(part):
                shares[int(level)] = _share(seen, flat, affine[tile], noise, tile)
            if on_pattern is not None:
                on_pattern(number)
    ordered = np.array(sorted(shares), np.intp)
    return fit_phase_table(ordered, np.array([shares[int(level)] for level in ordered]), bench.slm.table.levels_per_2pi)


def fit_phase_table(levels: NDArray[np.intp], zeroth_order: Doubles, levels_per_2pi: float) -> PhaseTable:
    """Fit scale, gamma and fill factor.

    Parameters
    ----------
    levels
        (levels,), rising.
    zeroth_order
        Share of the light that the zeroth order keeps, (levels,).
    levels_per_2pi
        What the bench file says.

    Raises
    ------
    CalibrationError
        If the fit misses the points by more than 5 % rms.
    """

    def model(values: Doubles) -> Doubles:
        scale, gamma, fill, smeared = values
        phase_rad = 2 * pi * scale * (levels / levels_per_2pi) ** gamma
        turned = np.exp(1j * phase_rad)
        grating = (1 - smeared) * (1 + turned) / 2 + smeared * (turned - 1) / (1j * phase_rad)
        return np.asarray(np.abs(1 - fill + fill * grating) ** 2, np.float64)

    best = None
    for scale in (0.5, 0.8, 1.0, 1.25, 1.6, 2.0):  # a cosine has many minima: start from several
        found = least_squares(
            lambda values: model(values) - zeroth_order,
            (scale, 1.0, 0.95, 0.05),
            bounds=((0.2, 0.3, 0.5, 0.0), (3.0, 3.0, 1.0, 0.5)),
        )
        best = found if best is None or found.cost < best.cost else best
    assert best is not None
    rms = float(np.sqrt(np.mean(best.fun**2)))
    if rms > _WORST_RMS:
        raise CalibrationError(
            f"SLM phase table: no smooth table explains the zeroth order ({100 * rms:.1f} % rms); check the wavelength,"
            " the polariser before the SLM, and that the light is not saturated"
        )
    scale, gamma, fill, smeared = (float(value) for value in best.x)
    return PhaseTable(levels, zeroth_order, scale, gamma, fill, smeared, levels_per_2pi, rms)


def _square(bench: Bench) -> Floats:
    scene = plain_scene(0.0, bench)
    half = round(_SQUARE_TAPS * bench.config.geometry.display_px_per_tap / 2)
    row, column = (side // 2 for side in bench.display.shape)
    scene[row - half : row + half, column - half : column + half] = 1
    return scene


def _seen(bench: Bench, scene: Floats) -> tuple[Floats, float]:
    """Take the scene without what arrives when the display is black."""
    bench.display.show(plain_scene(0.0, bench))
    black = take_stack(bench, _FRAMES)
    bench.display.show(scene)
    return take_stack(bench, _FRAMES).mean - black.mean, black.noise


def _gratings(bench: Bench, layout: Layout, levels: NDArray[np.intp]) -> Floats:
    """Give each sub-aperture a grating of level 0 and its own, as phase in radians."""
    geometry = bench.config.geometry
    order_um = _ORDER_TAPS * geometry.tap_um
    period_um = geometry.wavelength_nm * geometry.focal_mm / order_um  # nm mm / um = um
    columns_um = np.arange(bench.slm.shape[1]) * bench.slm.pitch_um
    high = (columns_um % period_um) < period_um / 2
    pattern = np.zeros(bench.slm.shape, np.float32)
    side_px = layout.optic.kernel_mm * 1e3 / bench.slm.pitch_um
    for sub_aperture, level in zip(layout.sub_apertures, levels, strict=False):
        phase_rad = np.float32(2 * pi * level / bench.slm.table.levels_per_2pi)
        rows, columns = (
            slice(round(middle - side_px / 2), round(middle + side_px / 2))
            for middle in (
                extent / 2 + centre_mm * 1e3 / bench.slm.pitch_um
                for extent, centre_mm in zip(bench.slm.shape, sub_aperture.centre_mm, strict=True)
            )
        )
        pattern[rows, columns] = phase_rad * high[columns]
    return pattern


def _share(seen: Floats, flat: Floats, to_pixels: Doubles, noise: float, tile: int) -> float:
    """Regress the zeroth order's picture on the one under a flat phase."""
    half_px = round(_WINDOW_TAPS * to_pixels[0, 0])
    row, column = np.rint(to_pixels[:, 2]).astype(int)
    window = slice(row - half_px, row + half_px + 1), slice(column - half_px, column + half_px + 1)
    reference = flat[window].astype(np.float64)
    if reference.max(initial=0.0) < _LEAST_SIGNAL * noise:
        raise CalibrationError(
            f"SLM phase table: tile {tile} stays dark under a flat phase; check light, exposure and geometry"
        )
    return float((reference * seen[window]).sum() / (reference**2).sum())
