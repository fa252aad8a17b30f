"""Discs on the display, by which the geometry is found: where they stand, and in which scenes they are shown."""

import numpy as np
from numpy.typing import NDArray

from labonn.capture.scene import shown_in
from labonn.instruments import Bench

# Where the discs stand, in units of `unit_taps` from the image's centre; one is missing, so that a turned picture is
# none of them.
FIDUCIALS_TAPS: NDArray[np.float64] = np.array(
    [(y, x) for y in (-12.0, -6.0, 0.0, 6.0, 12.0) for x in (-12.0, -6.0, 0.0, 6.0, 12.0) if (y, x) != (-12.0, -6.0)]
)
FIDUCIAL_RADIUS_TAPS = 0.9
# Neighbours are never shown together: what is left is 12 taps apart, and 10 from a neighbouring tile's, so that no
# sub-aperture's image of a disc reaches into the next, however bad its lenslet is.
SCENE_OF_FIDUCIAL: NDArray[np.intp] = np.array([2 * (y % 12 != 0) + (x % 12 != 0) for y, x in FIDUCIALS_TAPS], np.intp)
"""Which of the scenes shows each disc, (n,)."""
FIDUCIAL_SCENES = 4


_SIDE_TAPS = 28  # of a tile that the discs are made for


def unit_taps(bench: Bench) -> int:
    """How many taps are one of `FIDUCIALS_TAPS`: more than one where tiles are large and taps are small.

    A disc of a tap or two is a pixel or two where a tap is one pixel of a filter's own grid.
    """
    geometry = bench.config.geometry
    sides = [geometry.tile_pitch_um / geometry.tap_um]
    sides += [side / geometry.display_px_per_tap for side in bench.display.plane_shape]
    return max(1, int(min(sides)) // _SIDE_TAPS)


def in_units(affine: NDArray[np.float64], unit: int) -> NDArray[np.float64]:
    """Take maps from taps (..., 2, 3) as maps from `unit` taps each."""
    scaled = affine.copy()
    scaled[..., :2] *= unit
    return scaled


def fiducial_scenes(bench: Bench, colour: int | None = None) -> list[NDArray[np.float32]]:
    """Discs on black at `FIDUCIALS_TAPS`, a part of them in each scene; antialiased, so that they are centred.

    They are white, or of one colour.
    """
    scale = bench.config.geometry.display_px_per_tap * unit_taps(bench)
    height, width = bench.display.plane_shape
    y = np.arange(height)[:, None] - (height - 1) / 2
    x = np.arange(width)[None, :] - (width - 1) / 2
    scenes = [np.zeros((height, width), np.float32) for _ in range(FIDUCIAL_SCENES)]
    for number, (centre_y, centre_x) in zip(SCENE_OF_FIDUCIAL, FIDUCIALS_TAPS * scale, strict=True):
        distance = np.hypot(y - centre_y, x - centre_x)
        scenes[number] += np.clip(FIDUCIAL_RADIUS_TAPS * scale - distance + 0.5, 0, 1).astype(np.float32)
    return [shown_in(scene, bench, colour) for scene in scenes]
