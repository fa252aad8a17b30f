"""Where each tile lies on the sensor: discs on the display, found behind every sub-aperture to part of a pixel."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from labonn.capture.fiducials import FIDUCIAL_RADIUS_TAPS, FIDUCIALS_TAPS, SCENE_OF_FIDUCIAL
from labonn.capture.point_image import BLUR_TAPS, Copies, compare, middle_px
from labonn.design import Layout
from labonn.errors import CalibrationError
from labonn.instruments import Geometry

_SEARCH_TAPS = 7.0  # how far from its nominal place a tile is looked for; the neighbour's discs begin at 10
_WINDOW_TAPS = 4.5  # around a disc; the neighbouring tile's nearest one reaches in from 10
_LEAST_FOUND = 0.6  # of a tile's discs
_LEAST_SIGNAL = 6.0  # times the noise of a pixel, for a disc
_LEAST_LIKENESS = 0.7  # of a disc's image to the mean of its tile's
# A tap's cell in a map is one tap wide: misplaced by this much of it, 10 % of its light is its neighbour's. An affine
# map leaves 0.002 of a tap where the PSF is the same all over the field; defocus and coma that grow with it leave 0.05.
_LARGEST_RMS_TAPS = 0.1
_REFINEMENTS = 5

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
    pictures: NDArray[np.float32], nominal: Doubles, noise: float, saturated: NDArray[np.bool_]
) -> TileGeometry:
    """Find every tile by its fiducials: where the image of a point lands, whatever it looks like.

    Parameters
    ----------
    pictures
        Frames of the `fiducial_scenes` under a flat phase without their dark frame, (scenes, H, W), counts. Not divided
        by a flat field: its edges would move what lies beside them.
    nominal
        (T, 2, 3), as `nominal_affine` gives it.
    noise
        Standard deviation of a pixel of `pictures`, counts.
    saturated
        Which pixels were saturated, (scenes, H, W).

    Raises
    ------
    CalibrationError
        If a tile's discs are not found, are saturated, or do not lie as an affine map puts them.
    """
    found, failures = find_tiles(pictures, nominal, noise, saturated)
    if failures:
        raise next(iter(failures.values()))
    return found


def find_tiles(
    pictures: NDArray[np.float32], nominal: Doubles, noise: float, saturated: NDArray[np.bool_]
) -> tuple[TileGeometry, dict[int, CalibrationError]]:
    """Do the same, and give those that are not found as not numbers, with what each failed with."""
    affine, rms_px = np.full_like(nominal, np.nan), np.full(len(nominal), np.nan)
    failures: dict[int, CalibrationError] = {}
    together = pictures.sum(axis=0)
    for tile, start in enumerate(nominal):
        try:
            moved = start.copy()
            moved[:, 2] += _coarse_shift_px(together, start, tile)
            affine[tile], rms_px[tile] = _find_tile(pictures, moved, noise, saturated, tile)
        except CalibrationError as error:
            failures[tile] = error
    return TileGeometry(affine, rms_px), failures


def infer_missing(affine: Doubles) -> Doubles:
    """Fill in what was not found of tiles in colour: from the tile's other colours, and how these lie elsewhere.

    Parameters
    ----------
    affine
        (T, C, 2, 3), not numbers where a tile was not found in a colour; every tile is found in one, every colour on
        some tile that is found in another, too.
    """
    whole, found = affine.copy(), np.asarray(np.isfinite(affine).all(axis=(2, 3)))
    for tile, colour in np.argwhere(~found):
        guesses = []
        for other in np.flatnonzero(found[tile]):
            both = found[:, colour] & found[:, other]
            if both.any():
                guesses.append(affine[tile, other] + np.median(affine[both, colour] - affine[both, other], axis=0))
        whole[tile, colour] = np.mean(guesses, axis=0)
    return whole


def decompose(affine: Doubles, nominal: Doubles) -> dict[str, float]:
    """Shift in px, rotation in degrees, scale and shear of one tile (2, 3) against its nominal place."""
    turn = affine[:, :2] @ np.linalg.inv(nominal[:, :2])
    scale_x = float(np.hypot(turn[0, 1], turn[1, 1]))
    angle = float(np.arctan2(-turn[0, 1], turn[1, 1]))
    # What is left of the vertical axis once the horizontal one is turned back and scaled.
    back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) @ turn
    shift = affine[:, 2] - nominal[:, 2]
    return {
        "shift_down_px": float(shift[0]),
        "shift_right_px": float(shift[1]),
        "rotation_deg": float(np.rad2deg(angle)),
        "scale": float(np.sqrt(scale_x * abs(back[0, 0]))),
        "shear": float(back[1, 0] / scale_x),
    }


def mean_parts(affine: Doubles, middle: Doubles) -> dict[str, float]:
    """How a colour's tiles lie to those of the middle colour, in the mean."""
    parts = [decompose(one, reference) for one, reference in zip(affine, middle, strict=True)]
    return {name: float(np.mean([part[name] for part in parts])) for name in parts[0]}


