"""The simulated camera as a Micro-Manager device: single frames, sequences, ROI, binning, triggers."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from pymmcore_plus.experimental.unicore import SimpleCameraDevice

from sim.errors import WorldUnreachable
from sim.link import Link
from sim.micromanager_client import Client

log = logging.getLogger(__name__)
_WAIT_S = 0.2  # the world answers at least so often while it waits for a trigger
_BINNINGS = (1, 2, 4)
_TRIGGERS = ("Internal", "Software", "External")


class Camera(Client, SimpleCameraDevice):
    """The monochrome camera: 12 bits, right aligned in 16.

    A sequence's frames follow each other back to back: each is read out while the next is exposed. `FrameNumber` in
    their metadata is the camera's own count: a number that is missing is a frame that was lost, whatever ImageNumber
    says, which counts what arrived. In virtual time a free-running camera does not run away with the clock: see
    `sim.camera`.

    Properties
    ----------
    Binning
        1, 2 or 4: the mean of so many pixels squared, as the camera's electronics makes it, cut to a whole number.
        Setting it clears the ROI.
    TriggerMode
        `Internal`; `Software`: a frame for each time that `TriggerSoftware` is set to 1, and for each single frame that
        is asked for; `External`: for each pulse on its input, which the display gives when it is told to show another
        picture.
    TriggerDelay_ms
        From a trigger to its exposure.

    A trigger that comes while a frame is exposed or read out is lost. A sequence that waits for a trigger which never
    comes ends when another one is begun.
    """

    def __init__(self) -> None:
        super().__init__()
        self._exposure_ms = 0.0  # as last set or read through this client
        self._frames = Link(type(self).__name__)  # of its own: a frame that is waited for holds up nothing else
        self._binning = 1
        self._sequence = 0
        self.register_property("BitDepth", property_type=int, is_read_only=True, getter=_bit_depth)
        self.set_property_allowed_values("Binning", _BINNINGS)
        self.register_property(
            "TriggerMode",
            default_value="Internal",
            property_type=str,
            allowed_values=_TRIGGERS,
            getter=_trigger_mode,
            setter=_set_trigger_mode,
        )
        self.register_property(
            "TriggerDelay_ms",
            default_value=0.0,
            property_type=float,
            limits=(0.0, 10_000.0),
            getter=_trigger_delay_ms,
            setter=_set_trigger_delay_ms,
        )
        self.register_property(
            "TriggerSoftware",
            default_value=0,
            property_type=int,
            allowed_values=(0, 1),
            getter=lambda d: 0,
            setter=_trigger,
        )

    def shutdown(self) -> None:
        """Hang up; a sequence that runs ends."""
        self._sequence += 1
        super().shutdown()
        self._frames.close()

    def sensor_shape(self) -> tuple[int, int]:
        """Return (rows, columns) of a whole frame, binned."""
        rows, columns = self._link.greeting()["places"]["frame 0"]["shape"]
        return int(rows) // self._binning, int(columns) // self._binning

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

    def get_binning(self) -> int:
        """Return how many pixels of the sensor, both axes, make one of a frame."""
        self._binning = int(self._ask("binning")["pixels"])
        return self._binning

    def set_binning(self, binning: int) -> None:
        """Choose how many pixels of the sensor, both axes, make one of a frame."""
        self._binning = int(self._ask("binning", pixels=int(binning))["pixels"])
        self.clear_roi()

    def snap(self, buffer: NDArray[np.uint16]) -> Mapping[str, Any]:
        """Fill the buffer, a whole frame, with the next frame.

        Waits for `Timeout_ms` beyond twice the exposure and read-out, which in real time pass.
        """
        if self._ask("triggering")["mode"] != "Internal":
            armed = self._ask("arm")
            return self._fill(buffer, None, self._triggered_snap(armed))
        return self._fill(buffer, None, self._frame("snap"))

    def start_sequence(
        self, n: int | None, get_buffer: Callable[[Sequence[int], DTypeLike], NDArray[Any]]
    ) -> Iterator[Mapping[str, Any]]:
        """Take `n` frames, or frames without end; it waits for triggers from when this returns."""
        self._sequence += 1
        armed = self._ask("arm")
        return self._deliver(n, get_buffer, armed, self._sequence, threading.get_ident())

    def _deliver(
        self,
        n: int | None,
        get_buffer: Callable[[Sequence[int], DTypeLike], NDArray[Any]],
        armed: dict[str, Any],
        sequence: int,
        starter: int,
    ) -> Iterator[Mapping[str, Any]]:
        shape, roi = self.shape(), self._roi
        if n == 1 and threading.get_ident() == starter:  # it is waited for: not a sequence, but a single frame
            reply = self._frame("snap") if armed["mode"] == "Internal" else self._triggered_snap(armed)
            yield self._fill(get_buffer(shape, self.dtype()), roi, reply)
            return
        after_s, pulse, delivered = None, armed["pulse"], 0
        while n is None or delivered < n:
            try:
                reply = self._frame("next", after_s=after_s, arming=armed["arming"], pulse=pulse, wait_s=_WAIT_S)
            except WorldUnreachable as error:  # nobody would hear it in this thread: the sequence just ends
                log.warning("%s", error)
                return
            if sequence != self._sequence:
                return
            pulse = reply.get("pulse", pulse)
            if reply.get("waiting"):
                continue
            after_s = reply["start_s"]
            yield self._fill(get_buffer(shape, self.dtype()), roi, reply)
            delivered += 1

    def _triggered_snap(self, armed: dict[str, Any]) -> dict[str, Any]:
        if armed["mode"] == "Software":
            self._ask("trigger")
        pulse = armed["pulse"]
        for _ in range(max(1, round(self._patience_ms / 1e3 / _WAIT_S))):
            reply = self._frame("next", arming=armed["arming"], pulse=pulse, wait_s=_WAIT_S)
            if not reply.get("waiting"):
                return reply
            pulse = reply.get("pulse", pulse)
        raise WorldUnreachable(f"Camera: no trigger came within {self._patience_ms / 1e3:g} s")

    def _frame(self, op: str, **fields: Any) -> dict[str, Any]:
        if self._frames.world != self._link.world:
            self._frames.close()
            self._frames.world = self._link.world
        patience_ms = self._patience_ms + 2 * (self._exposure_ms + self.get_readout_time())
        return self._frames.request(op, patience_ms / 1e3, **fields)

    def _fill(
        self, buffer: NDArray[Any], roi: tuple[int, int, int, int] | None, reply: dict[str, Any]
    ) -> Mapping[str, Any]:
        rows, columns = reply["shape"]
        frame = self._frames.array(f"frame {reply['place']}").reshape(-1)[: rows * columns].reshape(rows, columns)
        if roi is not None:
            left, top, width, height = roi
            frame = frame[top : top + height, left : left + width]
        buffer[:] = frame
        return {
            "FrameNumber": str(reply["number"]),
            "ExposureStart_s": f"{reply['start_s']:.9f}",
            "Exposure_ms": f"{reply['exposure_ms']:g}",
        }


def _bit_depth(camera: Camera) -> int:
    return int(camera._link.greeting()["bit_depth"])


def _trigger_mode(camera: Camera) -> str:
    return str(camera._ask("triggering")["mode"])


def _set_trigger_mode(camera: Camera, mode: str) -> None:
    camera._ask("triggering", mode=mode)


def _trigger_delay_ms(camera: Camera) -> float:
    return float(camera._ask("triggering")["delay_ms"])


def _set_trigger_delay_ms(camera: Camera, delay_ms: float) -> None:
    camera._ask("triggering", delay_ms=float(delay_ms))


def _trigger(camera: Camera, on: int) -> None:
    if on:
        camera._ask("trigger")
