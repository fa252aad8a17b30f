"""The light's way to the bench: laser, then shutter; what a meter behind them reads, and whether anything is lit."""

import threading
from math import inf

from sim.clock import Clock
from sim.darkness import Darkness
from sim.draws import stream
from sim.drift import PowerDrift
from sim.errors import SimulationError
from sim.laser import Laser
from sim.shutter import Shutter
from sim.world_file import WorldFile

_MS = 1e-3


class Illumination:
    """Laser and shutter of one world. A world without a laser has a source that is always on.

    A command to the shutter returns when the blade has arrived, so that in virtual time a closed shutter is closed
    without anybody waiting for it. A command to the laser returns at once; off is at once, too.
    """

    def __init__(self, file: WorldFile, seed: int, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        self._reading = threading.Lock()
        self._noise = stream(seed, "meter")
        self.laser = None if file.laser is None else Laser(file.laser)
        self._drift = PowerDrift(file.effects.laser_drift, seed)
        self.shutter = Shutter(file.shutter.travel_ms * _MS)
        self.darkness = Darkness(clock.now_s())

    def change(self, file: WorldFile) -> None:
        """Take other values from now on."""
        self._file = file
        self._drift.file = file.effects.laser_drift
        self.shutter.travel_s = file.shutter.travel_ms * _MS
        if self.laser is not None and file.laser is not None:
            self.laser.file = file.laser

    @property
    def lit(self) -> bool:
        """Whether light may be on the bench: the shutter is open, told to be, or still moving, and the laser is on."""
        return self.note()

    def note(self) -> bool:
        """Look whether it is lit, and write down since when."""
        now_s = self._clock.now_s()
        lit = self.light_on and (self.shutter.is_open(now_s) or self.shutter.is_open(inf))
        self.darkness.note(lit, now_s)
        return lit

    @property
    def light_on(self) -> bool:
        """Whether the laser was last told to emit, and does or is about to."""
        return self.laser is None or self.laser.is_on(inf)

    def set_shutter(self, opening: bool) -> None:
        """Open or close the shutter; returns when it has arrived."""
        now_s = self._clock.now_s()
        moves = self.shutter.move(opening, now_s)
        if moves:
            self.note()
            self._clock.sleep_until_s(now_s + self.shutter.travel_s)
        self.note()

    def turn_laser(self, on: bool) -> None:
        """Let the laser emit, or stop it."""
        self._the_laser().turn(on, self._clock.now_s())
        self.note()

    def set_laser_power_mw(self, power_mw: float) -> None:
        """Set what the laser gives, now or when it emits."""
        self._the_laser().set_power_mw(power_mw, self._clock.now_s())

    def set_interlock(self, closed: bool) -> None:
        """Open or close the laser's own interlock input."""
        self._the_laser().set_interlock(closed, self._clock.now_s())
        self.note()

    def set_laser_fault(self, fault: str) -> None:
        """Let the laser have a fault, or `none`."""
        self._the_laser().set_fault(fault, self._clock.now_s())
        self.note()

    def set_ignores_off(self, ignores: bool) -> None:
        """Let the laser be broken in the worst way, or whole again."""
        self._the_laser().ignores_off = ignores

    def reported_mw(self) -> float:
        """What the laser's own photodiode sees now."""
        return self._the_laser().reported_mw(self._clock.now_s())

    def emits(self) -> bool:
        """Whether the laser emits now: told to, and its emission delay has passed."""
        return self._the_laser().is_on(self._clock.now_s())

    def laser_power_mw(self) -> float | None:
        """What arrives of the laser's light now, if it is let through; None where there is no laser."""
        now_s = self._clock.now_s()
        return None if self.laser is None else self.laser.power_mw(now_s) * self.drift(now_s)

    def drift(self, at_s: float) -> float:
        """What is left at a moment of the power that the laser believes it gives, as a part of it."""
        return self._drift.at(at_s)

    def lit_share(self, start_s: float, stop_s: float) -> float:
        """For which share of the time between two moments light arrives, counted at the laser's nominal power."""
        share, drift = 0.0, self.drift((start_s + stop_s) / 2)
        for begin_s, end_s in self.shutter.open_spans(start_s, stop_s):
            power = 1.0
            if self.laser is not None:
                power = self.laser.mean_mw(begin_s, end_s) / self.laser.file.nominal_power_mw
            share += drift * power * (end_s - begin_s) / (stop_s - start_s)
        return share

    def metered_mw(self, wavelength_nm: float) -> float:
        """What the meter behind the shutter reads now, corrected for a wavelength.

        The responsivity of its photodiode grows with the wavelength, as an ideal one's does: corrected for a longer
        wavelength than the light has, it reads too little.
        """
        now_s = self._clock.now_s()
        passing = self.shutter.is_open(now_s)
        light = self._file.effects.light_noise
        with self._reading:
            flicker, noise = self._noise.standard_normal(2)
        power_mw = (self.laser_power_mw() or 0.0) * float(passing) * (1.0 + light.rms * flicker * float(light.on))
        return float(power_mw * self._file.source.wavelength_nm / wavelength_nm + self._file.meter.noise_mw * noise)

    def _the_laser(self) -> Laser:
        if self.laser is None:
            raise SimulationError("this world has no laser: its source is always on")
        return self.laser
