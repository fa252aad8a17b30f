"""Where each tile lies on the sensor: discs on the display, found behind every sub-aperture to part of a pixel."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from labonn.capture.scene import FIDUCIAL_RADIUS_TAPS, FIDUCIALS_TAPS
from labonn.design import Layout
from labonn.errors import CalibrationError
from labonn.instruments import Geometry

_SEARCH_TAPS = 7.0  # how far from its nominal place a tile is looked for; the neighbour's discs begin at 10
_WINDOW_TAPS = 2.6  # around a disc: less than half the way to the next one
_LEAST_FOUND = 0.6  # of a tile's discs
_LARGEST_RMS_PX = 0.5
_REFINEMENTS = 4

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class TileGeometry:
    """Where the tiles are, and how well their fiducials agree."""

    affine: Doubles
    """(T, 2, 3): sensor pixel (y, x) = affine @ (tap y, tap x, 1)."""
    rms_px: Doubles
    """(T,), over both axes of the discs that were used."""


def nominal_affine(layout: Layout, geometry: Geometry, camera_shape: tuple[int, int]) -> Doubles:
    """Where the tiles would lie if the bench were exactly as its file says, (T, 2, 3)."""
    centres = layout.tile_centres_um(geometry.tile_pitch_um) / geometry.camera_pixel_um
    affine = np.zeros((len(centres), 2, 3))
    affine[:, 0, 0] = affine[:, 1, 1] = geometry.pixels_per_tap
    affine[:, :, 2] = centres + (np.array(camera_shape) - 1) / 2
    return affine


def find_geometry(
    picture: NDArray[np.float32], nominal: Doubles, noise: float, saturated: NDArray[np.bool_]
) -> TileGeometry:
    """Find every tile by its fiducials.

    Parameters
    ----------
    picture
        Frame of `fiducial_scene` under a flat phase, corrected for dark and flat, (H, W), counts.
    nominal
        (T, 2, 3), as `nominal_affine` gives it.
    noise
        Standard deviation of a pixel of `picture`, counts.
    saturated
        Which pixels were saturated, (H, W).

    Raises
    ------
    CalibrationError
        If a tile's discs are not found, are saturated, or do not lie as an affine map puts them.
    """
    affine, rms_px = np.zeros_like(nominal), np.zeros(len(nominal))
    for tile, start in enumerate(nominal):
        moved = start.copy()
        moved[:, 2] += _coarse_shift_px(picture, start, tile)
        found = [_centroid(picture, moved @ (y, x, 1.0), moved[0, 0], noise) for y, x in FIDUCIALS_TAPS]
        seen = np.array([centre is not None for centre in found])
        if seen.mean() < _LEAST_FOUND:
            raise CalibrationError(
                f"tile {tile}: found only {seen.sum()} of {len(found)} fiducial discs near row {moved[0, 2]:.0f},"
                f" column {moved[1, 2]:.0f}; check that the display shows them, the focus, and the shutter"
            )
        centres = np.array([centre for centre in found if centre is not None])
        if _any_under(saturated, centres, moved[0, 0]):
            raise CalibrationError(
                f"tile {tile}: its fiducial discs are saturated; shorten the exposure or dim the light"
            )
        affine[tile], rms_px[tile] = fit_affine(FIDUCIALS_TAPS[seen], centres)
        if not rms_px[tile] <= _LARGEST_RMS_PX:
            raise CalibrationError(
                f"tile {tile}: its fiducials lie {rms_px[tile]:.2f} px rms from any affine map, more than"
                f" {_LARGEST_RMS_PX}; check the focus, and that nothing moves or reflects"
            )
    return TileGeometry(affine, rms_px)


def fit_affine(taps: Doubles, pixels: Doubles) -> tuple[Doubles, float]:
    """Fit pixels = affine @ (taps, 1) by least squares, leaving out points that lie far from the others' map.

    Parameters
    ----------
    taps, pixels
        (n, 2) each.

    Returns
    -------
    The map (2, 3), and the rms distance of the points used, in pixels and one axis.
    """
    design = np.column_stack([taps, np.ones(len(taps))])
    used = np.ones(len(taps), bool)
    for _ in range(4):
        solution, *_ = np.linalg.lstsq(design[used], pixels[used], rcond=None)
        distance = np.linalg.norm(pixels - design @ solution, axis=1)
        # 1.48 times the median is a standard deviation that outliers do not inflate; 0.05 px is never an outlier.
        kept = distance <= max(4 * 1.48 * float(np.median(distance[used])), 0.05)
        if kept.sum() < max(6, len(taps) // 2) or (kept == used).all():
            break
        used = kept
    rms_px = float(np.sqrt(np.mean((pixels[used] - design[used] @ solution) ** 2)))
    return np.asarray(solution.T, np.float64), rms_px


def _coarse_shift_px(picture: NDArray[np.float32], start: Doubles, tile: int) -> Doubles:
    """How far a tile lies from where it should, to a pixel: the peak of its correlation with the discs' pattern."""
    per_tap = start[0, 0]
    search = round(_SEARCH_TAPS * per_tap)
    half = round((np.abs(FIDUCIALS_TAPS).max() + 1.5) * per_tap)
    centre = np.rint(start[:, 2]).astype(int)
    template = _template(half, per_tap, start[:, 2] - centre)
    reach = half + search
    padded = np.pad(picture, reach)
    region = padded[centre[0] : centre[0] + 2 * reach + 1, centre[1] : centre[1] + 2 * reach + 1]
    score = fftconvolve(region - np.median(region), template[::-1, ::-1], mode="valid")
    if not score.max() > 0:
        raise CalibrationError(
            f"tile {tile}: nothing is seen of the fiducials; check the display, the shutter and the focus"
        )
    peak = np.unravel_index(int(np.argmax(score)), score.shape)
    return np.asarray(np.array(peak) - search, np.float64)


