"""Which pixels of the sensor make each tap of a tile, and how much of each."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.errors import CalibrationError

Doubles = NDArray[np.float64]


def pixel_shares(
    affine: Doubles,
    image_shape: tuple[int, int],
    frame_shape: tuple[int, ...],
    *,
    first: tuple[int, int] = (0, 0),
    every: int = 1,
) -> tuple[NDArray[np.int32], Doubles]:
    """Which pixels have a share in the mean over each tap's cell, and how much.

    Parameters
    ----------
    affine
        (T, 2, 3), from taps to sensor pixels; a pixel's centre is at its index.
    image_shape
        Taps of one tile, (h, w).
    frame_shape
        (H, W). Cells must lie on it; see `check_on_sensor`.
    first, every
        Where only every so manieth pixel from a first one on, (down, right), has a part; `affine` counts these alone.

    Returns
    -------
    Pixels, as they are counted in a whole frame, and their shares, both (T, h * w, K): as many as any cell has. Those
    of a cell sum to 1, and some are 0.
    """
    centres, extents = _cells(affine, image_shape)
    at, shares = [], []
    for axis in range(2):
        touched, share = _overlaps(centres[:, axis], extents[:, axis : axis + 1])
        last = (frame_shape[axis] - 1 - first[axis]) // every
        # those just beyond the frame have no share: which they are does not matter
        at.append(np.clip(touched, 0, last) * np.int32(every) + np.int32(first[axis]))
        shares.append(share)
    pixels = at[0][:, None] * np.int32(frame_shape[1]) + at[1]  # (reach, reach, T, cells): long axes last are faster
    of_pixels = shares[0][:, None] * shares[1]
    return _one_axis_last(pixels), _one_axis_last(of_pixels)


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


def _overlaps(centres: Doubles, extent: Doubles) -> tuple[NDArray[np.int32], Doubles]:
    """Give the pixels that each interval touches, and its shares on them, both (reach, T, cells)."""
    low, high = centres - extent / 2, centres + extent / 2
    reach = int(np.ceil(extent.max())) + 1
    touched = np.floor(low + 0.5).astype(np.int32) + np.arange(reach, dtype=np.int32)[:, None, None]
    edges = touched - 0.5
    covered: Doubles = np.minimum(high, edges + 1) - np.maximum(low, edges)
    return touched, np.clip(covered, 0, None) / extent


def _one_axis_last(values: NDArray[Any]) -> NDArray[Any]:
    """(reach, reach, T, cells) as (T, cells, reach^2), without a copy."""
    return np.moveaxis(values.reshape(-1, *values.shape[2:]), 0, -1)
