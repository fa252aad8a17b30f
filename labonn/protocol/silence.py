"""Noticing a script that comes to no checkpoint: it is named, with its line, while it can still be seen where it is."""

import gc
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType

logger = logging.getLogger(__name__)

LIMIT_S = 30.0
_LOOKS = 20  # within the limit


class Silence:
    """Watches, from a thread of its own, for how long the thread that made it has not come to a checkpoint.

    Parameters
    ----------
    script
        The script's file, as it stands in its frames.
    tell
        Is told once for each silence.
    limit_s
        How long a silence is let pass.
    """

    def __init__(self, script: str | None, tell: Callable[[str], None], limit_s: float = LIMIT_S) -> None:
        self._script = script
        self._tell = tell
        self._limit_s = limit_s
        self._heard_s = time.monotonic()
        self._told_s: float | None = None
        self._watched = threading.get_ident()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="silence", daemon=True)
        self._thread.start()

    def heard(self) -> None:
        """Note a checkpoint."""
        self._heard_s = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long the last checkpoint is ago."""
        return time.monotonic() - self._heard_s

    def line(self) -> int | None:
        """Line of the script that runs now; None where none of it does."""
        frame = _frame_of(self._watched)
        lines = [line for one, line in traceback.walk_stack(frame) if one.f_code.co_filename == self._script]
        return lines[0] if lines else None

    def stop(self) -> None:
        """Watch no more."""
        self._end.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(self._limit_s / _LOOKS):
            if self.seconds > self._limit_s and self._told_s != self._heard_s:
                self._told_s = self._heard_s
                line = self.line()
                where = f"{self._script}, line {line}" if line else str(self._script)
                said = (
                    f"{where}: no checkpoint for {self.seconds:.0f} s: a pause or an abort waits for the next one; "
                    "let long loops call step.advance() or lab.checkpoint(). `labonn bench dark` always works"
                )
                logger.warning("%s", said)
                self._tell(said)


def _frame_of(thread: int) -> FrameType | None:
    """The frame that a thread is in. Python 3.11 stands still for ever if it collects garbage meanwhile (gh-106883)."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames().get(thread)
    finally:
        if collects:
            gc.enable()
