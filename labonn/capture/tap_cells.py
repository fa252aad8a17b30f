"""Which pixels of the sensor make each tap of a tile, and how much of each."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from labonn.errors import CalibrationError


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
