"""From a frame to optical maps: dark, flat, the place of every tap, gain and background, as one sparse product."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from labonn.capture.calibration import Calibration
from labonn.errors import CalibrationError

Floats = NDArray[np.float32]


class Registration:
    r"""Cuts frames into the tiles of the student's optical maps.

    Cell (i, j) of tile s is the mean over its area on the sensor of (frame - dark) / flat, less the tile's background,
    over its gain. All of it is linear in the frame, so it is one matrix and one offset:

        maps = W frame - o,   W = diag(1 / gain) A diag(1 / flat),   o = W dark + background / gain

    with A the share of each pixel in each cell. A cell's place follows the calibrated affine map; its outline is taken
    along the pixel grid, which at a rotation of 1 degree and 7.5 pixels a tap misplaces its edges by 0.07 px at most.

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
            tile = int(np.flatnonzero(~(calibration.gain > 0))[0])
            raise CalibrationError(
                f"tile {tile} has a gain of {calibration.gain[tile]:.3g}: its maps do not follow the student's;"
                " check that the phase pattern on the SLM is the one of this model"
            )
        self.calibration = calibration
        cells = tap_cells(calibration.affine, calibration.image_shape, calibration.dark.shape)
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
        (T, h, w) float32; an ideal bench returns the student's own maps.
        """
        if frame.shape != self.calibration.dark.shape:
            raise CalibrationError(
                f"a frame of {frame.shape} (H, W) does not fit the calibration, made with {self.calibration.dark.shape}"
            )
        maps = self._weights @ frame.ravel().astype(np.float32) - self._offset
        return np.asarray(maps, np.float32).reshape(-1, *self.calibration.image_shape)


def tap_cells(
    affine: NDArray[np.float64], image_shape: tuple[int, int], frame_shape: tuple[int, ...]
) -> sparse.csr_array:
    """Share of each pixel in the mean over each tap's cell.

    Parameters
    ----------
    affine
        (T, 2, 3), from taps to sensor pixels; a pixel's centre is at its index.
    image_shape
        Taps of one tile, (h, w).
    frame_shape
        (H, W).

    Returns
    -------
    (T * h * w, H * W), each row summing to 1.

    Raises
    ------
    CalibrationError
        If a cell does not lie wholly on the sensor.
    """
    rows, columns = image_shape
    tap_y, tap_x = np.meshgrid(np.arange(rows) - (rows - 1) / 2, np.arange(columns) - (columns - 1) / 2, indexing="ij")
    taps = np.stack([tap_y.ravel(), tap_x.ravel(), np.ones(rows * columns)])
    centres = affine @ taps  # (T, 2, cells)
    extents = np.stack([np.abs(affine[:, 0, 0]), np.abs(affine[:, 1, 1])], axis=1)  # (T, 2): a tap's height and width
    limits = np.array(frame_shape[:2])[None, :, None] - 0.5
    inside = (centres - extents[..., None] / 2 >= -0.5) & (centres + extents[..., None] / 2 <= limits)
    if not inside.all():
        tile = int(np.flatnonzero(~inside.all(axis=(1, 2)))[0])
        raise CalibrationError(f"tile {tile} lies partly outside the sensor; move the camera or correct tile_pitch_um")
    first_y, share_y = _overlaps(centres[:, 0], extents[:, :1])
    first_x, share_x = _overlaps(centres[:, 1], extents[:, 1:])
    shares = share_y[..., :, None] * share_x[..., None, :]  # (T, cells, reach, reach)
    pixel_y = first_y[..., None, None] + np.arange(share_y.shape[-1])[:, None]
    pixel_x = first_x[..., None, None] + np.arange(share_x.shape[-1])[None, :]
    used = shares > 0
    cell = np.broadcast_to(np.arange(shares.shape[0] * shares.shape[1]).reshape(*shares.shape[:2], 1, 1), shares.shape)
    pixel = np.broadcast_to(pixel_y * frame_shape[1] + pixel_x, shares.shape)
    size = (shares.shape[0] * shares.shape[1], frame_shape[0] * frame_shape[1])
    return sparse.csr_array(sparse.coo_array((shares[used], (cell[used], pixel[used])), shape=size))


def _overlaps(
    centres: NDArray[np.float64], extent: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Give the first pixel that each interval touches, and its shares on that pixel and the next ones."""
    low, high = centres - extent / 2, centres + extent / 2
    first = np.floor(low + 0.5).astype(np.intp)
    reach = int(np.ceil(extent.max())) + 1
    edges = first[..., None] + np.arange(reach) - 0.5
    covered = np.minimum(high[..., None], edges + 1) - np.maximum(low[..., None], edges)
    return first, np.clip(covered, 0, None) / extent[..., None]
