import threading
import time

import pytest

from labonn.errors import ConfigError, InstrumentError
from labonn.instruments.calls import Caller


def test_gives_what_the_call_gives() -> None:
    assert Caller("camera").call("counting", lambda: 7, 1_000) == 7


def test_a_foreign_error_names_the_instrument_and_what_it_was_doing() -> None:
    def fail() -> None:
        raise RuntimeError("USB error\n-7")

    with pytest.raises(InstrumentError, match=r"^camera: taking a frame: USB error -7; check that"):
        Caller("camera").call("taking a frame", fail, 1_000)


def test_our_own_errors_pass_unchanged() -> None:
    def fail() -> None:
        raise ConfigError("bench.toml: wrong")

    with pytest.raises(ConfigError, match=r"^bench\.toml: wrong$"):
        Caller("camera").call("connecting", fail, 1_000)


def test_a_timeout_raised_inside_is_not_taken_for_ours() -> None:
    def fail() -> None:
        raise TimeoutError("the port said nothing")

    with pytest.raises(InstrumentError, match="the port said nothing"):
        Caller("camera").call("reading", fail, 60_000)


def test_a_call_that_does_not_return_costs_its_limit_and_the_next_one_says_why() -> None:
    caller, release = Caller("camera"), threading.Event()
    begun = time.monotonic()
    with pytest.raises(InstrumentError, match="camera: taking a frame: no answer after 50 ms"):
        caller.call("taking a frame", release.wait, 50)
    with pytest.raises(InstrumentError, match=r"reading: not begun after 50 ms.*taking a frame"):
        caller.call("reading", lambda: 1, 50)
    assert time.monotonic() - begun < 5
    release.set()
    assert caller.call("reading", lambda: 1, 5_000) == 1


def test_a_call_that_was_given_up_is_never_made_later() -> None:
    caller, release, made = Caller("shutter"), threading.Event(), []
    with pytest.raises(InstrumentError):
        caller.call("moving", release.wait, 20)
    with pytest.raises(InstrumentError):
        caller.call("opening", lambda: made.append("opened"), 20)
    release.set()
    caller.call("reading", lambda: None, 5_000)
    assert made == []
