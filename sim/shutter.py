"""The shutter's blade: where it was told to be, and where it is."""

import threading
from bisect import bisect_right
from itertools import pairwise
from math import inf

_REMEMBERED_S = 200.0


class Shutter:
    """A blade that arrives a travel time after the command; safe to use from several threads."""

    def __init__(self, travel_s: float) -> None:
        self.travel_s = travel_s
        self.told_open = False
        self.stuck = False
        """Whether the blade stays where it is, whatever it is told."""
        self._lock = threading.Lock()
        self._arrivals: list[tuple[float, bool]] = [(-inf, False)]

    def move(self, opening: bool, now_s: float) -> bool:
        """Tell it to open or to close; whether the blade begins to move."""
        with self._lock:
            self.told_open = opening
            if self.stuck or self._arrivals[-1][1] == opening:
                return False
            self._arrivals.append((now_s + self.travel_s, opening))
            old = bisect_right(self._moments(), now_s - _REMEMBERED_S) - 1
            del self._arrivals[: max(old, 0)]
            return True

    def is_open(self, at_s: float) -> bool:
        """Whether light passes at that moment; `inf`: when the blade has arrived."""
        with self._lock:
            return self._arrivals[bisect_right(self._moments(), at_s) - 1][1]

    def open_spans(self, start_s: float, stop_s: float) -> list[tuple[float, float]]:
        """From when to when it is open, between two moments."""
        with self._lock:
            inside = [moment for moment in self._moments() if start_s < moment < stop_s]
        edges = [start_s, *inside, stop_s]
        return [(begin, end) for begin, end in pairwise(edges) if self.is_open(begin)]

    def _moments(self) -> list[float]:
        return [moment for moment, _ in self._arrivals]
