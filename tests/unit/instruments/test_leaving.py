import os
import signal
import sys
import threading

import pytest

from labonn.instruments.leaving import Leaving

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process where POSIX signals it")


@pytest.mark.parametrize(
    "number", [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)]
)
def test_a_request_to_end_becomes_an_exception_that_no_handler_of_errors_swallows(number: signal.Signals) -> None:
    def work() -> None:
        with Leaving().active():
            try:
                os.kill(os.getpid(), number)
            except Exception:  # noqa: BLE001 - what this is about
                raise AssertionError("swallowed") from None
            raise AssertionError("not seen")

    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt, match=number.name):
        work()
    assert signal.getsignal(number) is before


def test_nothing_interrupts_what_is_protected_and_nothing_is_forgotten() -> None:
    leaving, done = Leaving(), []

    def leave() -> None:
        with leaving.active():
            with leaving.protected():
                os.kill(os.getpid(), signal.SIGTERM)
                done.append("dark")
            done.append("disconnected")

    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        leave()
    assert done == ["dark", "disconnected"]


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Leaving().active():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_than_the_main_one_is_left_alone() -> None:
    seen = []

    def work() -> None:
        with Leaving().active():
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
