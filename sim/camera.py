"""When the camera exposes, and what it delivers: one frame, a free-running sequence, or a frame for each trigger.

A free-running camera would run away with a virtual clock, which nobody holds back. So it does not push the clock on:
for each frame it waits until others have made it late enough, or until as much of this computer's time has passed as
the frame takes, and only then makes it that moment itself. Alone, it makes the world's time pass as fast as real time,
never faster. Where others jump over many frames, those are not taken and not counted.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from sim.clock import Clock
from sim.errors import SimulationError
from sim.faults import Faults
from sim.sensor import Frame
from sim.world_file import Camera as CameraFile

TriggerMode = Literal["Internal", "Software", "External"]
TRIGGER_MODES: Final[tuple[TriggerMode, ...]] = ("Internal", "Software", "External")
BINNINGS = (1, 2, 4)
_MS = 1e-3
_MAX_EXPOSURE_MS = 60_000.0
_MAX_DELAY_MS = 10_000.0
_REMEMBERED_PULSES = 64
_MISSING_PART = 8  # a truncated frame lacks one row in so many


@dataclass(frozen=True)
class Snap:
    """One frame, with the moment at which its exposure began."""

    frame: Frame
    number: int
    start_s: float
    exposure_ms: float


class Scene(Protocol):
    """What the world shows its camera."""

    def expose(self, start_s: float, stop_s: float, exposure_ms: float) -> Frame:
        """Give what the sensor sees between two moments."""
        ...

    def foresee(self, start_s: float, stop_s: float, exposure_ms: float) -> None:
        """Make ready what the sensor sees between two moments, of which the second is to come, if nothing happens."""
        ...

    def expose_stale(self, start_s: float, stop_s: float, exposure_ms: float) -> Frame | None:
        """Give what it would see of the picture before; None where that is no different."""
        ...


class Camera:
    """One camera's timing, numbering and faults; one exposure at a time."""

    def __init__(self, file: Callable[[], CameraFile], clock: Clock, scene: Scene, faults: Faults) -> None:
        self._file = file
        self._clock = clock
        self._scene = scene
        self._faults = faults
        self.exposing = threading.Lock()
        self.delivers = True
        self.exposure_ms = file().exposure_ms
        self.binning = 1
        """How many pixels, both axes, its electronics averages to one of a frame."""
        self.frames = 0
        """How many frames were taken; also the number of the last one."""
        self.trigger_mode: TriggerMode = "Internal"
        self.trigger_delay_ms = 0.0
        self._before: Frame | None = None
        self._pulsing = threading.Condition()
        self._pulse = 0
        self._arming = 0
        self._pulses: deque[tuple[int, float]] = deque(maxlen=_REMEMBERED_PULSES)

    def set_exposure_ms(self, exposure_ms: float) -> None:
        """Set the exposure of the frames to come."""
        if not 0 < exposure_ms <= _MAX_EXPOSURE_MS:
            raise SimulationError(f"the camera exposes for 0 to {_MAX_EXPOSURE_MS:g} ms, not {exposure_ms!r}")
        self.exposure_ms = float(exposure_ms)

    def set_binning(self, binning: int) -> None:
        """Choose how many pixels, both axes, make one of the frames to come."""
        if binning not in BINNINGS:
            raise SimulationError(f"the camera bins {', '.join(map(str, BINNINGS))} pixels, not {binning!r}")
        with self.exposing:
            self.binning = binning
            self._before = None

    def set_trigger_mode(self, mode: str) -> None:
        """Choose what begins an exposure."""
        for known in TRIGGER_MODES:
            if mode == known:
                self.trigger_mode = known
                return
        raise SimulationError(f"the camera has no trigger mode {mode!r}; it has {', '.join(TRIGGER_MODES)}")

    def set_trigger_delay_ms(self, delay_ms: float) -> None:
        """Choose how long after a trigger the exposure begins."""
        if not 0 <= delay_ms <= _MAX_DELAY_MS:
            raise SimulationError(f"the camera's trigger delay is 0 to {_MAX_DELAY_MS:g} ms, not {delay_ms!r}")
        self.trigger_delay_ms = float(delay_ms)

    def trigger(self, source: TriggerMode) -> None:
        """Give a pulse; it does something only in the mode of its source, and only while the camera waits."""
        with self._pulsing:
            if source == self.trigger_mode:
                self._pulse += 1
                self._pulses.append((self._pulse, self._clock.now_s()))
                self._pulsing.notify_all()

    def arm(self) -> tuple[int, int]:
        """Be ready for triggers from now on: number of this arming, which ends all before, and of the last pulse."""
        with self._pulsing:
            self._arming += 1
            self._pulsing.notify_all()
            return self._arming, self._pulse

    def snap(self) -> Snap | None:
        """Expose and read one frame, now; None if it is not delivered."""
        with self.exposing:
            return self._take(self._clock.now_s(), self._clock.sleep_until_s)

    def next_free(self, after_s: float | None) -> Snap:
        """Give the next frame of a free-running sequence that is delivered.

        Parameters
        ----------
        after_s
            When the exposure of the frame before began; None for the first.
        """
        with self.exposing:
            while True:
                start_s = self._next_start_s(after_s)
                snap = self._take(start_s, self._clock.let_pass_until_s)
                if snap is not None:
                    return snap
                after_s = start_s

    def next_triggered(self, arming: int, after_pulse: int, wait_s: float) -> tuple[Snap | None, int] | None:
        """Give the frame of the first pulse after the one of this number, and the last pulse that it made deaf for.

        None where no pulse came while `wait_s` of this computer's time passed, or the camera was armed again.
        """
        with self.exposing:
            with self._pulsing:
                self._pulsing.wait_for(lambda: self._pulse > after_pulse or arming != self._arming, wait_s)
                if self._pulse <= after_pulse or arming != self._arming:
                    return None
                moment_s = next((at_s for number, at_s in self._pulses if number > after_pulse), self._clock.now_s())
            start_s = moment_s + self.trigger_delay_ms * _MS
            ready_s = start_s + (self.exposure_ms + self._file().readout_ms) * _MS
            snap = self._take(start_s, self._clock.sleep_until_s)
            with self._pulsing:
                return snap, max(number for number, at_s in self._pulses if at_s < ready_s)

    def _next_start_s(self, after_s: float | None) -> float:
        """Back to back, reading one frame while the next is exposed; now, where that is too long ago."""
        now_s = self._clock.now_s()
        if after_s is None:
            return now_s
        period_s = max(self.exposure_ms, self._file().readout_ms) * _MS
        return after_s + period_s if after_s + 2 * period_s >= now_s else now_s

    def _take(self, start_s: float, wait_until_s: Callable[[float], None]) -> Snap | None:
        exposure_ms = self.exposure_ms
        stop_s = start_s + exposure_ms * _MS
        if self._clock.passes_by_itself:
            self._scene.foresee(start_s, stop_s, exposure_ms)
        wait_until_s(stop_s)
        self.frames += 1
        frame = self._spoilt(start_s, stop_s, exposure_ms)
        wait_until_s(stop_s + self._file().readout_ms * _MS)
        if frame is None:
            return None
        self._before = frame
        return Snap(frame, self.frames, start_s, exposure_ms)

    def _spoilt(self, start_s: float, stop_s: float, exposure_ms: float) -> Frame | None:
        """Expose, with the fault that is due; None if the frame is lost."""
        kind, at = self._faults.due("camera")
        spoilt: Frame | None = None
        match kind:
            case "dropped":
                self._faults.happened("camera", kind, self.frames, at)
                return None
            case "duplicated":
                spoilt = None if self._before is None else self._before.copy()
            case "stale":
                spoilt = self._scene.expose_stale(start_s, stop_s, exposure_ms)
            case "truncated":
                spoilt = self._scene.expose(start_s, stop_s, exposure_ms)
                spoilt[len(spoilt) - len(spoilt) // _MISSING_PART :] = 0
        if kind is None or spoilt is None:
            return self._scene.expose(start_s, stop_s, exposure_ms)
        self._faults.happened("camera", kind, self.frames, at)
        return spoilt
