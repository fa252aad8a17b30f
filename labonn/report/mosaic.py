"""Small feature maps beside each other, as an array of colours: for pictures that are drawn several times a second."""

import numpy as np
from numpy.typing import NDArray

from labonn.report.style import BLUE, VERMILLION

_GAP = 1
_NEUTRAL = np.array([255, 255, 255], np.float32)


def maps_strip(maps: NDArray[np.float32], largest: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Colour signed maps and put them in a row: blue below zero, white at zero, vermillion above.

    Parameters
    ----------
    maps
        (K, h, w).
    largest
        What the full colour stands for, by kernel, (K,).

    Returns
    -------
    (h, K w + gaps, 3) uint8.
    """
    kernels, height, width = maps.shape
    strip = np.full((height, kernels * (width + _GAP) - _GAP, 3), 128, np.uint8)
    for k in range(kernels):
        share = np.clip(maps[k] / (largest[k] or 1.0), -1, 1)[..., None]
        colour = np.where(share > 0, _rgb(VERMILLION), _rgb(BLUE))
        strip[:, k * (width + _GAP) : k * (width + _GAP) + width] = _NEUTRAL + (colour - _NEUTRAL) * np.abs(share)
    return strip


def _rgb(colour: str) -> NDArray[np.float32]:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], np.float32)
