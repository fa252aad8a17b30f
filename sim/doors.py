"""The three doors of a world: devices (for the clients in `sim.micromanager`), clock, and truth (for tests only).

devices and truth: one JSON object a line, `{"op": ..., "id": ..., ...}`; the answer repeats `id` and has `ok`, and
`error` where that is false. clock: `TIME?`, `SLEEP seconds` and `UNTIL seconds`. Nothing that a client
says ends the world.
"""

import base64
import json
import logging
import math
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sim.camera import Snap
from sim.errors import SimulationError
from sim.fault_plan import FaultPlan
from sim.shared_pixels import lay_out, open_places
from sim.truth import truth
from sim.world import World
from sim.world_file import explain

log = logging.getLogger(__name__)
FRAME_PLACES = 4
_LONGEST_WAIT_S = 0.2  # for a trigger: a client asks again, so that it can be stopped
_MAX_SLEEP_S = 1e9

Request = dict[str, Any]


class Silence(Exception):
    """No answer is given."""


class JsonDoor:
    """Answers requests by their `op`."""

    def __init__(self, operations: dict[str, Callable[[Request], Request]]) -> None:
        self._operations = operations

    def answer(self, line: str) -> str | None:
        """One line in, one line (or silence) out."""
        number: Any = None
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise SimulationError(f"a request is a JSON object, not {type(request).__name__}")
            number = request.get("id")
            operation = self._operations.get(str(request.get("op")))
            if operation is None:
                raise SimulationError(f"op {request.get('op')!r} is not one of {', '.join(self._operations)}")
            reply = {"ok": True, **operation(request)}
        except Silence:
            return None
        except (SimulationError, json.JSONDecodeError, RecursionError) as error:
            reply = {"ok": False, "error": str(error)}
        except KeyError as error:
            reply = {"ok": False, "error": f"the request lacks {error}"}
        except Exception as error:  # the edge of the process: a bad request must not end the world
            log.exception("a request failed: %.200s", line)
            reply = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        return json.dumps({"id": number, **reply})


class DevicesDoor(JsonDoor):
    """What the thin clients may ask, and the memory that they share with the world."""

    def __init__(self, world: World, memory: Path) -> None:
        self._world = world
        self._memory = memory
        panels: dict[str, tuple[tuple[int, ...], str]] = {
            device: (shape, "uint8") for device, shape in world.panel_shapes().items()
        }
        frames = {f"frame {place}": (world.file.camera.shape, "uint16") for place in range(FRAME_PLACES)}
        self._places, size = lay_out({**panels, **frames})
        with memory.open("wb") as file:
            file.truncate(size)
        self._arrays = open_places(memory, self._places)
        super().__init__(
            {
                "hello": self._hello,
                "load": self._load,
                "show": self._show,
                "snap": self._snap,
                "arm": self._arm,
                "next": self._next,
                "trigger": self._trigger,
                "triggering": self._triggering,
                "exposure": self._exposure,
                "binning": self._binning,
                "shutter": self._shutter,
            }
        )

    def _hello(self, _: Request) -> Request:
        camera = self._world.file.camera
        return {
            "bench": self._world.name,
            "memory": str(self._memory),
            "places": {name: place.to_json() for name, place in self._places.items()},
            "levels": 0 if self._world.file.slm is None else self._world.file.slm.levels,
            "bit_depth": camera.bit_depth,
            "readout_ms": camera.readout_ms,
        }

    def _load(self, request: Request) -> Request:
        """Take the levels that were put into the memory."""
        device = self._panel(request)
        self._world.load(device, self._arrays[device])
        return {}

    def _show(self, request: Request) -> Request:
        """Show what was loaded last."""
        self._world.show_loaded(self._panel(request))
        return {}

    def _panel(self, request: Request) -> str:
        device = str(request["device"])
        if device not in self._world.panel_shapes():
            raise SimulationError(f"there is no panel {device!r}")
        return device

    def _snap(self, _: Request) -> Request:
        self._check_delivery()
        snap = self._world.camera.snap()
        if snap is None:
            raise Silence
        return self._delivered(snap)

    def _arm(self, _: Request) -> Request:
        """Be ready for triggers from now on."""
        arming, pulse = self._world.camera.arm()
        return {"arming": arming, "pulse": pulse, "mode": self._world.camera.trigger_mode}

    def _next(self, request: Request) -> Request:
        """Give the next frame of a sequence, or say that there is no trigger yet."""
        self._check_delivery()
        camera = self._world.camera
        if camera.trigger_mode == "Internal":
            after_s = request.get("after_s")
            return self._delivered(camera.next_free(None if after_s is None else _number(after_s, "after_s")))
        wait_s = min(_number(request.get("wait_s", _LONGEST_WAIT_S), "wait_s"), _LONGEST_WAIT_S)
        taken = camera.next_triggered(int(request["arming"]), int(request["pulse"]), wait_s)
        if taken is None:
            return {"waiting": True}
        snap, pulse = taken
        return {"pulse": pulse, **({"waiting": True} if snap is None else self._delivered(snap))}

    def _trigger(self, _: Request) -> Request:
        self._world.camera.trigger("Software")
        return {}

    def _triggering(self, request: Request) -> Request:
        camera = self._world.camera
        if "mode" in request:
            camera.set_trigger_mode(str(request["mode"]))
        if "delay_ms" in request:
            camera.set_trigger_delay_ms(_number(request["delay_ms"], "delay_ms"))
        return {"mode": camera.trigger_mode, "delay_ms": camera.trigger_delay_ms}

    def _check_delivery(self) -> None:
        if not self._world.camera.delivers:
            raise Silence

    def _delivered(self, snap: Snap) -> Request:
        place = snap.number % FRAME_PLACES
        self._arrays[f"frame {place}"].reshape(-1)[: snap.frame.size] = snap.frame.reshape(-1)
        return {
            "place": place,
            "shape": snap.frame.shape,
            "number": snap.number,
            "start_s": snap.start_s,
            "exposure_ms": snap.exposure_ms,
        }

    def _exposure(self, request: Request) -> Request:
        if "ms" in request:
            self._world.camera.set_exposure_ms(_number(request["ms"], "ms"))
        return {"ms": self._world.camera.exposure_ms}

    def _binning(self, request: Request) -> Request:
        if "pixels" in request:
            self._world.camera.set_binning(int(_number(request["pixels"], "pixels")))
        return {"pixels": self._world.camera.binning}

    def _shutter(self, request: Request) -> Request:
        light = self._world.illumination
        if "open" in request:
            light.set_shutter(_truth_value(request["open"], "open"))
        return {"open": light.shutter.is_open(inf)}


