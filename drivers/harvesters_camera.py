"""GenICam cameras (GigE Vision, USB3 Vision ...) through a GenTL producer, which their makers' software brings."""

from __future__ import annotations

import importlib
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from pydantic import Field

from drivers.claim import claim
from labonn.errors import ConfigError, InstrumentError
from labonn.instruments import Camera, CameraTable, Frame, InstrumentTable
from labonn.instruments.camera import Roi
from labonn.instruments.lock import lock_folder

_ITS_PART: Final = 0.9
_SIDES: Final = ("OffsetY", "OffsetX", "Height", "Width")


class HarvestersTable(CameraTable):
    """A GenICam camera's table."""

    producer: Path = Field(description="GenTL producer, a .cti file, relative to the bench file")
    device: str = Field(min_length=1, description="its serial number, its name, or the producer's id of it")
    features: dict[str, bool | int | float | str] = Field(
        default_factory=dict, description='GenICam features to set: { PixelFormat = "Mono12", GainAuto = "Off" }'
    )
    buffers: int = Field(16, ge=1, description="frames that may wait to be taken")
    fixed_exposure: bool = Field(False, description="it has no ExposureTime: exposure_ms says what it is")


class HarvestersCamera(Camera):
    """A GenICam camera. Acquisition begins when a frame is asked for, so that none is older than that."""

    table_model: ClassVar[type[InstrumentTable]] = HarvestersTable
    table: HarvestersTable
    _acquirer: Any = None
    _claim: FileLock | None = None

    def get_ready(self) -> None:
        """Import harvesters."""
        _harvesters()

    def _connect_hw(self) -> None:
        core = _harvesters()
        producer = (self.site.folder / self.table.producer).resolve()
        if not producer.is_file():
            raise ConfigError(f"{self}: producer = {str(self.table.producer)!r}: there is no file {producer}")
        harvester = self.site.shared.borrow(
            ("gentl", producer), lambda: self._load(core, producer), lambda held: held.reset()
        )
        device = self._find(harvester)
        self._claim = claim("camera", f"{producer.name} {device.id_}", lock_folder())
        try:
            self._acquirer = harvester.create(device)
            self._acquirer.num_buffers = self.table.buffers
            self._nodes = self._acquirer.remote_device.node_map
            for name, value in self.table.features.items():
                self._set(name, value, f"features.{name}")
        except BaseException:
            self._disconnect_hw()
            raise

    def _disconnect_hw(self) -> None:
        acquirer, self._acquirer = self._acquirer, None
        if acquirer is not None:
            acquirer.destroy()
        if self._claim is not None:
            self._claim.release()

    def _identify_hw(self) -> str:
        of = self._acquirer.device
        return f"{of.vendor} {of.model} {of.serial_number or of.id_}, GenTL {self.table.producer.name}"

    def _settings_hw(self) -> dict[str, Any]:
        names = ("PixelFormat", "ExposureTime", "Gain", "AcquisitionFrameRate", *self.table.features)
        return {name: self._get(name) for name in dict.fromkeys(names) if self._has(name)}

    def _shape_hw(self) -> tuple[int, int]:
        return int(self._get("Height")), int(self._get("Width"))

    def _exposure_ms_hw(self) -> float:
        return self._now_ms if self.table.fixed_exposure else float(self._get("ExposureTime")) / 1e3

    def _set_exposure_ms_hw(self, exposure_ms: float) -> None:
        if self.table.fixed_exposure:
            if exposure_ms != self.table.exposure_ms:
                raise ConfigError(
                    f"{self}: exposure_ms = {exposure_ms:g}: its exposure cannot be set from here (fixed_exposure), and"
                    f" is {self.table.exposure_ms:g} ms as the bench file says"
                )
            self._now_ms = exposure_ms
        elif not self._has("ExposureTime"):
            raise ConfigError(
                f"{self}: exposure_ms = {exposure_ms:g}: the camera has no feature ExposureTime; write down what its"
                " exposure is, and say fixed_exposure = true"
            )
        else:
            self._set("ExposureTime", 1e3 * exposure_ms, "exposure_ms")

    def _roi_hw(self) -> Roi:
        top, left, height, width = (int(self._get(name)) if self._has(name) else 0 for name in _SIDES)
        return top, left, height, width

    def _set_roi_hw(self, roi: Roi | None) -> None:
        # Offsets first to nothing: a side may not be longer than what they leave.
        for name in _SIDES[:2]:
            if self._has(name):
                self._set(name, 0, "roi")
        full = [self._node(name).max for name in _SIDES[2:]]
        for name, value in zip(_SIDES[2:], full if roi is None else roi[2:], strict=True):
            self._set(name, int(value), "roi")
        for name, value in zip(_SIDES[:2], (0, 0) if roi is None else roi[:2], strict=True):
            if self._has(name) or value:
                self._set(name, int(value), "roi")

    def _set_binning_hw(self, binning: int) -> None:
        if not self._has("BinningHorizontal"):
            super()._set_binning_hw(binning)
            return
        for name in ("BinningHorizontal", "BinningVertical"):
            self._set(name, binning, "binning")

    def _snap_hw(self) -> NDArray[Any]:
        self._start_sequence_hw(1)
        try:
            got = self._next_frame_hw((self._exposure_ms_hw() + _ITS_PART * self.table.timeout_ms) / 1e3)
        finally:
            self._stop_sequence_hw()
        if isinstance(got, str):
            raise InstrumentError(f"{self}: {got}; check its power, cable and network")
        return got.pixels

    def _start_sequence_hw(self, count: int) -> None:
        self._acquirer.start()

    def _next_frame_hw(self, within_s: float) -> Frame | str:
        gentl = importlib.import_module("genicam.gentl")
        try:
            buffer = self._acquirer.fetch(timeout=within_s)
        except (gentl.TimeoutException, TimeoutError):
            return f"no frame came within {1e3 * within_s:g} ms"
        try:
            number = int(buffer.module.frame_id)
            if not buffer.module.is_complete():
                return f"frame {number} came incomplete"
            return Frame(number, 1e3 * time.monotonic(), self._pixels(buffer.payload.components[0]))
        finally:
            buffer.queue()

    def _stop_sequence_hw(self) -> None:
        self._acquirer.stop()

    def _pixels(self, component: Any) -> NDArray[Any]:
        if not str(component.data_format).startswith("Mono"):
            raise InstrumentError(
                f"{self}: delivered pixels in the format {component.data_format}; choose one of brightness alone:"
                ' features = { PixelFormat = "Mono8" }'
            )
        # Its buffer goes back to the producer.
        return np.array(component.data).reshape(int(component.height), int(component.width))

    def _load(self, core: Any, producer: Path) -> Any:
        harvester = core.Harvester()
        try:
            harvester.add_file(str(producer), check_existence=True, check_validity=True)
            harvester.update()
        except Exception as error:
            raise ConfigError(f"{self}: producer = {str(self.table.producer)!r}: cannot be loaded: {error}") from error
        return harvester

    def _find(self, harvester: Any) -> Any:
        names = {}
        for one in harvester.device_info_list:
            told = one.property_dict
            names[one] = {told.get("serial_number"), told.get("id_"), told.get("user_defined_name")} - {None, ""}
        found = [one for one, called in names.items() if self.table.device in called]
        if len(found) != 1:
            known = ", ".join(sorted(f"{one.model} {one.serial_number} ({one.id_})" for one in names)) or "none"
            raise ConfigError(
                f"{self}: device = {self.table.device!r}: {len(found) or 'none'} of the cameras is called so;"
                f" there are: {known}"
            )
        return found[0]

    def _has(self, name: str) -> bool:
        return hasattr(self._nodes, name)

    def _node(self, name: str) -> Any:
        return getattr(self._nodes, name)

    def _get(self, name: str) -> Any:
        return self._node(name).value

    def _set(self, name: str, value: Any, key: str) -> None:
        if not self._has(name):
            raise ConfigError(f"{self}: {key}: the camera has no feature {name}")
        try:
            self._node(name).value = value
        except Exception as error:
            said = " ".join(str(error).split())
            raise ConfigError(f"{self}: {key}: the camera does not take {name} = {value!r}: {said}") from error


def _harvesters() -> Any:
    if find_spec("harvesters") is None:
        raise ConfigError("driver = 'harvesters': needs harvesters, which is missing: pip install 'labonn[vendor]'")
    return importlib.import_module("harvesters.core")


INSTRUMENTS = {"camera": HarvestersCamera}
