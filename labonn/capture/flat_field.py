"""The flat field: how each pixel answers to a plain scene, and how bright each tile is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from labonn.capture.mosaic import PLACES, Mosaic, on_grid
from labonn.errors import CalibrationError
from labonn.instruments import COLOURS

# The edge of a plain scene is blurred by the PSF; this much of it, in taps, is left out.
_EDGE_TAPS = 1.0
# A tile dimmer than this share of the brightest one is not lit at all, but by stray light.
_DIMMEST = 0.05


@dataclass(frozen=True)
class FlatField:
    """What a plain white scene under a flat phase says."""

    flat: NDArray[np.float32]
    """(H, W), 1 in the mean of each tile, 1 where nothing is lit."""
    transmission: NDArray[np.float64]
    """(T,), 1 in the mean; behind filters (T, C), in each colour of them."""


def flat_field(
    lit: NDArray[np.float32], affine: NDArray[np.float64], image_shape: tuple[int, int], least_signal: float
) -> FlatField:
    """Normalise a plain white scene's picture, tile by tile.

    Parameters
    ----------
    lit
        Mean white frame less mean black frame, (H, W), counts.
    affine
        (T, 2, 3): where each tile is, nominally; half a tile pitch around it is searched.
    image_shape
        Taps of an image, (h, w).
    least_signal
        Counts below which a tile is dark.

    Raises
    ------
    CalibrationError
        If a tile is dark.
    """
    flat = np.ones_like(lit)
    levels = np.zeros(len(affine))
    boxes = [_box(a, image_shape, lit.shape, 0.25) for a in affine]
    brightest = max(float(np.median(lit[box])) for box in boxes)
    for tile, box in enumerate(boxes):
        level = float(np.median(lit[box]))
        if level < max(least_signal, _DIMMEST * brightest):
            raise CalibrationError(
                f"tile {tile} stays dark in front of a white display: {level:.1f} counts where the brightest tile has"
                f" {brightest:.1f}; check the SLM, the layout and the alignment of that sub-aperture"
            )
        whole = _box(affine[tile], image_shape, lit.shape, 0.5 + 3 / min(image_shape))
        edge = round(_EDGE_TAPS * abs(affine[tile, 0, 0]))
        inner = binary_erosion(lit[whole] > level / 2, np.ones((2 * edge + 1, 2 * edge + 1), bool))
        levels[tile] = lit[whole][inner].mean(dtype=np.float64)
        flat[whole][inner] = lit[whole][inner] / levels[tile]
    return FlatField(flat, levels / levels.mean())


def flat_field_behind(
    mosaic: Mosaic,
    lit: NDArray[np.float32],
    affine: NDArray[np.float64],
    image_shape: tuple[int, int],
    least_signal: float,
) -> FlatField:
    """Do the same for each of the filters alone: the pixels of one filter are 1 in the mean of each tile."""
    flat = np.ones_like(lit)
    of_place = {}
    for place in PLACES:
        every_second = (slice(place[0], None, 2), slice(place[1], None, 2))
        found = flat_field(lit[every_second], on_grid(affine, place), image_shape, least_signal)
        flat[every_second] = found.flat
        of_place[place] = found.transmission
    colours = [np.mean([of_place[place] for place in mosaic.places(colour)], axis=0) for colour in COLOURS]
    return FlatField(flat, np.stack(colours, axis=1))


def _box(
    affine: NDArray[np.float64], image_shape: tuple[int, int], frame_shape: tuple[int, ...], half: float
) -> tuple[slice, slice]:
    """Pixels around a tile's centre, to `half` of its image's size in each direction."""
    slices = []
    for axis in (0, 1):
        centre, reach = affine[axis, 2], half * image_shape[axis] * abs(affine[axis, axis])
        low, high = max(0, round(centre - reach)), min(frame_shape[axis], round(centre + reach) + 1)
        if high <= low:
            raise CalibrationError("a tile lies outside the sensor; check tile_pitch_um, tap_um and camera_pixel_um")
        slices.append(slice(low, high))
    return slices[0], slices[1]
