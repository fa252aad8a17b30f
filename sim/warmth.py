"""How warm it is on the bench."""

import threading
from math import pi, sin

from sim.clock import Clock
from sim.draws import stream
from sim.world_file import Thermometer


class Warmth:
    """What a thermometer on the bench reads: a level, a slow swing (a day, where a file says so), and its noise."""

    def __init__(self, file: Thermometer, seed: int, clock: Clock) -> None:
        self.file = file
        self._clock = clock
        self._lock = threading.Lock()
        self._noise = stream(seed, "thermometer")

    def celsius(self) -> float:
        """How warm it is."""
        turns = self._clock.now_s() / (3600.0 * self.file.swing_h)
        return self.file.celsius + self.file.swing_celsius * sin(2.0 * pi * turns)

    def reading_celsius(self) -> float:
        """What the thermometer reads."""
        with self._lock:
            noise = float(self._noise.standard_normal())
        return self.celsius() + self.file.noise_celsius * noise
