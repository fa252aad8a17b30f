"""Which pixels of the sensor make each tap of a tile, and how much of each."""

import numpy as np
from numpy.typing import NDArray

from labonn.errors import CalibrationError

Doubles = NDArray[np.float64]


def pixel_shares(
    affine: Doubles, image_shape: tuple[int, int], frame_shape: tuple[int, ...]
) -> tuple[NDArray[np.intp], Doubles]:
    """Which pixels have a share in the mean over each tap's cell, and how much.

    Parameters
    ----------
    affine
        (T, 2, 3), from taps to sensor pixels; a pixel's centre is at its index.
    image_shape
        Taps of one tile, (h, w).
    frame_shape
        (H, W). Cells must lie on it; see `check_on_sensor`.

    Returns
    -------
    Pixels, as they are counted in a whole frame, and their shares, both (T, h * w, K): as many as any cell has. Those
    of a cell sum to 1, and some are 0.
    """
    centres, extents = _cells(affine, image_shape)
    first_y, share_y = _overlaps(centres[:, 0], extents[:, :1])
    first_x, share_x = _overlaps(centres[:, 1], extents[:, 1:])
    shares = share_y[..., :, None] * share_x[..., None, :]  # (T, cells, reach, reach)
    pixel_y = first_y[..., None, None] + np.arange(share_y.shape[-1])[:, None]
    pixel_x = first_x[..., None, None] + np.arange(share_x.shape[-1])[None, :]
    # those just beyond the frame have no share: which they are does not matter
    pixels = np.clip(pixel_y, 0, frame_shape[0] - 1) * frame_shape[1] + np.clip(pixel_x, 0, frame_shape[1] - 1)
    return pixels.reshape(*shares.shape[:2], -1), shares.reshape(*shares.shape[:2], -1)


def check_on_sensor(affine: Doubles, image_shape: tuple[int, int], frame_shape: tuple[int, ...]) -> None:
    """Refuse cells, as in `pixel_shares`, that do not lie wholly on the sensor: CalibrationError."""
    centres, extents = _cells(affine, image_shape)
    limits = np.array(frame_shape[:2])[None, :, None] - 0.5
    inside = (centres - extents[..., None] / 2 >= -0.5) & (centres + extents[..., None] / 2 <= limits)
    if not inside.all():
        tile = int(np.flatnonzero(~inside.all(axis=(1, 2)))[0])
        raise CalibrationError(f"tile {tile} lies partly outside the sensor; move the camera or correct tile_pitch_um")


def _cells(affine: Doubles, image_shape: tuple[int, int]) -> tuple[Doubles, Doubles]:
    """Centres of cells, (T, 2, cells), and their height and width, (T, 2)."""
    rows, columns = image_shape
    tap_y, tap_x = np.meshgrid(np.arange(rows) - (rows - 1) / 2, np.arange(columns) - (columns - 1) / 2, indexing="ij")
    taps = np.stack([tap_y.ravel(), tap_x.ravel(), np.ones(rows * columns)])
    return affine @ taps, np.stack([np.abs(affine[:, 0, 0]), np.abs(affine[:, 1, 1])], axis=1)


def _overlaps(centres: Doubles, extent: Doubles) -> tuple[NDArray[np.intp], Doubles]:
    """Give the first pixel that each interval touches, and its shares on that pixel and the next ones."""
    low, high = centres - extent / 2, centres + extent / 2
    first = np.floor(low + 0.5).astype(np.intp)
    reach = int(np.ceil(extent.max())) + 1
    edges = first[..., None] + np.arange(reach) - 0.5
    covered = np.minimum(high[..., None], edges + 1) - np.maximum(low[..., None], edges)
    return first, np.clip(covered, 0, None) / extent[..., None]
