"""What can be seen on a frame without knowing what it is of: a repetition, rows that are missing, too much light."""

import numpy as np
from numpy.typing import NDArray

from labonn.capture.calibration import Calibration
from labonn.capture.retakes import Fault, Finding, Frame

# An almost noiseless row may repeat the last frame's by chance: below this spread, in counts, it says nothing.
_LEAST_SPREAD = 0.5
_MOST_REPEATED = 0.02  # of the rows
# Far below the dark frame: a black level drifts by a count or two.
_BELOW_DARK = 8.0  # standard deviations of the dark frames' noise
_LEAST_BELOW_DARK = 4.0  # counts
MOST_SATURATED = 0.01
"""Share of a frame's pixels at the camera's limit: hot pixels are far fewer, and calibration leaves images room."""
# Enough columns to tell a row from another at a glance; what looks alike is looked at whole.
_GLANCE = 32


class FrameCheck:
    """Looks at frames one after another.

    Parameters
    ----------
    saturation
        The camera's largest count.
    most_saturated
        Share of the pixels that may have it.
    calibration
        Says what a dark row looks like; without one, the frame before does.
    """

    def __init__(
        self, saturation: int, most_saturated: float = MOST_SATURATED, calibration: Calibration | None = None
    ) -> None:
        self._saturation = saturation
        self._most_saturated = most_saturated
        self._least: NDArray[np.float64] | None = None
        self._reference: NDArray[np.float32] | None = None
        if calibration is not None:
            margin = max(_LEAST_BELOW_DARK, _BELOW_DARK * calibration.dark_noise)
            self._reference = calibration.dark
            self._least = _glance(calibration.dark).mean(axis=1, dtype=np.float64) - margin

    def __call__(self, frame: Frame, before: Frame | None) -> Finding | None:
        """Give the first thing that is wrong with a frame, if anything is."""
        height = len(frame)
        repeated = 0 if before is None else _repeated_rows(frame, before)
        if repeated > _MOST_REPEATED * height:
            return Finding(
                Fault.DUPLICATED, f"{repeated} of {height} rows are those of the frame before, noise and all"
            )
        if missing := self._missing_rows(frame, before):
            return Finding(Fault.TRUNCATED, f"{missing} of {height} rows hold no picture")
        share = saturated_px(frame, self._saturation) / frame.size
        if share > self._most_saturated:
            return Finding(
                Fault.SATURATED,
                f"{100 * share:.2g} % of the pixels are saturated (at most {100 * self._most_saturated:g} %)",
            )
        return None

    def _missing_rows(self, frame: Frame, before: Frame | None) -> int:
        """Rows of one value, or far below the dark level; those that always are so are the camera's own."""
        flat = _flat_rows(frame)
        if self._least is not None:
            flat |= _glance(frame).mean(axis=1, dtype=np.float64) < self._least
        flat[flat] = ~(frame[flat] >= self._saturation).all(axis=1)
        reference = before if self._reference is None else self._reference
        if flat.any() and reference is not None:
            flat &= ~_flat_rows(reference)
        return int(np.count_nonzero(flat))


def saturated_px(frame: Frame, saturation: int) -> int:
    """Pixels at the camera's limit."""
    return int(np.count_nonzero(frame >= saturation))


def _glance(frame: NDArray[np.uint16] | NDArray[np.float32]) -> NDArray[np.uint16] | NDArray[np.float32]:
    return frame[:, :: max(1, frame.shape[1] // _GLANCE)]


def _flat_rows(frame: NDArray[np.uint16] | NDArray[np.float32]) -> NDArray[np.bool_]:
    glance = _glance(frame)
    flat = np.asarray((glance == glance[:, :1]).all(axis=1))
    flat[flat] = (frame[flat] == frame[flat, :1]).all(axis=1)
    return flat


def _repeated_rows(frame: Frame, before: Frame) -> int:
    same = np.asarray((_glance(frame) == _glance(before)).all(axis=1))
    same[same] = (frame[same] == before[same]).all(axis=1)
    same[same] = frame[same].std(axis=1, dtype=np.float32) > _LEAST_SPREAD
    return int(np.count_nonzero(same))
