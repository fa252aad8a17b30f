"""Cameras, SLMs, displays, shutters and stages that Micro-Manager has an adapter for, C++ or Python, in one UniMMCore.

A table names a Micro-Manager configuration file and the label of a device in it; instruments that name the same file
share one core. The simulated bench is such a file too, with Python devices in it.
"""

from __future__ import annotations

import logging
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from drivers.micromanager_camera import MicroManagerCamera
from drivers.micromanager_core import Device, Place
from labonn.instruments import (
    SLM,
    Display,
    DisplayTable,
    InstrumentTable,
    Modulator,
    Shutter,
    ShutterTable,
    SLMTable,
    Stage,
    StageTable,
)

logger = logging.getLogger(__name__)


class MicroManagerDisplayTable(Place, DisplayTable):
    """The table of a Micro-Manager SLM device that shows pictures."""


class MicroManagerSLMTable(Place, SLMTable):
    """The table of a Micro-Manager SLM device that turns the phase."""


class MicroManagerShutterTable(Place, ShutterTable):
    """A Micro-Manager shutter's table."""


class MicroManagerStageTable(Place, StageTable):
    """A Micro-Manager stage's table."""

    axis: Literal["z", "x", "y"] = Field("z", description="x or y: one of the two of an XY stage")


class _Pixels(Device, Modulator):
    """A Micro-Manager SLM device, whatever its levels mean."""

    mm_type = "SLM"

    def _shape_hw(self) -> tuple[int, int]:
        return int(self._core.getSLMHeight(self._label)), int(self._core.getSLMWidth(self._label))

    def _show_hw(self, levels: NDArray[np.uint8]) -> None:
        self._load_hw(levels)
        self._show_loaded_hw(levels)

    def _load_hw(self, levels: NDArray[np.uint8]) -> None:
        self._core.setSLMImage(self._label, levels)

    def _show_loaded_hw(self, levels: NDArray[np.uint8]) -> None:
        self._core.displaySLMImage(self._label)
        self._core.waitForDevice(self._label)


class MicroManagerDisplay(_Pixels, Display):
    """A display that Micro-Manager shows pictures on."""

    table_model: ClassVar[type[InstrumentTable]] = MicroManagerDisplayTable


class MicroManagerSLM(_Pixels, SLM):
    """A phase SLM with a Micro-Manager adapter."""

    table_model: ClassVar[type[InstrumentTable]] = MicroManagerSLMTable


class MicroManagerShutter(Device, Shutter):
    """A shutter with a Micro-Manager adapter."""

    mm_type = "Shutter"
    table_model: ClassVar[type[InstrumentTable]] = MicroManagerShutterTable

    def _is_open_hw(self) -> bool:
        return bool(self._core.getShutterOpen(self._label))

    def _set_open_hw(self, opening: bool) -> None:
        try:
            self._core.setShutterOpen(self._label, opening)
        except RuntimeError as error:
            if opening or not self._core.deviceBusy(self._label):
                raise
            # Some adapters refuse while they still carry out the command before: darkness must not fail by that.
            logger.warning("%s: closing: %s; closing it once it is not busy", self, error)
            self._core.waitForDevice(self._label)
            self._core.setShutterOpen(self._label, opening)
        self._core.waitForDevice(self._label)


class MicroManagerStage(Device, Stage):
    """A stage of one axis with a Micro-Manager adapter, such as a focus drive, or one axis of an XY stage."""

    mm_type = "Stage"
    table_model: ClassVar[type[InstrumentTable]] = MicroManagerStageTable
    table: MicroManagerStageTable

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        if self.table.axis != "z":
            self.mm_type = "XYStage"

    def _position_um_hw(self) -> float:
        match self.table.axis:
            case "x":
                return float(self._core.getXPosition(self._label))
            case "y":
                return float(self._core.getYPosition(self._label))
            case _:
                return float(self._core.getPosition(self._label))

    def _move_to_um_hw(self, position_um: float) -> None:
        match self.table.axis:
            case "x":
                self._core.setXYPosition(self._label, position_um, self._core.getYPosition(self._label))
            case "y":
                self._core.setXYPosition(self._label, self._core.getXPosition(self._label), position_um)
            case _:
                self._core.setPosition(self._label, position_um)

    def _is_moving_hw(self) -> bool:
        return bool(self._core.deviceBusy(self._label))

    def _stop_hw(self) -> None:
        self._core.stop(self._label)

    def _home_hw(self) -> None:
        self._core.home(self._label)


INSTRUMENTS = {
    "camera": MicroManagerCamera,
    "display": MicroManagerDisplay,
    "slm": MicroManagerSLM,
    "shutter": MicroManagerShutter,
    "stage": MicroManagerStage,
}
