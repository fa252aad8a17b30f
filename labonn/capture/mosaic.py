"""A colour sensor's filters: which pixels are of which colour, pictures of one colour, and its taps."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.ndimage import convolve

from labonn.capture.tap_cells import tap_cells

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

    def cells(
        self, affine: Doubles, image_shape: tuple[int, int], frame_shape: tuple[int, ...], colour: str
    ) -> sparse.csr_array:
        """Share of each pixel of one colour in the mean over each tap's cell; otherwise as `tap_cells`.

        A pixel stands for the 2 x 2 about it, so that a cell's middle is where it should be, however its edges lie.
        """
        places = self.places(colour)
        rows, columns, shares = [], [], []
        for down, right in places:
            shape = (len(range(down, frame_shape[0], 2)), len(range(right, frame_shape[1], 2)))
            found = tap_cells(on_grid(affine, (down, right)), image_shape, shape).tocoo()
            at_row, at_column = np.divmod(found.col.astype(np.int64), shape[1])
            rows.append(found.row)
            columns.append((2 * at_row + down) * frame_shape[1] + 2 * at_column + right)
            shares.append(found.data / len(places))
        size = (len(affine) * image_shape[0] * image_shape[1], frame_shape[0] * frame_shape[1])
        entries = (np.concatenate(shares), (np.concatenate(rows), np.concatenate(columns)))
        return sparse.csr_array(sparse.coo_array(entries, shape=size))
