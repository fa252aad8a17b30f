"""Cameras that Micro-Manager has an adapter for: single frames and sequences, ROI, binning, triggers."""

from __future__ import annotations

import re
import time
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from drivers.micromanager_core import Device, Place
from labonn.config import Frozen
from labonn.errors import ConfigError
from labonn.instruments import Camera, CameraTable, Frame, InstrumentTable
from labonn.instruments.camera import Roi, Trigger

# A busy wait takes the time that the camera's own thread needs: 100 frames a second instead of 800.
_POLL_S: Final = 0.0005
# The camera's own count of its frames, where its adapter delivers it; the core's counts only what reached the core.
_NUMBERS: Final = ("FrameNumber", "ImageNumber")
_STAMP: Final = "ElapsedTime-ms"


class TriggerProperties(Frozen):
    """Micro-Manager properties of one adapter, and what each mode of triggering sets them to; vendors differ."""

    internal: dict[str, str] = Field(default_factory=dict)
    software: dict[str, str] = Field(default_factory=dict)
    external: dict[str, str] = Field(default_factory=dict)
    fire: dict[str, str] = Field(default_factory=dict, description="what is set to trigger one frame by software")


class MicroManagerCameraTable(Place, CameraTable):
    """A Micro-Manager camera's table."""

    trigger_properties: TriggerProperties = Field(default_factory=TriggerProperties)
    buffer_mb: int | None = Field(None, gt=0, description="memory for frames that wait to be taken")

    @model_validator(mode="after")
    def _can_be_triggered(self) -> Self:
        properties = self.trigger_properties
        if self.trigger != "internal" and not getattr(properties, self.trigger):
            raise ValueError(
                f"trigger = {self.trigger!r}: trigger_properties.{self.trigger} must name the properties of the"
                ' camera\'s adapter that do it, such as { TriggerMode = "External" }'
            )
        if self.trigger == "software" and not properties.fire:
            raise ValueError('trigger = "software": trigger_properties.fire must name the property that triggers')
        return self


class MicroManagerCamera(Device, Camera):
    """A camera with a Micro-Manager adapter."""

    mm_type = "Camera"
    table_model: ClassVar[type[InstrumentTable]] = MicroManagerCameraTable
    table: MicroManagerCameraTable
    _fires: dict[str, Any] | None = None

    def _connect_hw(self) -> None:
        super()._connect_hw()
        self._make_current()
        if self.table.buffer_mb is not None:
            self._core.setCircularBufferMemoryFootprint(self.table.buffer_mb)

    def _shape_hw(self) -> tuple[int, int]:
        self._make_current()
        return int(self._core.getImageHeight()), int(self._core.getImageWidth())

    def _snap_hw(self) -> NDArray[Any]:
        self._make_current()
        self._core.snapImage()
        return np.asarray(self._core.getImage())

    def _exposure_ms_hw(self) -> float:
        return float(self._core.getExposure(self._label))

    def _set_exposure_ms_hw(self, exposure_ms: float) -> None:
        self._core.setExposure(self._label, exposure_ms)

    def _roi_hw(self) -> Roi:
        left, top, width, height = self._core.getROI(self._label)
        return int(top), int(left), int(height), int(width)

    def _set_roi_hw(self, roi: Roi | None) -> None:
        self._make_current()
        if roi is None:
            self._core.clearROI()
        else:
            top, left, height, width = roi
            self._core.setROI(self._label, left, top, width, height)

    def _set_binning_hw(self, binning: int) -> None:
        if not self._core.hasProperty(self._label, "Binning"):
            super()._set_binning_hw(binning)
            return
        if _binning(str(self._core.getProperty(self._label, "Binning"))) == binning:
            return
        # "2" for some adapters, "2x2" for others.
        values = {_binning(one): one for one in self._core.getAllowedPropertyValues(self._label, "Binning")}
        if binning not in values:
            known = ", ".join(str(one) for one in sorted(values)) or "1"
            raise ConfigError(f"{self}: binning = {binning}: the camera has: {known}")
        self._set_property("Binning", values[binning])

    def _set_trigger_hw(self, trigger: Trigger) -> None:
        self._set_properties(getattr(self.table.trigger_properties, trigger), f"trigger_properties.{trigger}")
        self._fires = None

    def _fire_hw(self) -> None:
        if self._fires is None:  # checked once: a trigger is not the moment for questions
            fire = self.table.trigger_properties.fire
            self._check_properties(fire, "trigger_properties.fire")
            self._fires = {name: self._as_known(name, value) for name, value in fire.items()}
        for name, value in self._fires.items():
            self._core.setProperty(self._label, name, value)

    def _start_sequence_hw(self, count: int) -> None:
        self._make_current()
        # It stops rather than to lose frames silently when its buffer is full.
        self._core.startSequenceAcquisition(count, 0, True)

    def _next_frame_hw(self, within_s: float) -> Frame | str:
        core = self._core
        deadline = time.monotonic() + within_s
        while not core.getRemainingImageCount():
            if core.isBufferOverflowed():
                return "Micro-Manager's buffer overflowed; take frames faster, or give it more (buffer_mb)"
            # Asked in this order, since the last frame may come between the two questions.
            if not core.isSequenceRunning() and not core.getRemainingImageCount():
                return "the camera ended the sequence"
            if time.monotonic() > deadline:
                return f"no frame came within {1e3 * within_s:g} ms"
            time.sleep(_POLL_S)
        pixels, tags = core.popNextImageAndMD()
        number = next(int(tags[name]) for name in _NUMBERS if name in tags)
        return Frame(number, float(tags[_STAMP]), np.asarray(pixels))

    def _stop_sequence_hw(self) -> None:
        self._make_current()
        self._core.stopSequenceAcquisition()
        self._core.clearCircularBuffer()

    def _set_properties(self, settings: dict[str, str], key: str) -> None:
        self._check_properties(settings, key)
        for name, value in settings.items():
            self._set_property(name, value)

    def _check_properties(self, settings: dict[str, str], key: str) -> None:
        for name, value in settings.items():
            if not self._core.hasProperty(self._label, name):
                known = ", ".join(self._core.getDevicePropertyNames(self._label))
                raise ConfigError(f"{self}: {key}: the camera has no property {name!r}; it has: {known}")
            allowed = self._core.getAllowedPropertyValues(self._label, name)
            if allowed and value not in allowed:
                raise ConfigError(f"{self}: {key}: {name} = {value!r}: the camera allows: {', '.join(allowed)}")

    def _set_property(self, name: str, value: str) -> None:
        self._core.setProperty(self._label, name, self._as_known(name, value))

    def _as_known(self, name: str, value: str) -> Any:
        # Everything is text to C++ adapters; devices in Python know numbers, and take only those.
        now = self._core.getProperty(self._label, name)
        return value if isinstance(now, str) else type(now)(value)

    def _make_current(self) -> None:
        if self._core.getCameraDevice() != self._label:
            self._core.setCameraDevice(self._label)


def _binning(text: str) -> int:
    found = re.match(r"\d+", text)
    return int(found.group()) if found else 1
