"""Cameras, SLMs, displays and shutters that Micro-Manager has an adapter for, C++ or Python, through one UniMMCore.

A table names a Micro-Manager configuration file and the label of a device in it; instruments that name the same file
share one core. The simulated bench is such a file too, with Python devices in it.
"""

from __future__ import annotations

import logging
import os
from importlib import import_module, util
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from drivers.micromanager_cfg import CfgDevice, read_devices
from labonn.config import Frozen
from labonn.errors import ConfigError, InstrumentError
from labonn.instruments import (
    SLM,
    Camera,
    CameraTable,
    Display,
    Instrument,
    InstrumentTable,
    Modulator,
    ModulatorTable,
    Shutter,
    ShutterTable,
    Site,
    SLMTable,
)

if TYPE_CHECKING:
    from pymmcore_plus.experimental.unicore import UniMMCore


class Place(Frozen):
    """Where a Micro-Manager device is found."""

    cfg: Path = Field(description="Micro-Manager configuration file, relative to the bench file")
    device: str = Field(min_length=1, description="label of the device in that file")
    adapters: Path | None = Field(None, description="folder of the C++ adapters; Micro-Manager's own where missing")


class MicroManagerCameraTable(Place, CameraTable):
    """A Micro-Manager camera's table."""


class MicroManagerDisplayTable(Place, ModulatorTable):
    """The table of a Micro-Manager SLM device that shows pictures."""


class MicroManagerSLMTable(Place, SLMTable):
    """The table of a Micro-Manager SLM device that turns the phase."""


class MicroManagerShutterTable(Place, ShutterTable):
    """A Micro-Manager shutter's table."""


class _Device(Instrument):
    """What every Micro-Manager device has in common: a core, and its label there."""

    mm_type: ClassVar[str]
    _core: UniMMCore
    _label: str

    def _connect_hw(self) -> None:
        place: Any = self.table
        self._core = _core_of(self.site, place)
        self._label = place.device
        _check_device(self._core, self._label, self.mm_type, f"[instruments.{self.name}]", place.cfg)

    def _disconnect_hw(self) -> None:
        """Leave the device to its core, which is closed with the bench."""

    def _identify_hw(self) -> str:
        core, label = self._core, self._label
        return f"{core.getDeviceLibrary(label)} {core.getDeviceName(label)}: {core.getDeviceDescription(label)}".strip(
            ": "
        )

    def _settings_hw(self) -> dict[str, Any]:
        names = self._core.getDevicePropertyNames(self._label)
        return {str(name): str(self._core.getProperty(self._label, name)) for name in names}


class MicroManagerCamera(_Device, Camera):
    """A camera with a Micro-Manager adapter."""

    mm_type = "Camera"
    table_model: ClassVar[type[InstrumentTable]] = MicroManagerCameraTable

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

    def _make_current(self) -> None:
        if self._core.getCameraDevice() != self._label:
            self._core.setCameraDevice(self._label)


class _Pixels(_Device, Modulator):
    """A Micro-Manager SLM device, whatever its levels mean."""

    mm_type = "SLM"

    def _shape_hw(self) -> tuple[int, int]:
        return int(self._core.getSLMHeight(self._label)), int(self._core.getSLMWidth(self._label))

    def _show_hw(self, levels: NDArray[np.uint8]) -> None:
        self._core.setSLMImage(self._label, levels)
        self._core.displaySLMImage(self._label)
        self._core.waitForDevice(self._label)


class MicroManagerDisplay(_Pixels, Display):
    """A display that Micro-Manager shows pictures on."""

    table_model: ClassVar[type[InstrumentTable]] = MicroManagerDisplayTable


class MicroManagerSLM(_Pixels, SLM):
    """A phase SLM with a Micro-Manager adapter."""

    table_model: ClassVar[type[InstrumentTable]] = MicroManagerSLMTable


