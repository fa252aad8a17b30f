"""Frames of an OpenCV capture: one after the other from a recording, the newest from what is live."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from contextlib import suppress
from queue import Empty, Queue
from typing import Any, Final

from numpy.typing import NDArray

# Frames of a sequence that wait to be taken, before the sequence is given up rather than the memory filled.
_MOST_WAITING: Final = 64
_END_S: Final = 5.0

Taken = tuple[int, float, NDArray[Any]]
"""A frame's number, the time in ms at which it came (or stands in its recording), and what OpenCV gives."""


class Ended(Exception):
    """No frame comes any more; its text says why."""


class Stream(ABC):
    """Where frames come from."""

    @abstractmethod
    def snap(self, since_s: float, within_s: float) -> Taken | None:
        """Give a frame that came at `since_s` or later, on the clock of `time.monotonic`; None where none does."""

    @abstractmethod
    def begin(self, since_s: float) -> None:
        """Let no frame go that comes at `since_s` or later."""

    @abstractmethod
    def following(self, within_s: float) -> Taken | None:
        """Give the next frame since `begin`; None where none comes in time."""

    def end(self) -> None:  # noqa: B027 - a recording lets no frame go by itself
        """Let frames go again."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the capture."""


class Recording(Stream):
    """A file: its frames come one after the other, as they are asked for, whatever the time.

    They are read ahead, one or two, while those before are worked on.
    """

    def __init__(self, capture: Any, name: str, ms_of: int) -> None:
        self._capture = capture
        self._name = name
        self._ms_of = ms_of
        self._ahead: Queue[Taken | Exception] = Queue(1)
        self._failure: Exception | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._read_all, name=f"frames of {name}", daemon=True)
        self._thread.start()

    def snap(self, since_s: float, within_s: float) -> Taken | None:
        """Give the next frame."""
        if self._failure is None:
            try:
                taken = self._ahead.get(timeout=within_s)
            except Empty:
                return None
            if not isinstance(taken, Exception):
                return taken
            self._failure = taken
        raise self._failure

    def begin(self, since_s: float) -> None:
        """Do nothing: a file waits."""

    def following(self, within_s: float) -> Taken | None:
        """Give the next frame."""
        return self.snap(0.0, within_s)

    def close(self) -> None:
        """End the thread, and let go of the file."""
        self._closing = True
        with suppress(Empty):
            self._ahead.get_nowait()  # makes room for the frame that is at hand
        self._thread.join(_END_S)
        if not self._thread.is_alive():  # a thread inside the library when it lets go takes the process down
            self._capture.release()

    def _read_all(self) -> None:
        count = 0
        try:
            while not self._closing:
                stamp_ms = float(self._capture.get(self._ms_of))
                delivered, image = self._capture.read()
                if not delivered:
                    raise Ended(f"{self._name} has ended after {count} frames")
                count += 1
                self._ahead.put((count, stamp_ms, image))
        except Exception as error:  # noqa: BLE001 - handed to whoever asks for the next frame
            self._ahead.put(error)


class Live(Stream):
    """A camera or network stream that runs by itself: a thread takes every frame, so that none waits in a buffer.

    What OpenCV and the system keep of a stream (four frames of a webcam, seconds of a network camera) is older than
    what is shown; a frame that is taken from there when it is asked for is a stale one.
    """

    def __init__(self, capture: Any, name: str) -> None:
        self._capture = capture
        self._name = name
        self._changed = threading.Condition()
        self._kept: deque[Taken] = deque()
        self._from_s: float | None = None  # frames that come from then on are wanted; None: no frame is
        self._all = False
        self._reason = ""
        self._closing = False
        self._thread = threading.Thread(target=self._take, name=f"frames of {name}", daemon=True)
        self._thread.start()

    def snap(self, since_s: float, within_s: float) -> Taken | None:
        """Give the first frame that comes at that moment or later."""
        with self._changed:
            self._kept.clear()
            self._all, self._from_s = False, since_s
            return self._wait(within_s)

    def begin(self, since_s: float) -> None:
        """Keep every frame that comes at that moment or later."""
        with self._changed:
            self._kept.clear()
            self._all, self._from_s = True, since_s

    def following(self, within_s: float) -> Taken | None:
        """Give the oldest frame that was kept."""
        with self._changed:
            return self._wait(within_s)

    def end(self) -> None:
        """Keep none any more."""
        with self._changed:
            self._all, self._from_s = False, None
            self._kept.clear()

    def close(self) -> None:
        """End the thread, and let go of the capture."""
        self._closing = True
        self._thread.join(_END_S)
        if not self._thread.is_alive():  # a thread inside the library when it lets go takes the process down
            self._capture.release()

    def _wait(self, within_s: float) -> Taken | None:
        self._changed.wait_for(lambda: self._kept or self._reason, within_s)
        if self._kept:
            return self._kept.popleft()
        if self._reason:
            raise Ended(self._reason)
        return None

    def _take(self) -> None:
        number = 0
        while not self._closing and not self._reason:
            grabbed = self._capture.grab()
            now_s = time.monotonic()
            number += 1
            with self._changed:
                wanted = self._from_s is not None and now_s >= self._from_s
                if not self._all:
                    self._from_s = None if wanted else self._from_s
            image = None
            if grabbed and wanted:
                grabbed, image = self._capture.retrieve()  # what takes long, only for frames that are wanted
            with self._changed:
                if not grabbed:
                    self._reason = f"{self._name} delivers no frames any more"
                elif wanted and image is not None:
                    self._kept.append((number, 1e3 * now_s, image))
                if len(self._kept) > _MOST_WAITING:
                    self._reason = f"more than {_MOST_WAITING} frames of {self._name} waited to be taken"
                self._changed.notify_all()
