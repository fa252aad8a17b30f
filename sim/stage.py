"""The stage that carries the camera: three axes with motors, which take time to get anywhere."""

import threading
from dataclasses import dataclass
from math import copysign
from typing import Final

from sim.clock import Clock
from sim.world_file import Stage

AXES: Final = ("focus", "down", "right")


@dataclass(frozen=True)
class Course:
    """Where an axis was when, and where it is going; in um from where the world began."""

    from_um: float
    since_s: float
    to_um: float
    um_per_s: float

    def at(self, moment_s: float) -> float:
        """Where it is at a moment."""
        way_um = self.to_um - self.from_um
        gone_um = max(0.0, moment_s - self.since_s) * self.um_per_s
        return self.to_um if gone_um >= abs(way_um) else self.from_um + copysign(gone_um, way_um)


class Carrier:
    """All axes of one world, safe from several threads. Each counts from where it was switched on, until homed."""

    def __init__(self, file: Stage, clock: Clock) -> None:
        self.file = file
        self._clock = clock
        self._lock = threading.Lock()
        self._courses = {axis: Course(0.0, 0.0, 0.0, 1.0) for axis in AXES}
        self._zeros_um = dict.fromkeys(AXES, 0.0)
        self._homed = dict.fromkeys(AXES, False)

    def really_um(self, axis: str, moment_s: float) -> float:
        """Where an axis is at a moment, from where the world began."""
        with self._lock:
            return self._courses[axis].at(moment_s)

    def position_um(self, axis: str) -> float:
        """Where it says that it is."""
        return self.really_um(axis, self._clock.now_s()) - self._zeros_um[axis]

    def is_moving(self, axis: str) -> bool:
        """Whether it has not arrived."""
        return self.really_um(axis, self._clock.now_s()) != self._courses[axis].to_um

    def is_homed(self, axis: str) -> bool:
        """Whether it counts from its reference, and is not on its way there."""
        return self._homed[axis] and not (self._homing(axis) and self.is_moving(axis))

    def allows(self, axis: str, position_um: float) -> bool:
        """Whether a position lies within its travel."""
        half_um = self.file.travel_um / 2
        return abs(position_um + self._zeros_um[axis] - self.file.reference_um) <= half_um

    def move(self, axis: str, position_um: float) -> None:
        """Begin to move there."""
        self._begin(axis, position_um + self._zeros_um[axis])

    def home(self, axis: str) -> None:
        """Begin to drive to its reference, and count from there."""
        self._zeros_um[axis] = self.file.reference_um
        self._homed[axis] = True
        self._begin(axis, self.file.reference_um)

    def stop(self, axis: str) -> None:
        """Stand still; an axis that was on its way to its reference has not found it."""
        if self._homing(axis) and self.is_moving(axis):
            self._homed[axis] = False
        self._begin(axis, self.really_um(axis, self._clock.now_s()))

    def _homing(self, axis: str) -> bool:
        return self._courses[axis].to_um == self.file.reference_um

    def _begin(self, axis: str, to_um: float) -> None:
        now_s = self._clock.now_s()
        at_um = self.really_um(axis, now_s)
        with self._lock:
            self._courses[axis] = Course(at_um, now_s, to_um, self.file.speed_um_per_s)
