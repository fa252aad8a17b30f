"""The state of one simulated laboratory: what is shown, what is open, what time it is; and what its camera sees."""

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from sim.clock import Clock
from sim.errors import SimulationError
from sim.imaging import Transfer
from sim.optics import Optics, content_key
from sim.response import Panel
from sim.sensor import Frame, Sensor
from sim.world_file import WorldFile, explain

Pixels = NDArray[np.uint8]
_MS = 1e-3
_MAX_EXPOSURE_MS = 60_000.0
_SETTLED = 2e-3  # an SLM pattern with less weight than this is not worth its seconds of propagation


@dataclass(frozen=True)
class Snap:
    """One frame, with the moment at which its exposure began."""

    frame: Frame
    number: int
    start_s: float
    exposure_ms: float


class World:
    """One world: commands come in, time passes, frames come out. Safe to use from several threads."""

    def __init__(self, name: str, file: WorldFile, seed: int | None, clock: Clock) -> None:
        self.name = name
        self.clock = clock
        self.camera_delivers = True
        self.file = file
        self.seed = file.seed if seed is None else seed
        self.optics = Optics(file, self.seed)
        self.exposure_ms = file.camera.exposure_ms
        self.frames = 0
        self._sensor = Sensor(file, self.seed)
        self._lock = threading.RLock()  # held for moments, never while time passes
        self._exposing = threading.Lock()  # one exposure at a time
        blanks = {device: np.zeros(shape, np.uint8) for device, shape in self.panel_shapes().items()}
        self._pictures = {content_key(blank): blank for blank in blanks.values()}
        self._panels = {device: Panel(content_key(blank), 0.0, 0.0) for device, blank in blanks.items()}
        self._shutter = Panel("closed", 0.0, 0.0)
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
            self._panels[device].show(key, self.clock.now_s())
            needed = set().union(*(panel.keys() for panel in self._panels.values()))
            self._pictures = {key: picture for key, picture in self._pictures.items() if key in needed}

    def shown(self, device: str) -> Pixels:
        """Levels that the panel was last told to show."""
        with self._lock:
            return self._pictures[self._panels[device].told]

    def set_exposure_ms(self, exposure_ms: float) -> None:
        """Set the exposure of the frames to come."""
        if not 0 < exposure_ms <= _MAX_EXPOSURE_MS:
            raise SimulationError(f"the camera exposes for 0 to {_MAX_EXPOSURE_MS:g} ms, not {exposure_ms!r}")
        with self._lock:
            self.exposure_ms = float(exposure_ms)

    def set_shutter(self, is_open: bool) -> None:
        """Open or close the shutter; returns when it has arrived."""
        travel_s = self.file.shutter.travel_ms * _MS
        with self._lock:
            now_s = self.clock.now_s()
            if (self._shutter.told == "open") == is_open:
                return
            self._shutter.show("open" if is_open else "closed", now_s)
        self.clock.sleep_until_s(now_s + travel_s)

    @property
    def shutter_is_open(self) -> bool:
        """Whether the shutter was last told to be open."""
        with self._lock:
            return self._shutter.told == "open"

    def snap(self) -> Snap:
        """Expose and read one frame; the time of both passes."""
        with self._exposing:
            exposure_ms = self.exposure_ms
            start_s = self.clock.now_s()
            stop_s = start_s + exposure_ms * _MS
            self.clock.sleep_until_s(stop_s)
            frame = self._expose(start_s, stop_s, exposure_ms)
            self.clock.sleep_until_s(stop_s + self.file.camera.readout_ms * _MS)
            self.frames += 1
            return Snap(frame, self.frames, start_s, exposure_ms)

    def _expose(self, start_s: float, stop_s: float, exposure_ms: float) -> Frame:
        with self._lock:
            open_part = self._shutter.weights(start_s, stop_s).get("open", 0.0)
            weights = {device: panel.weights(start_s, stop_s) for device, panel in self._panels.items()}
            pictures, sensor = dict(self._pictures), self._sensor
        if open_part == 0.0:  # the optics may be busy with a new pattern: a dark frame needs none
            return sensor.expose(exposure_ms=exposure_ms)
        imager = self.optics.imager
        display = [(weight, pictures[key]) for key, weight in weights["display"].items()]
        light = imager.image(imager.scene(display), self._transfer(weights["slm"], pictures))
        return sensor.expose(light, open_part * exposure_ms, exposure_ms, imager.mean_radiance(display))

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
        with self._exposing, self._lock:
            self.seed = file.seed if "seed" in values else self.seed
            self.file = file
            self.optics.change(file, self.seed)
            self._sensor = Sensor(file, self.seed)
            self._retune()
            levels = self.shown("slm")
        self.optics.transfer(levels)

    def _retune(self) -> None:
        settling = self.file.effects.settling
        for device, tau_ms in (("display", settling.display_tau_ms), ("slm", settling.slm_tau_ms)):
            self._panels[device].retune(*((tau_ms * _MS, settling.latency_ms * _MS) if settling.on else (0.0, 0.0)))
        self._shutter.retune(0.0, self.file.shutter.travel_ms * _MS)
