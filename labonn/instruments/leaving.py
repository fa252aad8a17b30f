"""Orderly ways out: a request to end this process becomes an exception, and waits while the bench is made dark."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# SIGHUP is a closed terminal on POSIX, SIGBREAK is Ctrl-Break and a closed console on Windows.
_REQUESTS = ("SIGTERM", "SIGHUP", "SIGBREAK")


class Leaving:
    """Turns requests to end this process into `KeyboardInterrupt`, in the main thread, for as long as it is active.

    Whoever handles Ctrl-C so handles SIGTERM and a closed terminal too, and no `except Exception` swallows either.
    """

    def __init__(self) -> None:
        self._protected = False
        self._asked: str | None = None

    @contextmanager
    def active(self) -> Iterator[None]:
        """Handle the signals; does nothing in another thread than the main one, where Python cannot."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before: dict[signal.Signals, Any] = {}
        try:
            for name in ("SIGINT", *_REQUESTS):
                if hasattr(signal, name):
                    number = signal.Signals[name]
                    handler = signal.getsignal(number)
                    # What was set to be ignored (nohup) stays ignored; None is a handler that Python did not set.
                    if handler not in (signal.SIG_IGN, None):
                        before[number] = signal.signal(number, self._asked_to_leave)
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if self._asked is not None:
            raise KeyboardInterrupt(self._asked)

    @contextmanager
    def protected(self) -> Iterator[None]:
        """Let nothing interrupt what is inside; what was asked meanwhile is raised when `active` ends."""
        self._protected = True
        try:
            yield
        finally:
            self._protected = False

    def _asked_to_leave(self, number: int, frame: FrameType | None) -> None:
        reason = f"asked to stop by {signal.Signals(number).name}"
        if self._protected:
            self._asked = reason
        else:
            raise KeyboardInterrupt(reason)
