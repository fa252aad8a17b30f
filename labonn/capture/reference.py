"""A picture that a calibration keeps, and what has changed since: what moved, what is brighter or dimmer."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from labonn.capture.calibration import middle_colour
from labonn.capture.colour import in_turn, mosaic_of
from labonn.capture.fiducials import FIDUCIALS_TAPS, SCENE_OF_FIDUCIAL, fiducial_scenes, in_units, unit_taps
from labonn.capture.light import light, take_dark, take_stack
from labonn.capture.point_image import compare, fit_copies, width_px
from labonn.instruments import COLOURS, Bench

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

FRAMES = 4
_DARK_FRAMES = 2
_DISC_TAPS = 4.5  # half the side of the window about a disc
_SIDE_TAPS = 30.0  # of the window about a tile: its discs and their blur, and little of its neighbours


@dataclass(frozen=True)
class Change:
    """What has become of each tile since a reference was taken."""

    shift_px: Doubles
    """How far its picture has moved, (T, 2), down and right."""
    gain: Doubles
    """Its brightness as a share of what it was, (T,)."""
    likeness: Doubles
    """How much of it the reference explains, (T,): 1 all of it."""
    darker_counts: float = 0.0
    """Mean of a dark frame, above what it was."""
    wider: float = 1.0
    """Width of a disc's picture as a share of what it was, in the mean of the tiles."""

    @property
    def farthest_px(self) -> float:
        """How far the tile has moved that has moved the farthest."""
        return float(np.linalg.norm(self.shift_px, axis=1).max())


def take_reference(bench: Bench) -> Floats:
    """Take the first of the fiducial scenes, (H, W), counts, with light, exposure and pattern as they are.

    Behind filters it is the sum of its colours, so that they are not taken for its details; without filters a colour
    display shows it in one.
    """
    bench.display.show(fiducial_scenes(bench, len(COLOURS) // 2 if in_turn(bench) else None)[0])
    picture = take_stack(bench, FRAMES).mean
    mosaic = mosaic_of(bench)
    if mosaic is None:
        return picture
    return np.asarray(sum(mosaic.picture(picture, colour) for colour in COLOURS), np.float32)


def look_again(bench: Bench, exposure_ms: float, dark: Floats, reference: Floats, affine: Doubles) -> Change:
    """Look at the bench behind the pattern that is on its SLM; two dark frames and one picture. Sets the exposure.

    Parameters
    ----------
    bench
        An open bench; its shutter is closed when this ends.
    exposure_ms
        At which dark frame and reference were taken.
    dark, reference
        (H, W), counts.
    affine
        Where the tiles were then, (T, 2, 3), in colour (T, C, 2, 3).
    """
    affine = in_units(middle_colour(affine), unit_taps(bench))
    bench.camera.exposure_ms = exposure_ms
    darker = float(take_dark(bench, _DARK_FRAMES).mean.mean() - dark.mean())
    with light(bench):
        now = take_reference(bench)
    change = compare_with_reference(reference, now, affine)
    moved = affine.copy()
    moved[:, :, 2] += change.shift_px
    wider = _mean_width_px(now, moved) / _mean_width_px(reference, affine)
    return replace(change, darker_counts=darker, wider=wider)


def compare_with_reference(reference: Floats, now: Floats, affine: Doubles) -> Change:
    """Say what has changed between two pictures of the same scene.

    Parameters
    ----------
    reference, now
        (H, W), counts, at the same exposure.
    affine
        Where the tiles were in the reference, (T, 2, 3).
    """
    found = [_compare(reference, now, one) for one in affine]
    shift_px, gain, likeness = (np.array(part) for part in zip(*found, strict=True))
    return Change(shift_px, gain, likeness)


def _mean_width_px(picture: Floats, affine: Doubles) -> float:
    shown = FIDUCIALS_TAPS[SCENE_OF_FIDUCIAL == 0]
    first = np.zeros(len(shown), np.intp)
    half_px = round(_DISC_TAPS * affine[0, 0, 0])
    places = (shown @ one[:, :2].T + one[:, 2] for one in affine)
    return float(np.mean([width_px(compare(picture[None], first, place, half_px).image) for place in places]))


def _compare(reference: Floats, now: Floats, to_pixels: Doubles) -> tuple[Doubles, float, float]:
    half = round(_SIDE_TAPS * to_pixels[0, 0] / 2)
    rows, columns = (
        slice(max(0, round(middle) - half), min(side, round(middle) + half + 1))
        for middle, side in zip(to_pixels[:, 2], reference.shape, strict=True)
    )
    before, after = (picture[rows, columns].astype(np.float64) for picture in (reference, now))
    before, after = before - np.median(before), after - np.median(after)
    size = [fft.next_fast_len(2 * side, real=True) for side in before.shape]
    score = fft.irfft2(fft.rfft2(after, size) * fft.rfft2(before, size).conj(), size)
    whole = np.array(np.unravel_index(int(np.argmax(score)), score.shape))
    whole = np.where(whole > np.array(size) // 2, whole - size, whole)
    moved = np.roll(after, -whole, axis=(0, 1))
    offset_px, brightness, likeness = fit_copies(moved[None], before, np.ones_like(before))
    return whole + offset_px[0], float(brightness[0]), float(likeness[0])
