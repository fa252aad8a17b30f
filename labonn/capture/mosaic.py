"""A colour sensor's filters: which pixels are of which colour, pictures of one colour, and its taps."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve

from labonn.capture.tap_cells import check_on_sensor, pixel_shares
from labonn.instruments import COLOURS

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

PLACES = ((0, 0), (0, 1), (1, 0), (1, 1))
"""The pixels of each square, (down, right), in the order in which a mosaic's letters stand."""
# A pixel of another colour takes the mean of the nearest ones of this; a colour has one pixel of four, or two.
_BILINEAR = {
    1: np.array([[0.25, 0.5, 0.25], [0.5, 1.0, 0.5], [0.25, 0.5, 0.25]]),
    2: np.array([[0.0, 0.25, 0.0], [0.25, 1.0, 0.25], [0.0, 0.25, 0.0]]),
}


def on_grid(affine: Doubles, place: tuple[int, int]) -> Doubles:
    """Map taps to the grid of every second pixel from a place on, (..., 2, 3), as `affine` does to all pixels."""
    own = affine / 2
    own[..., 2] -= np.array(place) / 2
    return own


@dataclass(frozen=True)
class Mosaic:
    """Filters over the pixels, the same for each 2 x 2 of them.

    OpenCV names the same mosaics by their second row and second column: what is RGGB here, and in cameras' manuals, is
    `COLOR_BayerBG2RGB` there, also called `COLOR_BayerRGGB2RGB`.

    Attributes
    ----------
    filters
        Row by row: of the frame's first row the first two pixels, then of its second row; "RGGB".
    """

    filters: str

    def places(self, colour: str) -> list[tuple[int, int]]:
        """Where in each square a colour's pixels are, (down, right)."""
        return [place for place, one in zip(PLACES, self.filters, strict=True) if one == colour]

    def mask(self, colour: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Which pixels of a frame (H, W) are of a colour."""
        mask = np.zeros(shape, bool)
        for down, right in self.places(colour):
            mask[down::2, right::2] = True
        return mask

    def picture(self, frame: NDArray[np.uint16] | Floats, colour: str) -> Floats:
        """Demosaic one colour of a frame (H, W), linearly between its pixels: (H, W), counts.

        A point's image does not move by it, but becomes wider by half a pixel or so.
        """
        kernel = _BILINEAR[len(self.places(colour))]
        mask = self.mask(colour, frame.shape).astype(np.float64)
        near = convolve(mask, kernel, mode="constant")
        return np.asarray(convolve(frame * mask, kernel, mode="constant") / near, np.float32)

    def pixel_shares(
        self, affine: Doubles, image_shape: tuple[int, int], frame_shape: tuple[int, ...], unmixing: Doubles
    ) -> tuple[NDArray[np.int32], Doubles]:
        """Which pixels have a share in each tap of each colour, unmixed; otherwise as `tap_cells.pixel_shares`.

        A pixel stands for the 2 x 2 about it, so that a cell's middle is where it should be, however its edges lie.

        Parameters
        ----------
        affine
            Of one tile's colours, (C, 2, 3).
        image_shape, frame_shape
            As there.
        unmixing
            How much of the mean of each filter's pixels makes a colour, (C, F).
        """
        pixels, shares = [], []
        for place, colour in zip(PLACES, self.filters, strict=True):
            found, share = pixel_shares(on_grid(affine, place), image_shape, frame_shape, first=place, every=2)
            pixels.append(found)
            of_filter = unmixing[:, COLOURS.index(colour)] / self.filters.count(colour)
            shares.append(share * of_filter[:, None, None])
        return np.concatenate(pixels, axis=-1), np.concatenate(shares, axis=-1)

    def check_on_sensor(self, affine: Doubles, image_shape: tuple[int, int], frame_shape: tuple[int, ...]) -> None:
        """Refuse cells (T, 2, 3) that lack pixels of some filter, as `tap_cells.check_on_sensor` does."""
        for place in PLACES:
            check_on_sensor(on_grid(affine, place), image_shape, self._grid(place, frame_shape))

    @staticmethod
    def _grid(place: tuple[int, int], frame_shape: tuple[int, ...]) -> tuple[int, int]:
        """Shape of every second pixel from a place on."""
        return len(range(place[0], frame_shape[0], 2)), len(range(place[1], frame_shape[1], 2))
