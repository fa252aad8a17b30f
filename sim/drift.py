"""How the bench has moved, and how its light has changed, since the world began: for any moment, in any order."""

from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np

from sim.draws import stream
from sim.effects_light import LaserDrift
from sim.effects_time import Knock, ThermalDrift
from sim.stage import AXES, Carrier
from sim.walk import Walk

_HOUR_S = 3600.0


@dataclass(frozen=True)
class Moved:
    """Camera against optic, now against the beginning."""

    shift_px: tuple[float, float] = (0.0, 0.0)  # of the pictures on the camera: down, right
    focus_um: float = 0.0  # of the camera away from the optic


UNMOVED = Moved()


class Movement:
    """Thermal drift, a knock, and the stage that carries the camera, of one world."""

    def __init__(
        self, thermal: ThermalDrift, knock: Knock, seed: int, carrier: Carrier | None = None, pixel_um: float = 1.0
    ) -> None:
        self._carrier = carrier
        self._pixel_um = pixel_um
        self._thermal = thermal
        self._knock = knock
        self._walks = [Walk(seed, f"thermal_drift {axis}") for axis in ("down", "right", "focus")]
        turn, start, focus_start = stream(seed, "thermal_drift").uniform(0.0, 2.0 * pi, 3)
        self._direction = np.array([cos(turn), sin(turn)])
        self._starts = (float(start), float(focus_start))

    def at(self, now_s: float) -> Moved:
        """How it has moved by that moment."""
        thermal, knock = self._thermal, self._knock
        shift, focus_um = np.zeros(2), 0.0
        if thermal.on:
            down, right, focus = (walk.at(now_s) for walk in self._walks)
            angle = 2.0 * pi * now_s / (_HOUR_S * thermal.cycle_h)
            swing, focus_swing = (sin(angle + start) - sin(start) for start in self._starts)
            shift = thermal.shift_px_per_sqrt_h * np.array([down, right])
            shift = shift + thermal.shift_cycle_px * swing * self._direction
            focus_um = thermal.focus_um_per_sqrt_h * focus + thermal.focus_cycle_um * focus_swing
        if knock.on and now_s >= knock.at_s:
            shift, focus_um = shift + np.array(knock.shift_px), focus_um + knock.focus_um
        if self._carrier is not None:
            carried = {axis: self._carrier.really_um(axis, now_s) for axis in AXES}
            shift = (
                shift - np.array([carried["down"], carried["right"]]) / self._pixel_um
            )  # pictures stay where they are
            focus_um += carried["focus"]
        if not shift.any() and focus_um == 0.0:
            return UNMOVED
        return Moved((float(shift[0]), float(shift[1])), float(focus_um))


class PowerDrift:
    """What is left of the laser's power, of one world."""

    def __init__(self, file: LaserDrift, seed: int) -> None:
        self.file = file
        self._walk = Walk(seed, "laser_drift")
        self._start = float(stream(seed, "laser_drift").uniform(0.0, 2.0 * pi))

    def at(self, now_s: float) -> float:
        """Power at that moment, as a part of what it was at the beginning; never below 0."""
        if not self.file.on:
            return 1.0
        angle = 2.0 * pi * now_s / (_HOUR_S * self.file.cycle_h)
        swing = sin(angle + self._start) - sin(self._start)
        return max(0.0, 1.0 + self.file.per_sqrt_h * self._walk.at(now_s) + self.file.cycle * swing)
