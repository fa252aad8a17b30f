import threading
import time
from collections.abc import Callable

import pytest

from labonn.errors import ConfigError, InstrumentError, InterlockTripped
from labonn.instruments import Guard
from labonn.instruments.bench_config import Interlocks
from labonn.instruments.calls import Caller
from labonn.instruments.interlocks import Watch, check_interlocks

from .stand_ins import BareMeter, BareShutter, BareThermometer, connected

PERIOD_MS = 40.0
SILENCE_MS = 300.0


class Watched:
    """A meter, a thermometer and a shutter, watched; how long after something the guard tripped."""

    def __init__(self, *conditions: str) -> None:
        self.meter, self.box, self.shutter = connected(BareMeter), connected(BareThermometer), connected(BareShutter)
        self.instruments = {"meter": self.meter, "box": self.box, "shutter": self.shutter}
        self.guard, self.dark = Guard(), threading.Event()
        self.guard.set_up(self.dark.set, lambda: None, lambda: None)
        self.interlocks = Interlocks.model_validate(
            {"period_ms": PERIOD_MS, "silence_ms": SILENCE_MS, "conditions": conditions}
        )
        self.watch = Watch(self.interlocks, self.instruments, self.guard)

    def trips_within(self, limit_s: float) -> str:
        assert self.dark.wait(limit_s), "did not trip"
        self.watch.stop()
        return str(self.guard.error)


def test_a_reading_out_of_its_range_trips_within_two_periods() -> None:
    watched = Watched("meter.power_mw <= 20", "box.celsius between 18 and 27")
    watched.watch.start()
    assert not watched.dark.wait(4 * PERIOD_MS / 1e3)
    watched.meter.value = 23.5
    begun = time.monotonic()
    said = watched.trips_within(5)
    assert time.monotonic() - begun < 3 * PERIOD_MS / 1e3 + 0.1
    assert "interlock 'meter.power_mw <= 20': meter.power_mw was 23.5 at 20" in said
    assert isinstance(watched.guard.error, InterlockTripped)


def test_what_does_not_hold_at_the_beginning_is_refused_before_any_light() -> None:
    watched = Watched("box.celsius <= 20")
    with pytest.raises(InterlockTripped, match=r"box\.celsius was 21"):
        watched.watch.start()


def test_a_missed_reading_is_forgiven_and_silence_is_not() -> None:
    watched = Watched("meter.power_mw <= 20")
    watched.watch.start()
    readings = 0

    def fails_once() -> float:
        nonlocal readings
        readings += 1
        if readings == 2:
            raise OSError("garbled")
        return 1.0

    watched.meter._power_mw_hw = fails_once
    assert not watched.dark.wait(2 * SILENCE_MS / 1e3)
    assert readings > 3
    watched.meter._power_mw_hw = lambda: 1 / 0
    begun = time.monotonic()
    said = watched.trips_within(5)
    assert SILENCE_MS / 1e3 - 0.1 < time.monotonic() - begun < 2 * SILENCE_MS / 1e3 + 0.2
    assert "meter could not be read for 0." in said
    assert "division by zero" in said


def test_an_instrument_that_hangs_trips_and_hides_no_other() -> None:
    watched = Watched("meter.power_mw <= 20", "box.celsius <= 30")
    watched.watch.start()
    go_on = threading.Event()
    watched.meter._power_mw_hw = lambda: float(go_on.wait(20))
    begun = time.monotonic()
    said = watched.trips_within(5)
    assert time.monotonic() - begun < 1.5, "the limit is the silence that is allowed, not the instrument's five seconds"
    assert "meter could not be read" in said
    go_on.set()


def test_a_shutter_that_opens_by_itself_or_does_not_close_is_noticed() -> None:
    watched = Watched("shutter closes when told")
    watched.watch.start()
    watched.shutter.open()
    assert not watched.dark.wait(0.4), "told to be open, it may be"
    watched.shutter.stuck = True
    with pytest.raises(InstrumentError, match="still OPEN"):
        watched.shutter.close()
    assert "'shutter closes when told'" in watched.trips_within(5)


def test_nothing_trips_after_the_watch_has_ended() -> None:
    watched = Watched("meter.power_mw <= 20")
    watched.watch.start()
    watched.watch.stop()
    watched.meter.value = 99.0
    assert not watched.dark.wait(4 * PERIOD_MS / 1e3)


def test_a_reading_that_an_instrument_does_not_have_is_named() -> None:
    watched = Watched("meter.celsius <= 20")
    with pytest.raises(ConfigError, match="meter is a meter, whose readings are: power_mw"):
        check_interlocks(watched.interlocks, watched.instruments, "x.bench.toml")


def test_a_process_that_stands_still_does_not_take_its_instruments_for_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched("meter.power_mw <= 20")
    watched.watch.start()
    call, stalls = Caller.call, []

    def stall(caller: Caller, doing: str, function: Callable[[], object], limit_ms: float) -> object:
        if not caller._name.startswith("interlock"):
            return call(caller, doing, function, limit_ms)
        stalls.append(doing)
        time.sleep(limit_ms / 1e3 + 0.2)  # as where another thread keeps Python's lock
        raise InstrumentError("no answer")

    monkeypatch.setattr(Caller, "call", stall)
    assert not watched.dark.wait(1.2)
    assert len(stalls) > 1
    monkeypatch.undo()
    watched.watch.stop()
