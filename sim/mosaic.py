"""Colour filters on the sensor: how much each pixel of a square of 2 x 2 sees of each colour."""

import numpy as np
from numpy.typing import NDArray

from sim.effects_sensor import Bayer

FILTERS = ((0, 1), (1, 2))  # R G / G B: rows of `Bayer.response`, for even and odd rows and columns


def shares(bayer: Bayer) -> NDArray[np.float32]:
    """What the pixels see of the source's channels: (2, 2, C), for even and odd rows and columns."""
    return np.asarray(np.array(bayer.response)[np.array(FILTERS)], np.float32)
