r"""Whether a bench still is what it was: images that were captured then are captured again, twice, and compared.

Light varies from frame to frame, by a factor g for all counts above the dark frame; so with o_k the maps of image k
then, a_k and b_k its maps now, B the tile's background in the maps' units and x' = x + B,

    before_t = mean over k of (|a_k' - g o_k'|^2 + |b_k' - g o_k'|^2) / 2,   now_t = mean over k of |a_k' - g b_k'|^2

for each tile t, each g fitted. On a bench that stands still both are twice the variance of a frame's noise. What has
moved since adds its own square to the first: the bench has changed where that is more than the noise of one frame,

    before_t > 1.5 now_t.

On the simulated bench the ratio stays below 1.2 where nothing moves, and passes 1.5 for a shift of 0.1 px; a change of
the light alone is in g, which may differ from 1 by 2 %.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

MOST_RATIO = 1.5
MOST_LIGHT = 0.02
_NOTHING = 1e-3  # of a map's rms: less is no change, however little noise there is


@dataclass(frozen=True)
class Sameness:
    """What a comparison found."""

    ratio: float
    """Of the tile that changed most: mean squared difference then to now, over that of now to now."""
    tile: int
    light: float
    """How much brighter it is now, as a share."""
    light_spread: float
    """Standard deviation of the light from frame to frame, as a share."""

    @property
    def same(self) -> bool:
        """Whether noise explains the differences."""
        return self.ratio <= MOST_RATIO and abs(self.light) <= max(MOST_LIGHT, 3 * self.light_spread)

    def __str__(self) -> str:
        light = f"the light by {100 * self.light:+.1f} %"
        if self.same:
            return f"maps differ as noise does (tile {self.tile}: {self.ratio:.2f} times), {light}"
        if self.ratio <= MOST_RATIO:
            return f"{light}, more than the {100 * MOST_LIGHT:g} % that are let pass"
        return (
            f"the maps of tile {self.tile} differ {self.ratio:.2f} times as much as frames of one image do"
            f" (up to {MOST_RATIO:g} is let pass), {light}"
        )


def compare(before: Floats, again: Floats, background: NDArray[np.float64]) -> Sameness:
    """Compare maps of K images with those that were captured of them before.

    Parameters
    ----------
    before
        (K, T, h, w), in colour (K, T, C, h, w).
    again
        Captured twice, (2, K, T, h, w).
    background
        Of each tile in the maps' units, (T,), in colour (T, C): what the maps leave out of the counts above the dark
        frame.
    """
    lift = background[..., None, None].astype(np.float32)
    then, first, second = before + lift, again[0] + lift, again[1] + lift
    to_first, to_second, repeat = _factors(first, then), _factors(second, then), _factors(first, second)
    changed = (_squares(first - to_first * then) + _squares(second - to_second * then)) / 2
    noise = _squares(first - repeat * second)
    ratio = changed / np.maximum(noise, _NOTHING**2 * _squares(then))
    light = np.concatenate([to_first.ravel(), to_second.ravel()])
    tile = int(np.argmax(ratio))
    return Sameness(float(ratio[tile]), tile, float(np.median(light)) - 1, float(np.std(repeat) / np.sqrt(2)))


def _factors(now: Floats, then: Floats) -> Floats:
    """Light of each frame relative to another of the same image, (K, 1, 1, 1)."""
    axes = tuple(range(1, now.ndim))
    return np.asarray((now * then).sum(axes, keepdims=True) / (then * then).sum(axes, keepdims=True), np.float32)


def _squares(difference: Floats) -> NDArray[np.float64]:
    """Mean square of each tile, (T,)."""
    axes = (0, *range(2, difference.ndim))
    return np.asarray((difference.astype(np.float64) ** 2).mean(axis=axes))
