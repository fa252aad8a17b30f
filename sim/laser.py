r"""The laser: how much light it gives at any moment, and why it gives none.

    r(t) = P + (r_0 - P) exp(-t / tau)       what its own photodiode sees after a command for the power P
    w(t) = h + (w_0 - h) exp(-t / tau_w)     warmth: h is 1 while it emits, else 0
    p(t) = r(t) (1 - s (1 - w(t)))           what leaves it: while it is cold, the share s of its power is missing

Its own photodiode sits before what warms up, so the laser itself does not see that; a meter and a camera do. Off is at
once: the current is cut. The moments are the world's; what was is remembered for longer than an exposure can be.
"""

import threading
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from math import exp, expm1, inf
from typing import Final

from sim.errors import SimulationError
from sim.world_file import Laser as LaserFile

FAULTS: Final = ("none", "temperature", "electrical")
_REMEMBERED_S = 200.0
_MS = 1e-3


@dataclass(frozen=True)
class _Stretch:
    """From one command to the next."""

    start_s: float
    emitting: bool
    target_mw: float  # what is emitted in the end, where it emits
    first_mw: float  # what the photodiode saw at the start
    warmth: float  # at the start


class Laser:
    """One laser's state; safe to use from several threads."""

    def __init__(self, file: LaserFile) -> None:
        self._lock = threading.RLock()
        self.file = file
        self.told_mw = file.nominal_power_mw
        self.interlock_closed = True
        self.fault = "none"
        self.ignores_off = False
        """Whether it goes on emitting when it is told to stop, as a broken one would."""
        self._stretches = [_Stretch(-inf, False, 0.0, 0.0, 0.0)]

    def turn(self, on: bool, now_s: float) -> None:
        """Emit, or stop.

        Raises
        ------
        SimulationError
            If it should emit while its interlock is open or a fault stands.
        """
        with self._lock:
            if on and not self.interlock_closed:
                raise SimulationError("the interlock is open")
            if on and self.fault != "none":
                raise SimulationError(f"the fault {self.fault!r} stands")
            if on == self.is_on(inf) or (not on and self.ignores_off):
                return
            self._begin(on, now_s + (self.file.emission_delay_s if on else 0.0), now_s)

    def set_power_mw(self, power_mw: float, now_s: float) -> None:
        """Set the power that it gives, now or when it emits."""
        if not 0.0 <= power_mw <= self.file.most_mw:
            raise SimulationError(f"the laser gives 0 to {self.file.most_mw:g} mW, not {power_mw!r}")
        with self._lock:
            self.told_mw = power_mw
            if self.is_on(inf):
                last = self._stretches[-1]
                self._begin(True, max(now_s, last.start_s), now_s)

    def set_interlock(self, closed: bool, now_s: float) -> None:
        """Open or close its interlock input; an open one cuts the current, whatever else is broken."""
        with self._lock:
            self.interlock_closed = closed
            if not closed and self.is_on(inf):
                self._begin(False, now_s, now_s)

    def set_fault(self, fault: str, now_s: float) -> None:
        """Let it have a fault, or none; a fault stops it."""
        if fault not in FAULTS:
            raise SimulationError(f"the laser has no fault {fault!r}; it has {', '.join(FAULTS)}")
        with self._lock:
            self.fault = fault
            if fault != "none" and self.is_on(inf):
                self._begin(False, now_s, now_s)

    def is_on(self, at_s: float) -> bool:
        """Whether it emits at that moment; `inf`: whether it was last told to."""
        return self._at(at_s).emitting

    def reported_mw(self, at_s: float) -> float:
        """What its own photodiode sees at that moment."""
        return self._reported(self._at(at_s), at_s)

    def power_mw(self, at_s: float) -> float:
        """What leaves it at that moment."""
        stretch = self._at(at_s)
        return self._reported(stretch, at_s) * self._warm_part(stretch, at_s)

    def mean_mw(self, start_s: float, stop_s: float) -> float:
        """What leaves it, in the mean between two moments. Its warmth is taken as it is half-way."""
        with self._lock:
            bounds = [s.start_s for s in self._stretches if start_s < s.start_s < stop_s]
            edges = [start_s, *bounds, stop_s]
            mean_mw = 0.0
            for begin_s, end_s in pairwise(edges):
                stretch, share = self._at(begin_s), (end_s - begin_s) / (stop_s - start_s)
                warm_part = self._warm_part(stretch, (begin_s + end_s) / 2)
                mean_mw += share * warm_part * self._mean(stretch, begin_s, end_s)
        return mean_mw

    def _begin(self, emitting: bool, start_s: float, now_s: float) -> None:
        """Start another stretch; one that has not begun yet is replaced."""
        self._stretches = [s for s in self._stretches if s.start_s < start_s]
        before = self._stretches[-1]
        reported = self._reported(before, start_s) if emitting else 0.0
        warmth = self._warmth(before, start_s)
        self._stretches.append(_Stretch(start_s, emitting, self.told_mw, reported, warmth))
        old = bisect_right([s.start_s for s in self._stretches], now_s - _REMEMBERED_S) - 1
        del self._stretches[: max(old, 0)]

    def _at(self, at_s: float) -> _Stretch:
        with self._lock:
            return self._stretches[bisect_right([s.start_s for s in self._stretches], at_s) - 1]

    def _reported(self, stretch: _Stretch, at_s: float) -> float:
        if not stretch.emitting:
            return 0.0
        left = _left(at_s - stretch.start_s, self.file.response_ms * _MS)
        return stretch.target_mw + (stretch.first_mw - stretch.target_mw) * left

    def _mean(self, stretch: _Stretch, begin_s: float, end_s: float) -> float:
        if not stretch.emitting:
            return 0.0
        tau_s, for_s = self.file.response_ms * _MS, end_s - begin_s
        left = _left(begin_s - stretch.start_s, tau_s)
        left *= -expm1(-for_s / tau_s) * tau_s / for_s if tau_s > 0 and for_s > 0 else float(tau_s > 0)
        return stretch.target_mw + (stretch.first_mw - stretch.target_mw) * left

    def _warmth(self, stretch: _Stretch, at_s: float) -> float:
        goal = float(stretch.emitting)
        return goal + (stretch.warmth - goal) * _left(at_s - stretch.start_s, self.file.warm_up_s)

    def _warm_part(self, stretch: _Stretch, at_s: float) -> float:
        return 1.0 - self.file.warm_up_share * (1.0 - self._warmth(stretch, at_s))


def _left(for_s: float, tau_s: float) -> float:
    """How much of what was is left after a while."""
    if tau_s <= 0:
        return 0.0
    return exp(-for_s / tau_s)
