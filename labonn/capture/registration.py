"""From a frame to optical maps: dark, flat, the place of every tap, gain and background, as one sparse product."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from labonn.capture.calibration import Calibration
from labonn.capture.mosaic import Mosaic
from labonn.capture.tap_cells import check_on_sensor, pixel_shares
from labonn.errors import CalibrationError
from labonn.instruments import COLOURS

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


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
        self._weights, self._offset = _weights_and_offset(calibration)

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


def _weights_and_offset(calibration: Calibration) -> tuple[sparse.csr_array, Floats]:
    """W, (T [C] h w, H W), and o, (T [C] h w)."""
    _check_on_sensor(calibration)
    dark, flat = (plane.ravel().astype(np.float64) for plane in (calibration.dark, calibration.flat))
    # By tile, whose entries a processor keeps near; some side by side, since little of it is Python's.
    with ThreadPoolExecutor() as pool:
        tiles = list(pool.map(partial(_of_tile, calibration, dark, flat), range(len(calibration.gain))))
    data, indices, counts, offsets = zip(*tiles, strict=True)
    begins = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    kind = np.int32 if begins[-1] <= np.iinfo(np.int32).max else np.int64  # scipy wants both kinds alike
    parts = np.concatenate(data), np.concatenate(indices).astype(kind, copy=False), begins.astype(kind)
    weights = sparse.csr_array(parts, shape=(len(begins) - 1, dark.size))
    return weights, np.concatenate(offsets).astype(np.float32)


def _of_tile(
    calibration: Calibration, dark: Doubles, flat: Doubles, tile: int
) -> tuple[Floats, NDArray[np.int32], NDArray[np.intp], Doubles]:
    """A tile's rows of W: values, columns, how many in each row; and its part of o."""
    pixels, shares = _pixel_shares(calibration, tile)
    gain, used = calibration.gain[tile], shares != 0
    count, places = used.sum(axis=-1), pixels[used]
    per_unit = (shares / gain[..., None, None])[used] / flat[places]
    backgrounds = np.broadcast_to((calibration.background[tile] / gain)[..., None], count.shape)
    begins = np.cumsum(count) - count.ravel()
    offset = np.add.reduceat(per_unit * dark[places], begins) + backgrounds.ravel()
    return per_unit.astype(np.float32), places, count.ravel(), offset


def _pixel_shares(calibration: Calibration, tile: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Which pixels make each cell of a tile, and how much of each: ([C or 1,] h w, K)."""
    places, image_shape, frame_shape = calibration.affine[tile], calibration.image_shape, calibration.dark.shape
    if calibration.filters:
        return Mosaic(calibration.filters).pixel_shares(places, image_shape, frame_shape, calibration.unmixing)
    return pixel_shares(places.reshape(-1, 2, 3), image_shape, frame_shape)


def _check_on_sensor(calibration: Calibration) -> None:
    image_shape, frame_shape = calibration.image_shape, calibration.dark.shape
    for places in [calibration.affine] if calibration.affine.ndim == 3 else calibration.affine.swapaxes(0, 1):
        if calibration.filters:
            Mosaic(calibration.filters).check_on_sensor(places, image_shape, frame_shape)
        else:
            check_on_sensor(places, image_shape, frame_shape)
