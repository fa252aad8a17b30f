"""One UniMMCore a configuration file: loading it, and what every device in it has in common."""

from __future__ import annotations

import logging
import os
import tempfile
from importlib import import_module, util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from drivers.micromanager_cfg import CfgDevice, only_for, read_devices
from labonn.config import Frozen
from labonn.errors import ConfigError, InstrumentError
from labonn.instruments import Instrument, Site

if TYPE_CHECKING:
    from pymmcore_plus.experimental.unicore import UniMMCore


class Place(Frozen):
    """Where a Micro-Manager device is found."""

    cfg: Path = Field(description="Micro-Manager configuration file, relative to the bench file")
    device: str = Field(min_length=1, description="label of the device in that file")
    adapters: Path | None = Field(None, description="folder of the C++ adapters; Micro-Manager's own where missing")


class Device(Instrument):
    """What every Micro-Manager device has in common: a core, and its label there."""

    mm_type: str
    _core: UniMMCore
    _label: str

    def get_ready(self) -> None:
        """Import Micro-Manager, and the Python devices that this one needs."""
        place: Any = self.table
        _unicore()
        only = place.device if self.site.only_dark else None
        for device in read_devices(_path(self.site, place), only):
            _is_python_device(device)

    def _connect_hw(self) -> None:
        place: Any = self.table
        self._core = _core_of(self.site, place)
        self._label = place.device
        _check_device(self._core, self._label, self.mm_type, f"[instruments.{self.name}]", place.cfg)
        # The core's own limit ends its waits; the slowest instrument's is theirs.
        self._core.setTimeoutMs(max(self._core.getTimeoutMs(), int(self.table.timeout_ms)))

    def _disconnect_hw(self) -> None:
        """Leave the device to its core, which is closed with the bench."""

    def _identify_hw(self) -> str:
        core, label = self._core, self._label
        description = core.getDeviceDescription(label).strip().partition("\n")[0]
        return f"{core.getDeviceLibrary(label)} {core.getDeviceName(label)}: {description}".strip(": ")

    def _settings_hw(self) -> dict[str, Any]:
        names = self._core.getDevicePropertyNames(self._label)
        return {str(name): str(self._core.getProperty(self._label, name)) for name in names}


def _path(site: Site, place: Place) -> Path:
    return (site.folder / place.cfg).resolve()


def _core_of(site: Site, place: Place) -> UniMMCore:
    """Give the core of a configuration file, loading it if no other instrument of the bench has.

    Where the bench is only to be made dark, no more is loaded than the device needs: the rest takes time, and may be
    what hangs.
    """
    cfg = _path(site, place)
    adapters = None if place.adapters is None else str((site.folder / place.adapters).resolve())
    only = place.device if site.only_dark else None
    return site.shared.borrow(("micromanager", cfg, only), lambda: _load(cfg, adapters, only), _unload)


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


def _load(cfg: Path, adapters: str | None, only: str | None) -> UniMMCore:
    devices = read_devices(cfg, only)
    core: UniMMCore = _unicore().UniMMCore(adapter_paths=() if adapters is None else (adapters,))
    _check_adapters(cfg, devices, core)
    try:
        if only is None:
            core.loadSystemConfiguration(str(cfg))
        else:
            _load_part(core, cfg, only)
    except Exception as error:
        _unload(core)
        said = " ".join(str(error).split())
        raise InstrumentError(f"Micro-Manager could not load {cfg}: {said}") from error
    # On by default, and fails every snap on a bench whose shutter is not the core's.
    core.setAutoShutter(False)
    return core


def _load_part(core: UniMMCore, cfg: Path, label: str) -> None:
    with tempfile.TemporaryDirectory(prefix="labonn-") as folder:
        part = Path(folder) / cfg.name
        part.write_text(only_for(cfg, label), encoding="utf-8")
        core.loadSystemConfiguration(str(part))


def _unicore() -> Any:
    """Import it, without the log file in the user's folder and the chatty root logger that importing it brings."""
    root = logging.getLogger()
    level = root.level
    os.environ.setdefault("PYMM_LOG_FILE", "0")
    module = import_module("pymmcore_plus.experimental.unicore")
    root.setLevel(level)
    return module


def _unload(core: UniMMCore) -> None:
    try:
        core.unloadAllDevices()
    finally:
        # The core's thread that delivers events takes the process down if it meets the end of Python. pymmcore-plus
        # forbids its own method and undoes this only when the core is collected, which may be later than that.
        import_module("pymmcore").CMMCore.registerCallback(core, None)


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