class TestDoor(JsonDoor):
    """What only tests may ask: the truth, and changes of the world.

    Parameters
    ----------
    world
        What it is about.
    connections
        Says how many clients each door has.
    """

    __test__ = False  # it is not a test, whatever its name says

    def __init__(self, world: World, connections: Callable[[], dict[str, int]] = dict) -> None:
        self._world = world
        light, camera = world.illumination, world.camera
        self._switches: dict[str, Callable[[Any], None]] = {
            "camera.delivers": lambda value: setattr(camera, "delivers", _truth_value(value, "camera.delivers")),
            "laser.interlock_closed": lambda value: light.set_interlock(_truth_value(value, "laser.interlock_closed")),
            "laser.fault": lambda value: light.set_laser_fault(str(value)),
            "laser.ignores_off": lambda value: light.set_ignores_off(_truth_value(value, "laser.ignores_off")),
            "shutter.stuck": lambda value: setattr(light.shutter, "stuck", _truth_value(value, "shutter.stuck")),
        }
        super().__init__(
            {
                "truth": lambda _: {**truth(world), "connections": connections()},
                "set": self._set,
                "faults": self._faults,
                "trigger": self._trigger,
                "psf": self._psf,
                "crosstalk": self._crosstalk,
            }
        )

    def _set(self, request: Request) -> Request:
        values = dict(request["values"]) if "values" in request else {str(request["path"]): request["value"]}
        switched = {path: values.pop(path) for path in self._switches if path in values}
        if values:
            self._world.change(values)
        for path, value in switched.items():
            self._switches[path](value)
        return {}

    def _faults(self, request: Request) -> Request:
        """Put a plan into force, an empty one for no more faults; without one, say what was injected."""
        if "plan" in request:
            try:
                plan = FaultPlan.model_validate(request["plan"])
            except ValidationError as error:
                raise SimulationError(explain(error, "the plan")) from error
            self._world.faults.follow(plan)
        return self._world.faults.report()

    def _trigger(self, _: Request) -> Request:
        """Give a pulse on the camera's trigger input, as the display does when it shows another picture."""
        self._world.camera.trigger("External")
        return {}

    def _psf(self, request: Request) -> Request:
        channel = int(request.get("channel", 0))
        if not 0 <= channel < len(self._world.file.source.lines_nm):
            raise SimulationError(f"no such channel: {channel}")
        tile, side = int(request["tile"]), int(request.get("side", 64))
        pixel_um = _number(request.get("pixel_um", self._world.file.camera.pixel_um), "pixel_um")
        if not 0 <= tile < self._world.file.lenslets.count or not 1 <= side <= 1024 or not 0.5 <= pixel_um <= 100:
            raise SimulationError(f"no such PSF: tile {tile}, side {side}, pixel_um {pixel_um}")
        psf = self._world.optics.psf(self._world.pattern(), tile, pixel_um, side, channel)
        return {
            "shape": list(psf.shape),
            "dtype": "<f4",
            "base64": base64.b64encode(psf.astype("<f4").tobytes()).decode(),
        }

    def _crosstalk(self, request: Request) -> Request:
        """Which share of each sub-aperture's light falls on each tile, of the pattern that is shown: (T, T)."""
        return {"shares": self._world.optics.crosstalk(self._world.pattern(), int(request.get("channel", 0))).tolist()}


class ClockDoor:
    """The world's time, as an instrument."""

    def __init__(self, world: World) -> None:
        self._clock = world.clock

    def answer(self, line: str) -> str | None:
        """`TIME?` gives seconds; OK, `SLEEP seconds` when they have passed and `UNTIL seconds` when it is that time."""
        command, _, argument = line.strip().partition(" ")
        if command == "TIME?" and not argument:
            return f"{self._clock.now_s():.9f}"
        if command in ("SLEEP", "UNTIL"):
            try:
                seconds = _number(float(argument), "seconds")
            except (ValueError, SimulationError):
                return f"ERROR {command} takes seconds, not {argument[:40]!r}"
            if not 0 <= seconds <= _MAX_SLEEP_S:
                return f"ERROR {command} takes 0 to {_MAX_SLEEP_S:g} seconds, not {argument[:40]}"
            self._clock.sleep_until_s(seconds if command == "UNTIL" else self._clock.now_s() + seconds)
            return "OK"
        return f"ERROR {line[:40]!r} is none of TIME?, SLEEP seconds and UNTIL seconds"


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise SimulationError(f"{name} must be a finite number, not {value!r}")
    return float(value)


def _truth_value(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise SimulationError(f"{name} must be true or false, not {value!r}")
    return value
