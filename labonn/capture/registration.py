"""From a frame to optical maps: dark, flat, the place of every tap, gain and background, as one sparse product."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from labonn.capture.calibration import Calibration
from labonn.capture.mosaic import Mosaic
from labonn.capture.tap_cells import tap_cells
from labonn.errors import CalibrationError
from labonn.instruments import COLOURS

Floats = NDArray[np.float32]


class Registration:
    r"""Cuts frames into the tiles of the student's optical maps.

    Cell (i, j) of tile s is the mean over its area on the sensor of (frame - dark) / flat, less the tile's background,
    over its gain. All of it is linear in the frame, so it is one matrix and one offset:

        maps = W frame - o,   W = diag(1 / gain) A diag(1 / flat),   o = W dark + background / gain

    with A the share of each pixel in each cell. A cell's place follows the calibrated affine map; its outline is taken
    along the pixel grid, which at a rotation of 1 degree and 7.5 pixels a tap misplaces its edges by 0.07 px at most.

    In colour, a tile has a place, a gain and a background for each colour c, and what the other colours add behind its
    filter is taken away: with A_cf the share of each pixel of filter f in the cells of colour c, and U the unmixing,

        A_c = sum_f U_cf A_cf,

    all colours still in one matrix. Where colours are shown one after another, a frame is cut at the places of all of
    them; only those of the colour that it shows mean anything.

    Parameters
    ----------
    calibration
        Of the bench, with the phase pattern that is on its SLM.

    Raises
    ------
    CalibrationError
        If a tile does not lie wholly on the sensor, or its gain is not positive.
    """

    def __init__(self, calibration: Calibration) -> None:
        if not (calibration.gain > 0).all():
            place = tuple(np.argwhere(~(calibration.gain > 0))[0])
            raise CalibrationError(
                f"{named(place)} has a gain of {calibration.gain[place]:.3g}: its maps do not follow the student's;"
                " check that the phase pattern on the SLM is the one of this model"
            )
        self.calibration = calibration
        cells = _cells(calibration)
        per_tile = calibration.image_shape[0] * calibration.image_shape[1]
        unit = np.repeat(1 / calibration.gain, per_tile)
        weights = sparse.diags_array(unit) @ cells @ sparse.diags_array(1 / calibration.flat.ravel().astype(np.float64))
        offset = weights @ calibration.dark.ravel().astype(np.float64)
        offset += np.repeat(calibration.background / calibration.gain, per_tile)
        self._weights = sparse.csr_array(weights, dtype=np.float32)
        self._offset = offset.astype(np.float32)

    def tiles(self, frame: NDArray[np.uint16] | Floats) -> Floats:
        """Optical maps of one frame, in the student's units.

        Parameters
        ----------
        frame
            Counts, (H, W), at the calibration's exposure.

        Returns
        -------
        (T, h, w) float32, in colour (T, C, h, w); an ideal bench returns the student's own maps.
        """
        if frame.shape != self.calibration.dark.shape:
            raise CalibrationError(
                f"a frame of {frame.shape} (H, W) does not fit the calibration, made with {self.calibration.dark.shape}"
            )
        maps = self._weights @ frame.ravel().astype(np.float32, copy=False) - self._offset
        return np.asarray(maps, np.float32).reshape(-1, *self.calibration.picture_shape)


def named(place: tuple[int, ...]) -> str:
    """Name a tile (t,), or one colour of it (t, c), in a message."""
    return f"tile {place[0]}" if len(place) == 1 else f"tile {place[0]}, colour {COLOURS[place[1]]}"


def _cells(calibration: Calibration) -> sparse.csr_array:
    """Share of each pixel in each cell, (T h w, H W), in colour (T C h w, H W)."""
    affine, image_shape, frame_shape = calibration.affine, calibration.image_shape, calibration.dark.shape
    if not calibration.colours:
        return tap_cells(affine, image_shape, frame_shape)
    colours = []
    for colour, shares in enumerate(calibration.unmixing):
        own = affine[:, colour]
        if not calibration.filters:
            colours.append(tap_cells(own, image_shape, frame_shape))
            continue
        mosaic = Mosaic(calibration.filters)
        of_filters = (mosaic.cells(own, image_shape, frame_shape, one) for one in COLOURS)
        colours.append(sum(share * cells for share, cells in zip(shares, of_filters, strict=True)))
    by_colour = np.arange(affine.shape[0] * affine.shape[1] * image_shape[0] * image_shape[1])
    by_tile = by_colour.reshape(affine.shape[1], affine.shape[0], -1).swapaxes(0, 1).ravel()
    return sparse.csr_array(sparse.vstack(colours, format="csr"))[by_tile]