def _find_tile(
    pictures: NDArray[np.float32], start: Doubles, noise: float, saturated: NDArray[np.bool_], tile: int
) -> tuple[Doubles, float]:
    """Refine one tile's map: its discs' images against their own mean, again from where they were found."""
    affine, per_tap, rms_px = start, start[0, 0], np.inf
    half_px = round(_WINDOW_TAPS * per_tap)
    for _ in range(_REFINEMENTS):
        places = FIDUCIALS_TAPS @ affine[:, :2].T + affine[:, 2]
        copies = compare(pictures, SCENE_OF_FIDUCIAL, places, half_px)
        seen = _seen(copies, per_tap, noise)
        if seen.mean() < _LEAST_FOUND:
            raise CalibrationError(
                f"tile {tile}: found only {seen.sum()} of {len(seen)} fiducial discs near row {start[0, 2]:.0f},"
                f" column {start[1, 2]:.0f}; check that the display shows them, the focus, and the shutter"
            )
        if _any_under(saturated, places[seen], SCENE_OF_FIDUCIAL[seen], per_tap):
            raise CalibrationError(
                f"tile {tile}: its fiducial discs are saturated; shorten the exposure or dim the light"
            )
        affine, rms_px = fit_affine(FIDUCIALS_TAPS[seen], places[seen] + copies.offset_px[seen])
    if not rms_px <= _LARGEST_RMS_TAPS * per_tap:
        raise CalibrationError(
            f"tile {tile}: its fiducials lie {rms_px:.2f} px rms from any affine map, more than"
            f" {_LARGEST_RMS_TAPS:g} of a tap ({_LARGEST_RMS_TAPS * per_tap:.2f} px); check the focus, and that nothing"
            " moves or reflects"
        )
    affine[:, 2] += middle_px(copies.image, BLUR_TAPS * per_tap)
    return affine, rms_px


def _seen(copies: Copies, per_tap: float, noise: float) -> NDArray[np.bool_]:
    """Which discs stand out of the noise and look like the others."""
    half = copies.image.shape[0] // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    centre = middle_px(copies.image, BLUR_TAPS * per_tap)
    within = np.hypot(y - centre[0], x - centre[1]) < BLUR_TAPS * per_tap
    signal = copies.brightness * float(np.quantile(copies.image[within], 0.8))
    return np.asarray((signal > _LEAST_SIGNAL * noise) & (copies.likeness > _LEAST_LIKENESS))


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
    half = round((np.abs(FIDUCIALS_TAPS).max() + 2 * BLUR_TAPS) * per_tap)
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
    """Give every disc the blur in which an image's middle is looked for."""
    along = np.arange(-half, half + 1)
    width = BLUR_TAPS * per_tap
    rows, columns = (
        np.exp(-((along[None] - at[:, None]) ** 2) / (2 * width**2)) for at in (FIDUCIALS_TAPS * per_tap + offset).T
    )
    blobs = rows.T @ columns
    return np.asarray(blobs - blobs.mean(), np.float64)


def _any_under(saturated: NDArray[np.bool_], places: Doubles, scenes: NDArray[np.intp], per_tap: float) -> bool:
    """Whether more than a few stray pixels of some disc are saturated."""
    reach = round(FIDUCIAL_RADIUS_TAPS * per_tap)
    for scene, (y, x) in zip(scenes, np.rint(places).astype(int), strict=True):
        if saturated[scene, max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1].sum() > 4:
            return True
    return False
