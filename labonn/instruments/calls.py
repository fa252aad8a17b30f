"""Calls into instruments with a time limit: a driver that never returns costs its limit and no more."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

from labonn.errors import InstrumentError, LabonnError

T = TypeVar("T")

# Waits are cut into slices because Windows delivers Ctrl-C only between them.
_SLICE_S = 0.2
_END_LIMIT_S = 0.5


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
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._under_way = ""

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
        blocked_by = self._under_way
        future: Future[T] = Future()
        self._calls.put((future, self._noting(doing, function)))
        self._wait(future, limit_ms)
        if not future.done() and future.cancel():
            raise InstrumentError(
                f"{self._name}: {doing}: not begun after {limit_ms:g} ms, because it has not come back from"
                f" {blocked_by or 'an earlier call'}; check its power and cable, then open the bench again"
            )
        if not future.done():
            raise InstrumentError(
                f"{self._name}: {doing}: no answer after {limit_ms:g} ms; check its power, cable and trigger,"
                " or give it longer in the bench file (timeout_ms)"
            )
        try:
            return future.result()
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

    def _noting(self, doing: str, function: Callable[[], T]) -> Callable[[], T]:
        def noted() -> T:
            self._under_way = doing
            try:
                return function()
            finally:
                self._under_way = ""

        return noted

    @staticmethod
    def _wait(future: Future[Any], limit_ms: float) -> None:
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        deadline = time.monotonic() + limit_ms / 1e3
        while not done.wait(min(_SLICE_S, max(0.0, deadline - time.monotonic()))):
            if time.monotonic() >= deadline:
                return

    def _work(self) -> None:
        while (item := self._calls.get()) is not None:
            future, function = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001 - handed to whoever waits for this call
                future.set_exception(error)
            else:
                future.set_result(result)


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
