"""Instruments that are nothing but their hooks, to test what the public side adds to any driver."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from labonn.instruments import SLM, Camera, Clock, Display, Light, PowerMeter, Shutter, Site, Stage, Thermometer


class CountingClock(Clock):
    def __init__(self) -> None:
        self.slept_ms = 0.0

    def now_s(self) -> float:
        return self.slept_ms / 1e3

    def _sleep_s_hw(self, duration_s: float) -> None:
        self.slept_ms += 1e3 * duration_s


def site() -> Site:
    return Site(Path(), CountingClock())


class _Bare:
    def _connect_hw(self) -> None:
        pass

    def _disconnect_hw(self) -> None:
        pass

    def _identify_hw(self) -> str:
        return "stand-in"


class BareCamera(_Bare, Camera):
    """Delivers `frame`, after `late_s`; sets the exposure to `offset_ms` more than it is asked for."""

    frame = np.zeros((4, 6), np.uint16)
    late_s = 0.0
    offset_ms = 0.0
    _ms = 0.0

    def _shape_hw(self) -> tuple[int, int]:
        return 4, 6

    def _snap_hw(self) -> Any:
        time.sleep(self.late_s)
        return self.frame

    def _exposure_ms_hw(self) -> float:
        return self._ms

    def _set_exposure_ms_hw(self, exposure_ms: float) -> None:
        self._ms = exposure_ms + self.offset_ms


class _BarePixels(_Bare):
    shown: Any = None

    def _shape_hw(self) -> tuple[int, int]:
        return 3, 5

    def _show_hw(self, levels: Any) -> None:
        self.shown = levels


class BareDisplay(_BarePixels, Display):
    pass


class BareSLM(_BarePixels, SLM):
    pass


class BareShutter(_Bare, Shutter):
    """Moves as told, unless it is stuck."""

    stuck = False
    position = True

    def _is_open_hw(self) -> bool:
        return self.position

    def _set_open_hw(self, opening: bool) -> None:
        if not self.stuck:
            self.position = opening


class BareLight(_Bare, Light):
    """Gives `gives` times the power that it is told, unless its key is off."""

    on = False
    told_mw = 0.0
    gives = 1.0
    key = True
    closed = True
    stuck = False

    def _is_on_hw(self) -> bool:
        return self.on

    def _set_on_hw(self, on: bool) -> None:
        if not self.stuck:
            self.on = on and self.key

    def _power_mw_hw(self) -> float:
        return self.gives * self.told_mw if self.on else 0.0

    def _set_power_mw_hw(self, power_mw: float) -> None:
        self.told_mw = power_mw

    def _interlock_closed_hw(self) -> bool:
        return self.closed


class BareMeter(_Bare, PowerMeter):
    value: Any = 1.0
    wavelength_nm = 0.0

    def _power_mw_hw(self) -> float:
        if isinstance(self.value, Exception):
            raise self.value
        return float(self.value)

    def _set_wavelength_nm_hw(self, wavelength_nm: float) -> None:
        self.wavelength_nm = wavelength_nm


class BareThermometer(_Bare, Thermometer):
    value = 21.0

    def _celsius_hw(self) -> float:
        return self.value


class BareStage(_Bare, Stage):
    at_um = 0.0
    slip_um = 0.0

    def _position_um_hw(self) -> float:
        return self.at_um

    def _move_to_um_hw(self, position_um: float) -> None:
        self.at_um = position_um + self.slip_um


def connected(kind: type[Any], **table: Any) -> Any:
    instrument = kind(kind.kind, kind.table_model(driver="bare", **table), site())
    instrument.connect()
    return instrument
