"""Taking frames for calibration: light on and off, the exposure that uses the sensor's range, means of many frames."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labonn.capture.frame_check import FrameCheck
from labonn.capture.retakes import CaptureCounts, Taker
from labonn.errors import CalibrationError, InstrumentError
from labonn.instruments import Bench

# Where the brightest of the scene should come to lie, as a share of the sensor's range above black.
_TARGET = 0.65
_ACCEPTED = (0.45, 0.8)
# The few pixels above this quantile are hot ones, or noise.
_QUANTILE = 0.9999
_MOST_TRIES = 8
_LARGEST_STEP = 8.0
_LONGEST_MS = 1_000.0


@contextmanager
def light(bench: Bench) -> Iterator[None]:
    """Turn the light on and open the shutter; close the shutter however this ends.

    The light stays on behind it, because it is steady only when it is warm; closing the bench turns it off.

    Raises
    ------
    ConfigError
        If the bench file does not arm the light.
    InstrumentError
        If one of them does not do as it is told.
    """
    try:
        if bench.light is not None:
            bench.light.turn_on()
        bench.shutter.open()
        yield
    finally:
        bench.shutter.make_dark()


@dataclass(frozen=True)
class Stack:
    """Several frames of the same thing."""

    mean: NDArray[np.float32]
    noise: float
    """Standard deviation of a pixel from frame to frame, as the root of its mean square over all pixels."""


def take_stack(bench: Bench, count: int) -> Stack:
    """Take frames of what is shown now and average them; at least two.

    Raises
    ------
    StaleFrameError, InstrumentError
        As `Taker.take` does.
    """
    taker = _taker(bench)
    total = np.zeros(bench.camera.shape, np.float64)
    square = np.zeros(bench.camera.shape, np.float64)
    for number in range(count):
        frame = taker.take(f"frame {number} of {count}")[0].astype(np.float64)
        total += frame
        square += frame**2
    variance = (square - total**2 / count) / (count - 1)
    return Stack((total / count).astype(np.float32), float(np.sqrt(max(0.0, variance.mean()))))


def take_dark(bench: Bench, count: int) -> Stack:
    """Take frames with the shutter closed, at the exposure that is set."""
    bench.shutter.close()
    return take_stack(bench, count)


def choose_exposure(bench: Bench, scene: NDArray[np.float32], what: str) -> float:
    """Set the exposure that uses the sensor's range for a scene, neither saturated nor dim.

    Parameters
    ----------
    bench
        With its light on.
    scene
        The brightest scene that will be shown.
    what
        What it is, for messages.

    Returns
    -------
    The exposure in ms; it is set.

    Raises
    ------
    CalibrationError
        If none is found: no light arrives, or too much at the shortest exposure.
    StaleFrameError, InstrumentError
        As `Taker.take` does.
    """
    camera = bench.camera
    bench.display.show(scene)
    peak = 0.0
    for _ in range(_MOST_TRIES):
        frame, _ = _taker(bench).take(what)
        # Some of the sensor always lies between the pictures.
        black = float(np.quantile(frame, 0.02))
        peak = (float(np.quantile(frame, _QUANTILE)) - black) / (camera.saturation - black)
        if _ACCEPTED[0] <= peak <= _ACCEPTED[1]:
            return camera.exposure_ms
        # How far beyond saturation a scene is cannot be seen: go down in steps.
        factor = 1 / 4 if peak > 0.95 else min(_LARGEST_STEP, _TARGET / max(peak, 1e-3))
        if factor > 1 and camera.exposure_ms >= _LONGEST_MS:
            break
        try:
            camera.exposure_ms = min(_LONGEST_MS, factor * camera.exposure_ms)
        except InstrumentError as error:
            raise CalibrationError(f"no exposure fits {what}: {error}") from error
    raise CalibrationError(
        f"no exposure fits {what}: at {camera.exposure_ms:g} ms its brightest part uses {100 * peak:.1f} % of the"
        f" camera's range; {'reduce' if peak > _TARGET else 'check that the shutter opens and that there is'} the light"
    )


def _taker(bench: Bench) -> Taker:
    """Begin with frames of what is shown now, with the exposure that is set now; either may be too much for them."""
    taker = Taker(bench, FrameCheck(bench.camera.saturation, most_saturated=1.0), CaptureCounts())
    taker.flush()
    return taker
