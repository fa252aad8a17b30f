"""Instruments that are nothing but their hooks, to test what the public side adds to any driver."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from labonn.instruments import SLM, Camera, Clock, Display, Shutter, Site


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


def connected(kind: type[Any], **table: Any) -> Any:
    instrument = kind(kind.kind, kind.table_model(driver="bare", **table), site())
    instrument.connect()
    return instrument
