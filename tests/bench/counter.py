"""A number in the scene, read back from the raw frame: which picture a frame is of, whatever labonn thinks.

An image of 4 x 3 squares: eleven bits of a number, most significant first, and one for odd parity. What each square
does to a frame is learned by showing them one by one, so that neither geometry nor registration is needed.
"""

import numpy as np

from labonn.capture import scene_of
from labonn.instruments import Bench

ROWS, COLUMNS = 4, 3
BITS = ROWS * COLUMNS - 1
TAPS = 28
_SQUARE = 5
_STEP_Y, _STEP_X = 6, 8


def counter_image(number: int) -> np.ndarray:
    """(28, 28) in [0, 1]."""
    bits = [int(bit) for bit in f"{number % 2**BITS:0{BITS}b}"]
    return _squares([*bits, 1 - sum(bits) % 2])


def counter_images(numbers: range) -> np.ndarray:
    return np.stack([counter_image(number) for number in numbers])


def _squares(bits: list[int]) -> np.ndarray:
    image = np.zeros((TAPS, TAPS), np.float32)
    for place, bit in enumerate(bits):
        top, left = 2 + place // COLUMNS * _STEP_Y, 3 + place % COLUMNS * _STEP_X
        image[top : top + _SQUARE, left : left + _SQUARE] = bit
    return image


class Reader:
    """Reads the number of a frame; learned on an open bench that is lit, with the pattern and the exposure of later."""

    def __init__(self, bench: Bench) -> None:
        self._black = _seen(bench, [0] * (BITS + 1))
        white = _seen(bench, [1] * (BITS + 1)) - self._black
        masks, levels = [], []
        for place in range(BITS + 1):
            alone = _seen(bench, [int(place == other) for other in range(BITS + 1)]) - self._black
            mask = alone > 0.6 * np.quantile(alone, 0.999)
            masks.append(mask.ravel())
            levels.append(white.ravel()[mask.ravel()].mean())
        self._masks, self._levels = masks, np.array(levels)

    def number(self, frame: np.ndarray) -> int | None:
        """Give the number; None where a square is neither black nor white, a row is empty, or the parity is wrong."""
        if not frame.any(axis=1).all():
            return None
        lit = (frame.astype(np.float64) - self._black).ravel()
        shares = np.array([lit[mask].mean() for mask in self._masks]) / self._levels
        if ((shares > 0.35) & (shares < 0.65)).any() or (shares > 1.5).any():
            return None
        bits = (shares > 0.5).astype(int)
        if bits.sum() % 2 != 1:
            return None
        return int("".join(map(str, bits[:-1])), 2)


def _seen(bench: Bench, bits: list[int]) -> np.ndarray:
    bench.display.show(scene_of(_squares(bits), bench))
    return np.mean([bench.camera.snap() for _ in range(2)], axis=0)
