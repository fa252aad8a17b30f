"""Finding Micro-Manager devices: those of configuration files, and those that adapters could make; none is loaded."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from drivers.micromanager_cfg import CfgDevice, read_devices
from drivers.micromanager_core import _is_python_device, _unicore
from labonn.errors import ConfigError
from labonn.instruments.discovery import Found, Search

# What a device's type makes it in a bench file, and what has to be filled in for it.
_KINDS: Final[dict[str, tuple[str, ...]]] = {
    "Camera": ("camera",),
    "SLM": ("display", "slm"),
    "Shutter": ("shutter",),
    "Stage": ("stage",),
    "XYStage": ("stage",),
}
_LIMITS: Final = {"lowest_um": -100.0, "highest_um": 100.0}


def discover(search: Search) -> Iterator[Found]:
    """Give the devices of every configuration file, then what the installed adapters have."""
    core = _unicore().UniMMCore()
    for cfg in dict.fromkeys([*sorted(search.folder.glob("*.cfg")), *search.cfgs]):
        yield from _of_cfg(core, cfg, search.folder)
    for adapter in sorted(core.getDeviceAdapterNames()):
        yield from _of_adapter(core, adapter)


def _of_cfg(core: Any, cfg: Path, folder: Path) -> Iterator[Found]:
    try:
        devices = read_devices(cfg)
    except ConfigError:
        if cfg.parent == folder:
            return  # a file of somebody else's that ends with .cfg, too
        raise
    where = cfg.name if cfg.parent == folder else str(cfg.resolve())
    for device in devices:
        mm_type = _type_of(core, device)
        if mm_type in _KINDS:
            table = {"driver": "micromanager", "cfg": where, "device": device.label}
            name = f"{where}:{device.label}"
            description = f"{mm_type}: {device.adapter} {device.name}"
            yield from _found(name, mm_type, description, table)


def _of_adapter(core: Any, adapter: str) -> Iterator[Found]:
    names = core.getAvailableDevices(adapter)
    types = core.getAvailableDeviceTypes(adapter)
    for name, number in zip(names, types, strict=True):
        mm_type = _type_name(number)
        if mm_type in _KINDS:
            # Its label is its own name: two of one adapter need a .cfg of the operator's own.
            lines = f"Property,Core,Initialize,0\nDevice,{name},{adapter},{name}\nProperty,Core,Initialize,1\n"
            table = {"driver": "micromanager", "cfg": "discovered.cfg", "device": name}
            description = f"{mm_type} of the adapter {adapter}; its .cfg is written with the bench file"
            yield from _found(f"{adapter}:{name}", mm_type, description, table, {"discovered.cfg": lines})


def _found(
    name: str, mm_type: str, description: str, table: dict[str, Any], files: dict[str, str] | None = None
) -> Iterator[Found]:
    to_fill_in = _LIMITS if "Stage" in mm_type else {}
    for axis in ("x", "y") if mm_type == "XYStage" else ("",):
        which = f"{name}:{axis}" if axis else name
        along = {"axis": axis} if axis else {}
        yield Found(which, _KINDS[mm_type], description, {**table, **along}, to_fill_in, files or {})


def _type_of(core: Any, device: CfgDevice) -> str:
    if device.adapter in core.getDeviceAdapterNames():
        names = list(core.getAvailableDevices(device.adapter))
        if device.name in names:
            return _type_name(core.getAvailableDeviceTypes(device.adapter)[names.index(device.name)])
        return ""
    if not _is_python_device(device):
        return ""
    unicore = _unicore()
    made_of = getattr(import_module(device.adapter), device.name)
    bases = {"Camera": "CameraDevice", "SLM": "SLMDevice", "Shutter": "ShutterDevice", "Stage": "StageDevice"}
    for mm_type, base in {**bases, "XYStage": "XYStageDevice"}.items():
        if inspect.isclass(made_of) and issubclass(made_of, getattr(unicore, base, ())):
            return mm_type
    return ""


def _type_name(number: int) -> str:
    device_type = import_module("pymmcore_plus").DeviceType
    return str(device_type(int(number)).name).removesuffix("Device")
