"""The camera's newest frame, for whoever looks on from another process; costs the capture loop next to nothing.

Frames are written only while somebody asks for them, by touching a file, and in a thread of their own: one that is not
written yet when the next one comes is let go. The file is replaced as a whole, so that a reader never sees half of one.
"""

import json
import logging
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labonn.instruments import lock

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

_SCHEMA = 1
_PERIOD_S = 1 / 12
"""From one frame that is written to the next, on average: who looks on shares the computer with the capture loop."""
_LOOK_S = 0.2  # how often it is asked whether somebody watches
WATCHED_S = 2.0
"""For how long a touch asks for frames."""
_LONGEST_HEADER = 1_000


@dataclass(frozen=True)
class Seen:
    """A frame as another process sees it."""

    number: int
    """How many frames the camera had delivered since the bench was opened, this one included."""
    taken_unix_s: float
    exposure_ms: float
    saturation: int
    """The largest count that a frame can hold."""
    pixels: "NDArray[np.uint16]"
    """Counts, (H, W)."""


class Feed:
    """Offers the frames of an open bench's camera.

    Parameters
    ----------
    bench
        The bench's name.
    """

    def __init__(self, bench: str) -> None:
        self._bench = bench
        self._file = _frame_file(bench)
        self._watched = False
        self._look_s = self._due_s = 0.0
        self._number = 0
        self._waiting: Seen | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._ended = False

    def offer(self, pixels: "NDArray[np.uint16]", exposure_ms: float, saturation: int) -> None:
        """Take note of a frame, which must not be changed any more; does not wait.

        Parameters
        ----------
        pixels
            Counts, (H, W).
        exposure_ms, saturation
            How it was taken, and the largest count that it can hold.
        """
        self._number += 1
        now_s = time.monotonic()
        if now_s - self._look_s > _LOOK_S:
            self._look_s = now_s
            self._watched = is_watched(self._bench)
        if not self._watched or now_s < self._due_s:
            return
        # On a grid: a camera of 15 frames a second would give every second one otherwise.
        self._due_s = max(self._due_s + _PERIOD_S, now_s - _PERIOD_S)
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._write_all, name="frame feed", daemon=True)
                self._thread.start()
            self._waiting = Seen(self._number, time.time(), exposure_ms, saturation, pixels)
            self._changed.notify()

    def stop(self) -> None:
        """Offer no more, and take the last frame away; may be called twice."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        with suppress(OSError):
            self._file.unlink(missing_ok=True)

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ended or self._waiting is not None)
                if self._ended:
                    return
                frame, self._waiting = self._waiting, None
            assert frame is not None
            try:
                _write(self._file, frame)
            except OSError as error:  # on Windows, while it is being read; and the next one comes soon
                logger.debug("a frame for the page could not be written: %s", error)


def watch(bench: str) -> None:
    """Ask for frames of a bench for the next `WATCHED_S`, whoever holds it.

    Raises
    ------
    OSError
        If the folder of the benches' locks cannot be written.
    """
    path = _watch_file(bench)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    with suppress(PermissionError):  # another user of the machine made it, and let everybody
        path.chmod(0o666)


def is_watched(bench: str) -> bool:
    """Whether somebody has asked for frames of a bench a moment ago."""
    try:
        return time.time() - _watch_file(bench).stat().st_mtime < WATCHED_S
    except OSError:
        return False


def newest_frame(bench: str, *, after: int = -1) -> Seen | None:
    """Give the newest frame of a bench; None where there is none, or it is number `after`.

    Raises
    ------
    ValueError
        If the file is not a frame.
    """
    import numpy as np

    path = _frame_file(bench)
    try:
        with path.open("rb") as file:
            header: dict[str, Any] = json.loads(file.readline(_LONGEST_HEADER))
            if header["number"] == after:
                return None
            height, width = (int(side) for side in header["shape"])
            pixels = np.frombuffer(file.read(2 * height * width), "<u2").reshape(height, width)
    except FileNotFoundError:
        return None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: is not a frame: {error}") from error
    return Seen(
        int(header["number"]),
        float(header["taken_unix_s"]),
        float(header["exposure_ms"]),
        int(header["saturation"]),
        pixels,
    )


def _write(path: Path, frame: Seen) -> None:
    import numpy as np  # the watchdog and the way to dark know instruments, and must not wait for it

    header = {
        "schema": _SCHEMA,
        "number": frame.number,
        "taken_unix_s": frame.taken_unix_s,
        "exposure_ms": frame.exposure_ms,
        "saturation": frame.saturation,
        "shape": frame.pixels.shape,
    }
    beside = path.with_suffix(f".{os.getpid()}.partial")
    with beside.open("wb") as file:
        file.write(json.dumps(header).encode() + b"\n")
        file.write(np.ascontiguousarray(frame.pixels, "<u2").data)
    beside.replace(path)


def _frame_file(bench: str) -> Path:
    return lock.lock_folder() / f"{bench}.frame"


def _watch_file(bench: str) -> Path:
    return lock.lock_folder() / f"{bench}.watched"
