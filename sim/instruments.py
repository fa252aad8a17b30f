"""Which instruments of a world have a door of their own, and how each of them speaks."""

from collections.abc import Callable

from sim.cobolt06 import Cobolt06
from sim.gcs2 import C884
from sim.instrument_door import InstrumentDoor
from sim.lakeshore336 import LakeShore336
from sim.lines import Presence
from sim.obis import Obis
from sim.pm100d import PM100D, MeterSettings
from sim.sc10 import SC10, ControllerSettings
from sim.session import Session
from sim.world import World

_SERIAL = ("shutter", "serial_laser", "stage")


def sessions(world: World) -> dict[str, Callable[[], Session]]:
    """How to begin a conversation with each instrument; a world without a laser has none, and no meter either."""
    light, warmth = world.illumination, world.warmth
    controller = ControllerSettings()
    found: dict[str, Callable[[], Session]] = {
        "thermometer": lambda: LakeShore336(warmth),
        "shutter": lambda: SC10(light, world.clock, controller),
        "stage": lambda: C884(world.carrier),
    }
    laser = light.laser
    if laser is not None:
        wavelength_nm = world.file.source.wavelength_nm
        meter = MeterSettings(world.file.meter.wavelength_nm)
        found["laser"] = lambda: Obis(light, laser, warmth, wavelength_nm)
        found["serial_laser"] = lambda: Cobolt06(light, laser, wavelength_nm)
        found["meter"] = lambda: PM100D(light, meter)
    return found


def open_doors(world: World, presence: Presence) -> dict[str, InstrumentDoor]:
    """Open a door for each instrument; on POSIX the serial ones have a pty as well."""
    return {
        name: InstrumentDoor(name, begin, world.faults, presence, with_pty=name in _SERIAL)
        for name, begin in sessions(world).items()
    }
