"""What chance decided about one world: drawn once from its seed, each effect from a stream of its own.

Only standard normal numbers are drawn here; the effects scale them. So switching one effect, or changing its strength,
leaves every other one as it was.
"""

from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def stream(seed: int, name: str) -> np.random.Generator:
    """Random numbers for one purpose in the world of this seed."""
    return np.random.default_rng([seed, crc32(name.encode())])


@dataclass(frozen=True)
class Draws:
    """Standard normal draws of one world; T is the number of sub-apertures."""

    seed: int
    zernikes: Array  # (T, 5): defocus, astigmatism 0 and 45 degrees, coma down and right
    tile_gain: Array  # (T,)
    tile_shift: Array  # (T, 2): down, right
    shift: Array  # (2,): down, right
    display_rotation: float
    display_scale: float
    grid_rotation: float
    shear: Array  # (2,): of the display's picture, of the grid


def draw(seed: int, tiles: int) -> Draws:
    """Draw a world."""
    turns = stream(seed, "misalignment").standard_normal(5)
    return Draws(
        seed=seed,
        zernikes=stream(seed, "aberrations").standard_normal((tiles, 5)),
        tile_gain=stream(seed, "tile_gain").standard_normal(tiles),
        tile_shift=stream(seed, "tile_shift").standard_normal((tiles, 2)),
        shift=turns[:2],
        display_rotation=float(turns[2]),
        display_scale=float(turns[3]),
        grid_rotation=float(turns[4]),
        shear=stream(seed, "shear").standard_normal(2),
    )
