"""What the instruments of a bench are; the bench that holds them, its lock, its interlocks, its watchdog, its dark.

Each name is imported from its module when it is first asked for: who only reads a bench file, or asks who holds a
bench, must not wait for numpy and every instrument.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labonn.instruments.bench import Bench
    from labonn.instruments.bench_config import BenchConfig, Geometry, read_bench
    from labonn.instruments.camera import Camera, CameraTable, Frame
    from labonn.instruments.clock import Clock, SystemClock, WorldClock
    from labonn.instruments.control import NotHeld, ask_holder
    from labonn.instruments.darkness import Darkened, darken_bench
    from labonn.instruments.display import COLOURS, Display, DisplayTable
    from labonn.instruments.guard import Guard
    from labonn.instruments.instrument import Instrument, InstrumentTable, Shared, Site
    from labonn.instruments.light import Light, LightTable
    from labonn.instruments.lock import Holder
    from labonn.instruments.modulator import Modulator, ModulatorTable
    from labonn.instruments.opening import open_bench, rehearse
    from labonn.instruments.power_meter import PowerMeter, PowerMeterTable
    from labonn.instruments.registry import driver_names
    from labonn.instruments.shutter import Shutter, ShutterTable
    from labonn.instruments.slm import SLM, PhaseOfLevels, SLMTable
    from labonn.instruments.stage import Stage, StageTable
    from labonn.instruments.thermometer import Thermometer

_HOMES = {
    "Bench": "bench",
    "BenchConfig": "bench_config",
    "Camera": "camera",
    "CameraTable": "camera",
    "Clock": "clock",
    "Darkened": "darkness",
    "COLOURS": "display",
    "Display": "display",
    "DisplayTable": "display",
    "Frame": "camera",
    "Geometry": "bench_config",
    "Guard": "guard",
    "Holder": "lock",
    "Instrument": "instrument",
    "InstrumentTable": "instrument",
    "Light": "light",
    "LightTable": "light",
    "Modulator": "modulator",
    "ModulatorTable": "modulator",
    "NotHeld": "control",
    "PhaseOfLevels": "slm",
    "PowerMeter": "power_meter",
    "PowerMeterTable": "power_meter",
    "SLM": "slm",
    "SLMTable": "slm",
    "Shared": "instrument",
    "Shutter": "shutter",
    "ShutterTable": "shutter",
    "Site": "instrument",
    "Stage": "stage",
    "StageTable": "stage",
    "SystemClock": "clock",
    "Thermometer": "thermometer",
    "WorldClock": "clock",
    "ask_holder": "control",
    "darken_bench": "darkness",
    "driver_names": "registry",
    "open_bench": "opening",
    "read_bench": "bench_config",
    "rehearse": "opening",
}

__all__ = [
    "COLOURS",
    "SLM",
    "Bench",
    "BenchConfig",
    "Camera",
    "CameraTable",
    "Clock",
    "Darkened",
    "Display",
    "DisplayTable",
    "Frame",
    "Geometry",
    "Guard",
    "Holder",
    "Instrument",
    "InstrumentTable",
    "Light",
    "LightTable",
    "Modulator",
    "ModulatorTable",
    "NotHeld",
    "PhaseOfLevels",
    "PowerMeter",
    "PowerMeterTable",
    "SLMTable",
    "Shared",
    "Shutter",
    "ShutterTable",
    "Site",
    "Stage",
    "StageTable",
    "SystemClock",
    "Thermometer",
    "WorldClock",
    "ask_holder",
    "darken_bench",
    "driver_names",
    "open_bench",
    "read_bench",
    "rehearse",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