class MicroManagerShutter(_Device, Shutter):
    """A shutter with a Micro-Manager adapter."""

    mm_type = "Shutter"
    table_model: ClassVar[type[InstrumentTable]] = MicroManagerShutterTable

    def _is_open_hw(self) -> bool:
        return bool(self._core.getShutterOpen(self._label))

    def _set_open_hw(self, opening: bool) -> None:
        self._core.setShutterOpen(self._label, opening)
        self._core.waitForDevice(self._label)


INSTRUMENTS = {
    "camera": MicroManagerCamera,
    "display": MicroManagerDisplay,
    "slm": MicroManagerSLM,
    "shutter": MicroManagerShutter,
}


def _core_of(site: Site, place: Place) -> UniMMCore:
    """Give the core of a configuration file, loading it if no other instrument of the bench has."""
    cfg = (site.folder / place.cfg).resolve()
    adapters = None if place.adapters is None else str((site.folder / place.adapters).resolve())
    return site.shared.borrow(("micromanager", cfg), lambda: _load(cfg, adapters), _unload)


def _check_device(core: UniMMCore, label: str, mm_type: str, table: str, cfg: Path) -> None:
    labels = [loaded for loaded in core.getLoadedDevices() if loaded != "Core"]
    if label not in labels:
        raise ConfigError(
            f"{cfg}: has no device {label!r}, which the bench file's {table} names;"
            f" it has: {', '.join(labels) or 'none'}"
        )
    actual = core.getDeviceType(label).name.removesuffix("Device")
    if actual != mm_type:
        raise ConfigError(f"{cfg}: {label!r} is a {actual}; the bench file's {table} needs a {mm_type}")


def _load(cfg: Path, adapters: str | None) -> UniMMCore:
    devices = read_devices(cfg)
    core = _new_core(adapters)
    _check_adapters(cfg, devices, core)
    try:
        core.loadSystemConfiguration(str(cfg))
    except Exception as error:
        _unload(core)
        said = " ".join(str(error).split())
        raise InstrumentError(f"Micro-Manager could not load {cfg}: {said}") from error
    # On by default, and fails every snap on a bench whose shutter is not the core's.
    core.setAutoShutter(False)
    return core


def _new_core(adapters: str | None) -> UniMMCore:
    """Make a core, without the log file in the user's folder and the chatty root logger that importing it brings."""
    root = logging.getLogger()
    level = root.level
    os.environ.setdefault("PYMM_LOG_FILE", "0")
    module = import_module("pymmcore_plus.experimental.unicore")
    root.setLevel(level)
    core: UniMMCore = module.UniMMCore(adapter_paths=() if adapters is None else (adapters,))
    return core


def _unload(core: UniMMCore) -> None:
    core.unloadAllDevices()


def _check_adapters(cfg: Path, devices: tuple[CfgDevice, ...], core: UniMMCore) -> None:
    """Refuse a configuration file that names what is not installed, before anything is loaded from it."""
    adapters = sorted(core.getDeviceAdapterNames())
    folders = ", ".join(core.getDeviceAdapterSearchPaths()) or "(none)"
    for device in devices:
        where = f"{cfg}, line {device.line}: device {device.label!r}"
        if device.adapter in adapters:
            names = core.getAvailableDevices(device.adapter)
            if device.name not in names:
                raise ConfigError(f"{where}: {device.adapter!r} has no {device.name!r}; it has: {', '.join(names)}")
        elif not _is_python_device(device):
            raise ConfigError(
                f"{where}: there is no adapter {device.adapter!r}; the folder {folders} has"
                f" {', '.join(adapters) or 'none'},"
                f" and Python cannot import {device.name!r} from {device.adapter!r}"
            )


def _is_python_device(device: CfgDevice) -> bool:
    try:
        return util.find_spec(device.adapter) is not None and hasattr(import_module(device.adapter), device.name)
    except (ImportError, ValueError):
        return False
