"""What a camera, an SLM, a display, a shutter and a clock are; the bench that holds them, its lock, its dark."""

from labonn.instruments.bench import Bench, open_bench
from labonn.instruments.bench_config import BenchConfig, Geometry, read_bench
from labonn.instruments.camera import Camera, CameraTable
from labonn.instruments.clock import Clock, SystemClock, WorldClock
from labonn.instruments.display import Display
from labonn.instruments.instrument import Instrument, InstrumentTable, Shared, Site
from labonn.instruments.modulator import Modulator, ModulatorTable
from labonn.instruments.registry import driver_names
from labonn.instruments.shutter import Shutter, ShutterTable
from labonn.instruments.slm import SLM, SLMTable

__all__ = [
    "SLM",
    "Bench",
    "BenchConfig",
    "Camera",
    "CameraTable",
    "Clock",
    "Display",
    "Geometry",
    "Instrument",
    "InstrumentTable",
    "Modulator",
    "ModulatorTable",
    "SLMTable",
    "Shared",
    "Shutter",
    "ShutterTable",
    "Site",
    "SystemClock",
    "WorldClock",
    "driver_names",
    "open_bench",
    "read_bench",
]
