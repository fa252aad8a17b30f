"""Cameras for UniMMCore whose sequences are not what they should be from the fourth frame on."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from pymmcore_plus.experimental.unicore import CameraDevice

_SHAPE = (4, 6)


class _Small(CameraDevice):
    def __init__(self) -> None:
        super().__init__()
        self._ms = 1.0

    def get_exposure(self) -> float:
        return self._ms

    def set_exposure(self, exposure: float) -> None:
        self._ms = exposure

    def shape(self) -> tuple[int, int]:
        return _SHAPE

    def dtype(self) -> Any:
        return np.uint16

    def start_sequence(self, n: int | None, get_buffer: Callable[[Sequence[int], Any], Any]) -> Iterator[Mapping]:
        for number in self.numbers(n or 1):
            get_buffer(_SHAPE, np.uint16)[:] = number
            yield {"FrameNumber": str(number)}

    def numbers(self, count: int) -> Iterator[int]:
        raise NotImplementedError


class Skips(_Small):
    def numbers(self, count: int) -> Iterator[int]:
        return (number + (number > 2) for number in range(count))


class Repeats(_Small):
    def numbers(self, count: int) -> Iterator[int]:
        return (number - (number > 2) for number in range(count))


class Stops(_Small):
    def numbers(self, count: int) -> Iterator[int]:
        return iter(range(3))


class Hangs(_Small):
    def numbers(self, count: int) -> Iterator[int]:
        yield from range(3)
        time.sleep(0.6)


class Bins(_Small):
    """A camera.

    Its binning is a number, as Python devices have it; setting it forgets the ROI.
    """

    def __init__(self) -> None:
        super().__init__()
        self.side = 1
        self.set_property_allowed_values("Binning", [1, 2])

    def get_binning(self) -> int:
        return self.side

    def set_binning(self, binning: int) -> None:
        self.side = binning

    def shape(self) -> tuple[int, int]:
        return _SHAPE[0] // self.side, _SHAPE[1] // self.side

    def start_sequence(self, n: int | None, get_buffer: Callable[[Sequence[int], Any], Any]) -> Iterator[Mapping]:
        for number in range(n or 1):
            get_buffer(self.shape(), np.uint16)[:] = number
            yield {"FrameNumber": str(number)}


class Triggered(_Small):
    """Waits until its property `Pulses` has been raised."""

    def __init__(self) -> None:
        super().__init__()
        self.mode, self.pulses = "Internal", 0
        self.register_property(
            "TriggerMode",
            default_value="Internal",
            property_type=str,
            allowed_values=["Internal", "External"],
            getter=lambda d: d.mode,
            setter=lambda d, mode: setattr(d, "mode", mode),
        )
        self.register_property(
            "Pulses",
            default_value=0,
            property_type=int,
            getter=lambda d: d.pulses,
            setter=lambda d, pulses: setattr(d, "pulses", pulses),
        )

    def numbers(self, count: int) -> Iterator[int]:
        until = time.monotonic() + 0.6
        while time.monotonic() < until:
            if self.pulses:
                yield 0
                return
            time.sleep(0.001)
