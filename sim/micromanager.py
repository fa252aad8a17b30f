"""The simulated laboratory's instruments for Micro-Manager: thin clients that a `.cfg` loads into `UniMMCore`.

Each has the property `World`, the name of a bench (empty: the environment variable LABONN_WORLD, else the only world
that lives), and `Timeout_ms`, how long it waits for an answer before it raises. None of them knows any physics.
"""

from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray
from pymmcore_plus.experimental.unicore import ShutterDevice, SLMDevice

from sim.micromanager_camera import Camera
from sim.micromanager_client import Client

__all__ = ["SLM", "Camera", "Display", "Shutter"]


class _Panel(Client, SLMDevice):
    """A panel of 8-bit levels."""

    _panel: ClassVar[str]

    def shape(self) -> tuple[int, ...]:
        """Return (rows, columns), as UniMMCore expects, whatever its own docstring says."""
        rows, columns = self._link.greeting()["places"][self._panel]["shape"]
        return int(rows), int(columns)

    def dtype(self) -> DTypeLike:
        """Return the type of the levels: 8 bits."""
        return np.uint8

    def set_image(self, pixels: NDArray[np.uint8]) -> None:
        """Put levels, (rows, columns), where the world will take them from."""
        self._link.array(self._panel)[:] = pixels
        self._ask("load", device=self._panel)

    def get_image(self) -> NDArray[np.uint8]:
        """Return the levels that were put there last."""
        return np.array(self._link.array(self._panel))

    def display_image(self) -> None:
        """Show them; they settle as the world's time passes."""
        self._ask("show", device=self._panel)

    def set_exposure(self, interval_ms: float) -> None:
        """Refuse: these panels show a picture until the next one."""
        raise NotImplementedError(f"{self._link.who} shows a picture until the next one; it has no exposure")

    def get_exposure(self) -> float:
        """Return 0: there is none."""
        return 0.0


class Display(_Panel):
    """The intensity display that is the scene: level 255 is white."""

    _panel = "display"


class SLM(_Panel):
    """The phase SLM: 255 levels are 2 pi in its maker's table."""

    _panel = "slm"
    _timeout_ms = 120_000.0  # a new pattern's PSFs take the world some seconds


class Shutter(Client, ShutterDevice):
    """The shutter before the display's light; a command returns when the blade has arrived."""

    def get_open(self) -> bool:
        """Return whether it is open, or on its way there."""
        return bool(self._ask("shutter")["open"])

    def set_open(self, open: bool) -> None:
        """Open or close it."""
        self._ask("shutter", open=bool(open))
