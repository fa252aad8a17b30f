"""The state of one simulated laboratory: what is shown, what is open, what time it is; and what its camera sees."""

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from sim.camera import Camera
from sim.clock import Clock
from sim.draws import stream
from sim.drift import Movement
from sim.errors import SimulationError
from sim.faults import Faults
from sim.flicker import flicker
from sim.illumination import Illumination
from sim.imaging import Channel
from sim.lights import Lights, Seen, Situation
from sim.mosaic import shares
from sim.optics import STILL, Moment, Optics, content_key
from sim.response import Panel
from sim.sensor import Frame, Sensor
from sim.speckle import Speckles
from sim.spectrum import Transfer
from sim.stage import Carrier
from sim.warmth import Warmth
from sim.world_file import WorldFile, explain

Pixels = NDArray[np.uint8]
_MS = 1e-3
_FIXED = np.zeros((0, 0), np.uint8)
_FIXED_KEY = content_key(_FIXED)
_OF_FIXED = {_FIXED_KEY: 1.0}
_UNSEEN = (
    "laser",
    "meter",
    "thermometer",
    "stage",
    "shutter",
    "faults",
)  # parts that neither optics nor sensor are made from
_REMEMBERED = 6  # pictures: one may already be the next when a frame's exposure is computed
_BANDS = 16  # parts of the rows that a rolling shutter exposes alike
_SETTLED = 2e-3  # an SLM pattern with less weight than this is not worth its seconds of propagation


@dataclass(frozen=True)
class _Band:
    """What some of the sensor's rows see: one of so many equal parts."""

    number: int
    count: int
    display: dict[str, float]  # weights of the pictures
    slm: tuple[tuple[str, float], ...]  # of the patterns
    lit_ms: float

    @property
    def sees(self) -> tuple[dict[str, float], tuple[tuple[str, float], ...], float]:
        """All but its place."""
        return self.display, self.slm, self.lit_ms

    def rows(self, height: int) -> slice:
        """Where it lies on a sensor of so many rows."""
        return slice(round(self.number * height / self.count), round((self.number + 1) * height / self.count))


