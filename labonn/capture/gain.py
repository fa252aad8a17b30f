"""Gain and background of each tile: how many counts stand for one unit of the student's optical map."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labonn.capture.registration import named
from labonn.errors import CalibrationError


@dataclass(frozen=True)
class TileGains:
    """Counts = gain * map + background, tile by tile, all (T,); in colour, (T, C)."""

    gain: NDArray[np.float64]
    background: NDArray[np.float64]
    residual: NDArray[np.float64]
    """Rms residual relative to the standard deviation of the counts: what the line leaves."""


def fit_gains(captured: NDArray[np.float32], predicted: NDArray[np.float32]) -> TileGains:
    """Regress captured maps on predicted ones, a line for each tile.

    Parameters
    ----------
    captured
        Registered maps in counts, (N, T, h, w), in colour (N, T, C, h, w).
    predicted
        The student's optical maps of the same images, in the same shape.

    Raises
    ------
    CalibrationError
        If a tile's prediction is constant, or its captures do not rise with it.
    """
    shape = captured.shape[1:-2]
    y, x = (_by_tile(maps) for maps in (captured, predicted))
    x_mean, y_mean = x.mean(axis=1), y.mean(axis=1)
    x_centred, y_centred = x - x_mean[:, None], y - y_mean[:, None]
    spread = (x_centred**2).mean(axis=1)
    if (tile := _first(spread <= 0)) is not None:
        raise CalibrationError(
            f"{_named(tile, shape)}: the probe images' predicted maps are constant, so no gain can be fitted"
        )
    gain = (x_centred * y_centred).mean(axis=1) / spread
    if (tile := _first(~(gain > 0))) is not None:
        raise CalibrationError(
            f"{_named(tile, shape)}: its captures fall where the student's maps rise (gain {gain[tile]:.3g}); check"
            " that the phase pattern on the SLM is the one of this model, and which way display, SLM and camera stand"
        )
    left = y_centred - gain[:, None] * x_centred
    residual = np.sqrt((left**2).mean(axis=1) / (y_centred**2).mean(axis=1))
    return TileGains(*(part.reshape(shape) for part in (gain, y_mean - gain * x_mean, residual)))


def _by_tile(maps: NDArray[np.float32]) -> NDArray[np.float64]:
    """Maps (N, T, [C,] h, w) as rows, one for each tile and colour."""
    flat = maps.reshape(len(maps), -1, *maps.shape[-2:])
    return np.moveaxis(flat, 1, 0).reshape(flat.shape[1], -1).astype(np.float64)


def _named(index: int, shape: tuple[int, ...]) -> str:
    return named(tuple(int(part) for part in np.unravel_index(index, shape)))


def _first(wrong: NDArray[np.bool_]) -> int | None:
    return int(np.flatnonzero(wrong)[0]) if wrong.any() else None
