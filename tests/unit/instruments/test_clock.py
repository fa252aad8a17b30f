import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from labonn.errors import InstrumentError
from labonn.instruments import SystemClock, WorldClock


@contextmanager
def door(answer: Callable[[str], str | None]) -> Iterator[str]:
    """A clock door that answers each line with what `answer` makes of it; None hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rw", encoding="ascii", newline="\n") as lines:
                for line in lines:
                    reply = answer(line.strip())
                    if reply is None:
                        break
                    lines.write(reply)
                    lines.flush()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(timeout=5)


def test_asks_the_world_for_its_time_and_waits_in_it() -> None:
    asked = []

    def world(line: str) -> str:
        asked.append(line)
        return "12.500000000\n" if line == "TIME?" else "OK\n"

    with door(world) as address:
        clock = WorldClock(address)
        assert clock.now_s() == 12.5
        clock.sleep_ms(16.7)
        clock.sleep_ms(0)
        clock.sleep_until_s(13.0)
        clock.close()
        clock.close()
    assert asked == ["TIME?", "SLEEP 0.016700000", "UNTIL 13.000000000"]


def test_this_computers_clock_wakes_on_time() -> None:
    clock = SystemClock()
    late_s = []
    for _ in range(20):
        until_s = clock.now_s() + 3e-3
        clock.sleep_until_s(until_s)
        late_s.append(clock.now_s() - until_s)
    assert min(late_s) >= 0
    assert sorted(late_s)[10] < 1e-3
    began_s = clock.now_s()
    clock.sleep_until_s(began_s - 1.0)
    assert clock.now_s() - began_s < 0.1, "a moment that has passed is not waited for"


@pytest.mark.parametrize(("takes_s", "counted_from_s"), [(0.0, 0.0), (0.05, 0.049)])
def test_an_effect_is_counted_from_the_command_or_from_1_ms_before_it_came_back(
    takes_s: float, counted_from_s: float
) -> None:
    clock = SystemClock()
    before_s = clock.now_s()
    moment_s = clock.moment_of(lambda: clock.sleep_ms(1e3 * takes_s))
    assert before_s + counted_from_s <= moment_s <= clock.now_s()
    assert moment_s - before_s < counted_from_s + 0.02


@pytest.mark.parametrize("reply", ["soon\n", None, "ERROR busy\n"])
def test_an_answer_that_is_none_is_an_error(reply: str | None) -> None:
    with door(lambda _: reply) as address:
        clock = WorldClock(address)
        with pytest.raises(InstrumentError, match="clock"):
            clock.now_s()
        with pytest.raises(InstrumentError, match="clock"):
            clock.sleep_ms(1)
        clock.close()


def test_a_late_answer_is_not_taken_for_the_next_one() -> None:
    late = threading.Event()

    def world(line: str) -> str:
        if line.startswith("SLEEP"):
            late.wait(5)
            return "OK\n"
        return "3.0\n"

    with door(world) as address:
        clock = WorldClock(address, timeout_ms=50)
        with pytest.raises(InstrumentError, match="SLEEP"):
            clock.sleep_ms(1)
        late.set()
        assert clock.now_s() == 3.0
        clock.close()


def test_a_clock_that_is_not_there_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(InstrumentError, match=f"127.0.0.1:{port}"):
        WorldClock(f"127.0.0.1:{port}").now_s()


def test_the_computer_s_clock_waits() -> None:
    clock = SystemClock()
    before = clock.now_s()
    clock.sleep_ms(5)
    assert clock.now_s() - before >= 0.004


@pytest.mark.parametrize("duration_ms", [-1.0, float("nan")])
def test_no_clock_goes_back(duration_ms: float) -> None:
    with pytest.raises(ValueError, match="cannot wait"):
        SystemClock().sleep_ms(duration_ms)


def test_in_virtual_time_others_may_let_it_pass_while_a_command_is_on_its_way() -> None:
    times = iter(("1.0\n", "1.008\n"))
    with door(lambda _: next(times)) as address:
        clock = WorldClock(address)
        assert clock.moment_of(clock.now_s) == 1.008
        clock.close()