def _template(half: int, per_tap: float, offset: Doubles) -> Doubles:
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float64)
    discs = np.zeros_like(y)
    for tap_y, tap_x in FIDUCIALS_TAPS:
        distance = np.hypot(y - tap_y * per_tap - offset[0], x - tap_x * per_tap - offset[1])
        discs += distance <= FIDUCIAL_RADIUS_TAPS * per_tap
    return np.asarray(discs - discs.mean(), np.float64)


def _centroid(picture: NDArray[np.float32], start: Doubles, per_tap: float, noise: float) -> Doubles | None:
    """Centre of mass of the disc near `start`, (y, x) in pixels; None where no disc stands out."""
    centre = np.asarray(start, np.float64)
    reach = _WINDOW_TAPS * per_tap
    for _ in range(_REFINEMENTS):
        low = np.ceil(centre - reach).astype(int)
        high = np.floor(centre + reach).astype(int) + 1
        if (low < 0).any() or (high > picture.shape).any():
            return None
        y, x = np.mgrid[low[0] : high[0], low[1] : high[1]]
        window = picture[low[0] : high[0], low[1] : high[1]].astype(np.float64)
        distance = np.hypot(y - centre[0], x - centre[1])
        around = window[distance > 0.8 * reach]
        contrast = window - np.median(around)
        peak = float(np.quantile(contrast[distance < FIDUCIAL_RADIUS_TAPS * per_tap], 0.8))
        if peak < 6 * noise:
            return None
        mass = np.where((distance <= reach) & (contrast > 0.1 * peak), contrast, 0.0)
        centre = np.array([(mass * y).sum(), (mass * x).sum()]) / mass.sum()
    if np.linalg.norm(centre - start) > 1.5 * per_tap:
        return None
    return centre


def _any_under(saturated: NDArray[np.bool_], centres: Doubles, per_tap: float) -> bool:
    """Whether more than a few stray pixels of some disc are saturated."""
    reach = round(FIDUCIAL_RADIUS_TAPS * per_tap)
    for y, x in np.rint(centres).astype(int):
        if saturated[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1].sum() > 4:
            return True
    return False
