"""The simulated laboratory's instruments for Micro-Manager: thin clients that a `.cfg` loads into `UniMMCore`.

Each has the property `World`, the name of a bench (empty: the environment variable LABONN_WORLD, else the only world
that lives), and `Timeout_ms`, how long it waits for an answer before it raises. None of them computes anything.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray
from pymmcore_plus.experimental.unicore import ShutterDevice, SimpleCameraDevice, SLMDevice
from pymmcore_plus.experimental.unicore.devices._device_base import Device

from sim.link import Link


class _Client(Device):
    """What all clients share: a line to the world, and the properties that choose it and its patience."""

    _timeout_ms: ClassVar[float] = 10_000.0

    def __init__(self) -> None:
        super().__init__()
        self._link = Link(type(self).__name__)
        self._patience_ms = self._timeout_ms
        self.register_property(
            "World", default_value="", property_type=str, getter=lambda d: d._link.world, setter=_set_world
        )
        self.register_property(
            "Timeout_ms",
            default_value=self._patience_ms,
            property_type=float,
            limits=(1.0, 600_000.0),
            getter=lambda d: d._patience_ms,
            setter=_set_patience_ms,
        )

    def shutdown(self) -> None:
        """Hang up."""
        self._link.close()

    def _ask(self, op: str, beyond_ms: float = 0.0, **fields: Any) -> dict[str, Any]:
        return self._link.request(op, (self._patience_ms + beyond_ms) / 1e3, **fields)


def _set_world(client: _Client, name: str) -> None:
    client._link.close()
    client._link.world = name


def _set_patience_ms(client: _Client, milliseconds: float) -> None:
    client._patience_ms = float(milliseconds)


class _Panel(_Client, SLMDevice):
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


class Camera(_Client, SimpleCameraDevice):
    """The monochrome camera: 12 bits, right aligned in 16."""

    _exposure_ms = 0.0  # as last set or read through this client

    def __init__(self) -> None:
        super().__init__()
        self.register_property("BitDepth", property_type=int, is_read_only=True, getter=_bit_depth)

    def sensor_shape(self) -> tuple[int, int]:
        """Return (rows, columns)."""
        rows, columns = self._link.greeting()["places"]["frame 0"]["shape"]
        return int(rows), int(columns)

    def dtype(self) -> DTypeLike:
        """Return the type of the frames: 12 bits in 16, right aligned."""
        return np.uint16

    def get_exposure(self) -> float:
        """Return the exposure in ms."""
        self._exposure_ms = float(self._ask("exposure")["ms"])
        return self._exposure_ms

    def set_exposure(self, exposure: float) -> None:
        """Set the exposure in ms."""
        self._exposure_ms = float(self._ask("exposure", ms=float(exposure))["ms"])

    def get_readout_time(self) -> float:
        """Return the time in ms between the end of an exposure and its frame."""
        return float(self._link.greeting()["readout_ms"])

    def snap(self, buffer: NDArray[np.uint16]) -> Mapping[str, Any]:
        """Fill the buffer with the next frame.

        Waits for `Timeout_ms` beyond twice the exposure and read-out, which in real time pass.
        """
        reply = self._ask("snap", beyond_ms=2 * (self._exposure_ms + self.get_readout_time()))
        buffer[:] = self._link.array(f"frame {reply['place']}")
        return {
            "FrameNumber": str(reply["number"]),
            "ExposureStart_s": f"{reply['start_s']:.9f}",
            "Exposure_ms": f"{reply['exposure_ms']:g}",
        }


def _bit_depth(camera: Camera) -> int:
    return int(camera._link.greeting()["bit_depth"])


class Shutter(_Client, ShutterDevice):
    """The shutter before the display's light; a command returns when the blade has arrived."""

    def get_open(self) -> bool:
        """Return whether it was last told to be open."""
        return bool(self._ask("shutter")["open"])

    def set_open(self, open: bool) -> None:
        """Open or close it."""
        self._ask("shutter", open=bool(open))
