"""The state of one simulated laboratory: what is shown, what is open, what time it is; and what its camera sees."""

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from sim.camera import Camera
from sim.clock import Clock
from sim.errors import SimulationError
from sim.faults import Faults
from sim.illumination import Illumination
from sim.imaging import Transfer
from sim.optics import Optics, content_key
from sim.response import Panel
from sim.sensor import Frame, Sensor
from sim.warmth import Warmth
from sim.world_file import WorldFile, explain

Pixels = NDArray[np.uint8]
_MS = 1e-3
_UNSEEN = ("laser", "meter", "thermometer", "shutter", "faults")  # parts that neither optics nor sensor are made from
_SETTLED = 2e-3  # an SLM pattern with less weight than this is not worth its seconds of propagation


class World:
    """One world: commands come in, time passes, frames come out. Safe to use from several threads."""

    def __init__(self, name: str, file: WorldFile, seed: int | None, clock: Clock) -> None:
        self.name = name
        self.clock = clock
        self.file = file
        self.seed = file.seed if seed is None else seed
        self.optics = Optics(file, self.seed)
        self.illumination = Illumination(file, self.seed, clock)
        self.warmth = Warmth(file.thermometer, self.seed, clock)
        self.faults = Faults(clock, file.faults)
        self.camera = Camera(lambda: self.file.camera, clock, self, self.faults)
        self._sensor = Sensor(file, self.seed)
        self._lock = threading.RLock()  # held for moments, never while time passes
        blanks = {device: np.zeros(shape, np.uint8) for device, shape in self.panel_shapes().items()}
        self._pictures = {content_key(blank): blank for blank in blanks.values()}
        self._panels = {device: Panel(content_key(blank), 0.0, 0.0) for device, blank in blanks.items()}
        self._before: str | None = None  # the display's picture before the one it was last told to show
        self._retune()

    def panel_shapes(self) -> dict[str, tuple[int, int]]:
        """Rows and columns of what can be shown on each panel."""
        return {"display": self.file.display.shape, "slm": self.file.slm.shape}

    def show(self, device: str, pixels: Pixels) -> None:
        """Show levels on the display or the SLM; they settle as time passes.

        A pattern on the SLM is made ready here (seconds, once for a pattern), so that no exposure has to wait for it.
        """
        if device not in self._panels:
            raise SimulationError(f"there is no panel {device!r} here; there are {', '.join(self._panels)}")
        if pixels.dtype != np.uint8 or pixels.shape != self.panel_shapes()[device]:
            raise SimulationError(
                f"{device} shows uint8 {self.panel_shapes()[device]}, not {pixels.dtype} {pixels.shape}"
            )
        if device == "slm":
            self.optics.transfer(pixels)
        with self._lock:
            key = content_key(pixels)
            self._pictures.setdefault(key, pixels.copy())
            if device == "display" and key != (told := self._panels[device].told):
                self._before = told
            self._panels[device].show(key, self.clock.now_s())
            needed = {self._before}.union(*(panel.keys() for panel in self._panels.values()))
            self._pictures = {key: picture for key, picture in self._pictures.items() if key in needed}
        if device == "display":
            self.camera.trigger("External")

    def shown(self, device: str) -> Pixels:
        """Levels that the panel was last told to show."""
        with self._lock:
            return self._pictures[self._panels[device].told]

    def expose(self, start_s: float, stop_s: float, exposure_ms: float) -> Frame:
        """Give what the sensor sees between two moments."""
        return self._expose(start_s, stop_s, exposure_ms, None)

    def expose_stale(self, start_s: float, stop_s: float, exposure_ms: float) -> Frame | None:
        """Give what it would see, had the display gone back to its picture before; None where that is no different."""
        before = self._before
        if before is None or self.illumination.lit_share(start_s, stop_s) <= 0.0:
            return None
        return self._expose(start_s, stop_s, exposure_ms, before)

    def _expose(self, start_s: float, stop_s: float, exposure_ms: float, stale: str | None) -> Frame:
        lit_ms = exposure_ms * self.illumination.lit_share(start_s, stop_s)
        with self._lock:
            weights = {device: panel.weights(start_s, stop_s) for device, panel in self._panels.items()}
            if stale is not None and stale in self._pictures:
                weights["display"] = {stale: 1.0}
            pictures, sensor = dict(self._pictures), self._sensor
        if lit_ms <= 0.0:  # the optics may be busy with a new pattern: a dark frame needs none
            return sensor.expose(exposure_ms=exposure_ms)
        imager = self.optics.imager
        display = [(weight, pictures[key]) for key, weight in weights["display"].items()]
        light = imager.image(imager.scene(display), self._transfer(weights["slm"], pictures))
        return sensor.expose(light, lit_ms, exposure_ms, imager.mean_radiance(display))

    def _transfer(self, weights: dict[str, float], pictures: dict[str, Pixels]) -> Transfer:
        """Mix the transfers of the patterns that an exposure sees.

        While an SLM settles, its frame is taken as the mixture of the frames before and after, not of the fields.
        """
        strongest = max(weights, key=lambda key: weights[key])
        shown = {key: weight for key, weight in weights.items() if weight > _SETTLED or key == strongest}
        transfers = {key: self.optics.transfer(pictures[key], key) for key in shown}
        if len(transfers) == 1:
            return transfers[strongest]
        total = sum(shown.values())
        mixed = np.zeros_like(transfers[strongest])
        for key, weight in shown.items():
            mixed += np.float32(weight / total) * transfers[key]
        return mixed

    def change(self, values: dict[str, Any]) -> None:
        """Change values of the world file by their dotted names, and the seed, while everything goes on."""
        content = self.file.model_dump(by_alias=True)
        for path, value in values.items():
            *tables, key = path.split(".")
            table: Any = content
            for name in tables:
                table = table.get(name) if isinstance(table, dict) else None
            if not isinstance(table, dict) or key not in table:
                raise SimulationError(f"{path}: the world has no such value")
            table[key] = value
        try:
            file = WorldFile.model_validate(content)
        except ValidationError as error:
            raise SimulationError(explain(error, "the world")) from error
        if any(getattr(file, part).shape != getattr(self.file, part).shape for part in ("slm", "display", "camera")):
            raise SimulationError("the number of pixels cannot change while the world lives")
        if (file.laser is None) != (self.file.laser is None):
            raise SimulationError("a laser cannot come or go while the world lives")
        if "seed" not in values and all(
            getattr(file, part) == getattr(self.file, part) for part in WorldFile.model_fields if part not in _UNSEEN
        ):
            self._take_over(file)
            return
        with self.camera.exposing, self._lock:
            self.seed = file.seed if "seed" in values else self.seed
            self._take_over(file)
            self.optics.change(file, self.seed)
            self._sensor = Sensor(file, self.seed)
            self._retune()
            levels = self.shown("slm")
        self.optics.transfer(levels)

    def _take_over(self, file: WorldFile) -> None:
        if file.faults != self.file.faults:
            self.faults.follow(file.faults)
        self.file = file
        self.illumination.change(file)
        self.warmth.file = file.thermometer

    def _retune(self) -> None:
        settling = self.file.effects.settling
        for device, tau_ms in (("display", settling.display_tau_ms), ("slm", settling.slm_tau_ms)):
            self._panels[device].retune(*((tau_ms * _MS, settling.latency_ms * _MS) if settling.on else (0.0, 0.0)))
