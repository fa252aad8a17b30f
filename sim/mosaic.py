"""Colour filters on the sensor: from light of each colour to what each pixel sees."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sim.effects_sensor import Bayer

Floats = NDArray[np.float32]
FILTERS = ((0, 1), (1, 2))  # R G / G B: rows of `Bayer.response`, for even and odd rows and columns


def seen_through(light: Sequence[Floats], bayer: Bayer) -> Floats:
    """Weigh the channels' light, (H, W) each, by every pixel's filter; without filters, add up. Overwrites them."""
    if not bayer.on:
        total = light[0]
        for more in light[1:]:
            total += more
        return total
    seen = np.empty_like(light[0])
    for down in (0, 1):
        for right in (0, 1):
            cell = (slice(down, None, 2), slice(right, None, 2))
            response = bayer.response[FILTERS[down][right]]
            seen[cell] = sum(np.float32(part) * channel[cell] for part, channel in zip(response, light, strict=True))
    return seen
