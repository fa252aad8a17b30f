r"""Random walks in the world's time that can be asked for at any moment, in any order.

Brownian motion by Levy's construction: W is drawn at the end of a span longer than any experiment, then between known
moments by halving, down to the step; linear within a step. Each draw has a number of its own, so that W depends on
nothing but seed, name and moment.

    W((a + b) / 2) = (W(a) + W(b)) / 2 + sqrt((b - a) / 4) n
"""

from functools import lru_cache

from sim.draws import stream

_STEP_S = 1.0
_HALVINGS = 34  # 2^34 s are 544 years
_HOUR_S = 3600.0


class Walk:
    """One walk, 0 at the beginning, with a standard deviation of 1 after an hour."""

    def __init__(self, seed: int, name: str) -> None:
        self._seed = seed
        self._name = name
        self._node = lru_cache(maxsize=4096)(self._draw)

    def at(self, now_s: float) -> float:
        """Where it is at that moment."""
        low_s, high_s = 0.0, _STEP_S * 2**_HALVINGS
        low, high = 0.0, (high_s / _HOUR_S) ** 0.5 * self._node(_HALVINGS, 0)
        place = 0
        for level in reversed(range(_HALVINGS)):
            middle_s = (low_s + high_s) / 2
            middle = (low + high) / 2 + ((high_s - low_s) / _HOUR_S / 4) ** 0.5 * self._node(level, place)
            place *= 2
            if now_s < middle_s:
                high_s, high = middle_s, middle
            else:
                low_s, low = middle_s, middle
                place += 1
        return float(low + (high - low) * (now_s - low_s) / (high_s - low_s))

    def _draw(self, level: int, place: int) -> float:
        return float(stream(self._seed, f"{self._name} {level} {place}").standard_normal())
