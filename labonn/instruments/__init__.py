"""What the instruments of a bench are; the bench that holds them, its lock, its interlocks, its watchdog, its dark."""

from labonn.instruments.bench import Bench
from labonn.instruments.bench_config import BenchConfig, Geometry, read_bench
from labonn.instruments.camera import Camera, CameraTable, Frame
from labonn.instruments.clock import Clock, SystemClock, WorldClock
from labonn.instruments.control import NotHeld, ask_holder
from labonn.instruments.darkness import Darkened, darken_bench
from labonn.instruments.display import Display
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

__all__ = [
    "SLM",
    "Bench",
    "BenchConfig",
    "Camera",
    "CameraTable",
    "Clock",
    "Darkened",
    "Display",
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