@dataclass(frozen=True)
class _Sight:
    """All that one exposure's frame depends on, but for chance."""

    start_s: float
    exposure_ms: float
    bands: tuple[_Band, ...]
    moment: Moment
    binning: int
    sensor: Sensor


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
        self.carrier = Carrier(file.stage, clock)
        self.faults = Faults(clock, file.faults)
        self.camera = Camera(lambda: self.file.camera, clock, self, self.faults)
        self._lights = Lights(self._render)
        self._renew(file)
        self._lock = threading.RLock()  # held for moments, never while time passes
        blanks = {device: np.zeros(shape, np.uint8) for device, shape in self.panel_shapes().items()}
        self._pictures = {content_key(blank): blank for blank in blanks.values()}
        self._loaded = {device: content_key(blank) for device, blank in blanks.items()}  # what was sent last
        self._panels = {device: Panel(key, 0.0, 0.0) for device, key in self._loaded.items()}
        self._told: deque[tuple[float, str]] = deque(maxlen=_REMEMBERED)  # when the display was told to show what
        self._foreseen: tuple[_Sight, Frame] | None = None
        self._retune()

    def panel_shapes(self) -> dict[str, tuple[int, int]]:
        """Rows and columns of what can be shown on each panel; a colour display's planes stand one below another."""
        rows, columns = self.file.display.shape
        shapes = {"display": (rows * len(self.file.source.lines_nm), columns)}
        return shapes if self.file.slm is None else {**shapes, "slm": self.file.slm.shape}

    def pattern(self) -> Pixels:
        """Levels that the SLM was last told to show; none where the optic is fixed."""
        return _FIXED if self.file.slm is None else self.shown("slm")

    def prepare(self) -> None:
        """Compute what the optics need for the pattern that is shown."""
        self.optics.prepare(self.pattern(), self._moment(self.clock.now_s(), self.clock.now_s()))

    def show(self, device: str, pixels: Pixels) -> None:
        """Show levels on the display or the SLM; they settle as time passes."""
        self.load(device, pixels)
        self.show_loaded(device)

    def load(self, device: str, pixels: Pixels) -> None:
        """Take levels that will be shown, and make ready what they need, so that no exposure has to wait for it.

        A pattern on the SLM takes seconds, once for a pattern.
        """
        if device not in self._panels:
            raise SimulationError(f"there is no panel {device!r} here; there are {', '.join(self._panels)}")
        if pixels.dtype != np.uint8 or pixels.shape != self.panel_shapes()[device]:
            raise SimulationError(
                f"{device} shows uint8 {self.panel_shapes()[device]}, not {pixels.dtype} {pixels.shape}"
            )
        if device == "slm":
            self.optics.prepare(pixels, self._moment(self.clock.now_s(), self.clock.now_s()))
        key = content_key(pixels)
        with self._lock:
            self._pictures.setdefault(key, pixels.copy())
            self._loaded[device] = key
        if device == "display":
            self._foresee(key)

    def show_loaded(self, device: str) -> None:
        """Show the levels that were loaded last; they settle as time passes."""
        with self._lock:
            key = self._loaded[device]
            now_s = self.clock.now_s()
            if device == "display" and key != self._panels[device].told:
                self._told.append((now_s, key))
            self._panels[device].show(key, now_s, self._late_s(now_s) if device == "display" else 0.0)
            needed = {*self._loaded.values(), *(key for _, key in self._told)}
            needed = needed.union(*(panel.keys() for panel in self._panels.values()))
            self._pictures = {key: picture for key, picture in self._pictures.items() if key in needed}
        if device == "display":
            self.camera.trigger("External")

    def _foresee(self, key: str) -> None:
        """Render what is about to be seen, where that is known already: of optics at rest."""
        now_s = self.clock.now_s()
        if self._moment(now_s, now_s) == STILL:
            slm = self._panels["slm"].told if "slm" in self._panels else _FIXED_KEY
            self._lights.foresee(key, Situation(((slm, 1.0),), STILL, self.camera.binning))

    def shown(self, device: str) -> Pixels:
        """Levels that the panel was last told to show."""
        with self._lock:
            return self._pictures[self._panels[device].told]

    def expose(self, start_s: float, stop_s: float, exposure_ms: float) -> Frame:
        """Give what the sensor sees between two moments."""
        foreseen, self._foreseen = self._foreseen, None
        sight = self._sight(start_s, stop_s, exposure_ms, None)
        if foreseen is not None and foreseen[0] == sight:
            return foreseen[1]
        return self._frame(sight)

    def foresee(self, start_s: float, stop_s: float, exposure_ms: float) -> None:
        """Compute what `expose` will give, if nothing changes until then: in real time, while the time passes."""
        sight = self._sight(start_s, stop_s, exposure_ms, None)
        self._foreseen = sight, self._frame(sight)

    def expose_stale(self, start_s: float, stop_s: float, exposure_ms: float) -> Frame | None:
        """Give what it would see, had the display gone back to its picture before; None where that is no different."""
        with self._lock:
            earlier = [key for told_s, key in self._told if told_s <= start_s]
        before = earlier[-2] if len(earlier) > 1 else None
        if before is None or self.illumination.lit_share(start_s, stop_s) <= 0.0:
            return None
        return self._frame(self._sight(start_s, stop_s, exposure_ms, before))

    def _sight(self, start_s: float, stop_s: float, exposure_ms: float, stale: str | None) -> "_Sight":
        bands = self._bands(start_s, stop_s, exposure_ms, stale)
        with self._lock:
            sensor = self._sensor_of(self.camera.binning)
        return _Sight(start_s, exposure_ms, tuple(bands), self._moment(start_s, stop_s), self.camera.binning, sensor)

    def _frame(self, sight: "_Sight") -> Frame:
        bands, moment, binning, sensor = sight.bands, sight.moment, sight.binning, sight.sensor
        start_s, exposure_ms = sight.start_s, sight.exposure_ms
        if all(band.lit_ms <= 0.0 for band in bands):  # the optics may be busy: a dark frame needs none
            return sensor.expose(exposure_ms=exposure_ms)
        speckle = self._speckles.factor(start_s, exposure_ms, binning)
        seen = self._seen(bands, moment, binning)
        light = seen.light if speckle is None else seen.light * speckle
        if len(bands) == 1:
            return sensor.expose(light, bands[0].lit_ms, exposure_ms, seen.radiance)
        lengths = [len(light[band.rows(len(light))]) for band in bands]
        rows_ms = np.repeat(np.array([band.lit_ms for band in bands], np.float32), lengths)
        return sensor.expose(light, rows_ms, exposure_ms, seen.radiance)

    def _bands(self, start_s: float, stop_s: float, exposure_ms: float, stale: str | None) -> list["_Band"]:
        """What each part of the sensor's rows sees: one part, where all rows see the same."""
        rolling = self.file.effects.rolling_shutter
        count = _BANDS if rolling.on else 1
        bands = []
        with self._lock:
            for number in range(count):
                line = (number + 0.5) / count * self.file.camera.shape[0] - 0.5
                late_s = rolling.line_us * 1e-6 * line if rolling.on else 0.0
                begin_s, end_s = start_s + late_s, stop_s + late_s
                weights = {device: panel.weights(begin_s, end_s) for device, panel in self._panels.items()}
                display = weights["display"] if stale is None or stale not in self._pictures else {stale: 1.0}
                lit_ms = exposure_ms * self.illumination.lit_share(begin_s, end_s)
                bands.append(_Band(number, count, display, tuple(weights.get("slm", _OF_FIXED).items()), lit_ms))
        if all(band.sees == bands[0].sees for band in bands):
            return [_Band(0, 1, *bands[0].sees)]
        return bands

    def _seen(self, bands: Sequence["_Band"], moment: Moment, binning: int) -> Seen:
        """What all rows see, each band its own mixture of pictures."""
        if len(bands) == 1:
            return self._lights.mixed(bands[0].display, Situation(bands[0].slm, moment, binning))
        most: dict[tuple[str, Situation], float] = {}
        for band in bands:
            for picture, weight in band.display.items():
                known = picture, Situation(band.slm, moment, binning)
                most[known] = max(weight, most.get(known, 0.0))
        lights = {known: self._lights.one(*known, weight) for known, weight in most.items()}
        height, width = next(iter(lights.values())).light.shape
        light, radiance = np.empty((height, width), np.float32), 0.0
        for band in bands:
            situation, rows = Situation(band.slm, moment, binning), band.rows(height)
            parts = [(np.float32(weight), lights[picture, situation]) for picture, weight in band.display.items()]
            light[rows] = sum(weight * seen.light[rows] for weight, seen in parts)
            radiance += sum(float(weight) * seen.radiance for weight, seen in parts) / len(bands)
        return Seen(light, radiance)

    def _render(self, weights: Mapping[str, float], situation: Situation) -> Seen:
        """Light on the whole sensor, and the mean of what is displayed."""
        with self._lock:
            pictures = {_FIXED_KEY: _FIXED, **self._pictures}
        imager = self.optics.imager
        display = [(weight, pictures[key]) for key, weight in weights.items()]
        bayer = self.file.effects.bayer
        radiances = [imager.radiance(display, channel) for channel in range(len(self.file.source.lines_nm))]
        channels = [
            Channel(radiance, *self._transfer(dict(situation.slm), pictures, channel, situation.moment))
            for channel, radiance in enumerate(radiances)
        ]
        light = imager.light(
            channels,
            situation.binning,
            shift_px=situation.moment.moved.shift_px,
            shares=shares(bayer) if bayer.on else None,
        )
        return Seen(light, float(np.mean([radiance.mean() for radiance in radiances])))

    def _transfer(
        self, weights: dict[str, float], pictures: dict[str, Pixels], channel: int, moment: Moment
    ) -> tuple[Transfer, Transfer | None]:
        """Mix the transfers of the patterns that an exposure sees, and what focus and flicker add to them.

        While an SLM settles, its frame is taken as the mixture of the frames before and after, not of the fields.
        """
        strongest = max(weights, key=lambda key: weights[key])
        shown = {key: weight for key, weight in weights.items() if weight > _SETTLED or key == strongest}
        transfers = {key: self.optics.transfer(pictures[key], key, channel) for key in shown}
        changes = {key: self.optics.change(pictures[key], key, channel, moment) for key in shown}
        if len(transfers) == 1:
            return transfers[strongest], changes[strongest]
        total = sum(shown.values())
        mixed, change = np.zeros_like(transfers[strongest]), None
        for key, weight in shown.items():
            share, added = np.float32(weight / total), changes[key]
            mixed += share * transfers[key]
            if added is not None:
                change = share * added + (0 if change is None else change)
        return mixed, change

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
        if _shapes(file) != _shapes(self.file):
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
            self.optics.follow(file, self.seed)
            self._renew(file)
            self._retune()
        self.prepare()

    def _take_over(self, file: WorldFile) -> None:
        if file.faults != self.file.faults:
            self.faults.follow(file.faults)
        self.file = file
        self.illumination.change(file)
        self.warmth.file = file.thermometer
        self.carrier.file = file.stage

    def _renew(self, file: WorldFile) -> None:
        """Draw sensor, speckle and movement anew, and forget what was seen."""
        self._lights.clear()
        self._sensors: dict[int, Sensor] = {}
        self._sensor_of(self.camera.binning)
        self._speckles = Speckles(file.effects.speckle, file.camera.shape, self.seed)
        self.movement = Movement(
            file.effects.thermal_drift, file.effects.knock, self.seed, self.carrier, file.camera.pixel_um
        )

    def _sensor_of(self, binning: int) -> Sensor:
        if binning not in self._sensors:
            self._sensors[binning] = Sensor(self.file, self.seed, binning)
        return self._sensors[binning]

    def _late_s(self, now_s: float) -> float:
        jitter = self.file.effects.timing_jitter
        if not jitter.on:
            return 0.0
        return float(jitter.rms_ms * _MS * stream(self.seed, f"timing_jitter {now_s:.9f}").standard_normal())

    def _moment(self, start_s: float, stop_s: float) -> Moment:
        """How things stand in the mean between two moments."""
        moved = self.movement.at((start_s + stop_s) / 2)
        return Moment(moved, flicker(self.file.effects.slm_flicker, start_s, stop_s))

    def _retune(self) -> None:
        settling = self.file.effects.settling
        taus_ms = {"display": settling.display_tau_ms, "slm": settling.slm_tau_ms}
        for device, panel in self._panels.items():
            tau_ms = taus_ms[device]
            panel.retune(*((tau_ms * _MS, settling.latency_ms * _MS) if settling.on else (0.0, 0.0)))


def _shapes(file: WorldFile) -> list[object]:
    slm = None if file.slm is None else file.slm.shape
    return [slm, file.display.shape, file.camera.shape, len(file.source.lines_nm), file.lenslets.count]
