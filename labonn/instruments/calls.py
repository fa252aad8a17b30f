"""Calls into instruments with a time limit: a driver that never returns costs its limit and no more."""

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final, Generic, TypeVar

from labonn.errors import InstrumentError, LabonnError

T = TypeVar("T")

# Waits are cut into slices because Windows delivers Ctrl-C only between them.
_SLICE_S: Final = 0.2
_END_LIMIT_S: Final = 0.5


class Call(Generic[T]):
    """One call and what came of it; two bare locks, as a future's events take as long as a fast instrument."""

    def __init__(self, doing: str, function: Callable[[], T]) -> None:
        self.doing = doing
        self._function = function
        self._claim = threading.Lock()  # taken by the thread that does it, or by whoever asked and waits no longer
        self._done = threading.Lock()
        self._done.acquire()
        self._error: BaseException | None = None
        self._result: T

    def claimed(self) -> bool:
        """Claim it, to do it or to call it off; say whether that was possible, which it is once."""
        return self._claim.acquire(blocking=False)

    def carry_out(self) -> None:
        """Do it, after it was claimed."""
        try:
            self._result = self._function()
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits for this call
            self._error = error
        self._done.release()

    def wait(self, limit_ms: float) -> bool:
        """Wait until it has come back; say whether it has."""
        deadline_s = time.monotonic() + limit_ms / 1e3
        while not self._done.acquire(timeout=min(_SLICE_S, max(0.0, deadline_s - time.monotonic()))):
            if time.monotonic() >= deadline_s:
                return False
        return True

    def result(self) -> T:
        """Give what it gave, or raise what it raised."""
        if self._error is not None:
            raise self._error
        return self._result


class Caller:
    """Does one instrument's calls, in order, in a thread of its own.

    A vendor's library cannot be interrupted. What did not come back in time is left behind in the thread; later calls
    queue up behind it, each for its own limit, and the other instruments are not held up.

    Parameters
    ----------
    name
        The instrument, as messages name it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[Call[Any] | None] = SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._begun_last = ""

    def call(self, doing: str, function: Callable[[], T], limit_ms: float) -> T:
        """Do `function` in the instrument's thread and give back what it gives.

        Raises
        ------
        InstrumentError
            If it takes longer than `limit_ms`, or raises anything that is not one of labonn's own errors.
        """
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=f"calls to {self._name}", daemon=True)
                self._thread.start()
        call = Call(doing, function)
        self._calls.put(call)
        if not call.wait(limit_ms):
            if call.claimed():
                raise InstrumentError(
                    f"{self._name}: {doing}: not begun after {limit_ms:g} ms, because it has not come back from"
                    f" {self._begun_last or 'an earlier call'}; check its power and cable, then open the bench again"
                )
            raise InstrumentError(
                f"{self._name}: {doing}: no answer after {limit_ms:g} ms; check its power, cable and trigger,"
                " or give it longer in the bench file (timeout_ms)"
            )
        try:
            return call.result()
        except LabonnError:
            raise
        except Exception as error:
            raise InstrumentError(
                f"{self._name}: {doing}: {_sentence(error)}; check that it is on, connected, and as the bench file says"
            ) from error

    def stop(self) -> None:
        """Let the thread end after the calls that are queued, and wait a moment for it."""
        with self._starting:
            thread, self._thread = self._thread, None
            if thread is None:
                return
            self._calls.put(None)
        # A thread that is inside a library of C++ when Python ends takes the whole process down.
        if thread is not threading.current_thread():
            thread.join(_END_LIMIT_S)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            if call.claimed():
                self._begun_last = call.doing
                call.carry_out()


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
