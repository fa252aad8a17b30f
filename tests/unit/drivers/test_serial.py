"""Serial instruments on TCP and on ptys: toggling shutters, prompts, echoes, lines that come and go."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

from labonn.errors import ConfigError, InstrumentError
from labonn.instruments import Light, Shutter

from .benches import make, site
from .scripted import SC10, Cobolt, Obis, Scripted, on_pty, on_tcp

CABLES = [
    pytest.param(on_tcp, id="tcp"),
    pytest.param(on_pty, id="pty", marks=pytest.mark.skipif(sys.platform == "win32", reason="Windows has no ptys")),
]
Cable = Callable[[Scripted], AbstractContextManager[Scripted]]


def address(instrument: Scripted) -> str:
    return instrument.path or instrument.url


@pytest.fixture
def connected() -> Iterator[Callable[..., Any]]:
    where = site()
    made = []

    def connect(kind: Any, **table: Any) -> Any:
        instrument = make(kind, where, **({"reply_timeout_ms": 150} | table))
        made.append(instrument)
        instrument.connect()
        return instrument

    yield connect
    for instrument in made:
        instrument.disconnect()
    where.shared.close()


@pytest.fixture(params=CABLES)
def sc10(request: pytest.FixtureRequest) -> Iterator[Scripted]:
    with request.param(Scripted(SC10(), end=b"\r")) as instrument:
        yield instrument


@pytest.fixture(params=CABLES)
def cobolt(request: pytest.FixtureRequest) -> Iterator[Scripted]:
    with request.param(Scripted(Cobolt(), end=b"\r")) as instrument:
        yield instrument


@pytest.fixture
def shutter(sc10: Scripted, connected: Callable[..., Any]) -> Shutter:
    made: Shutter = connected(Shutter, driver="serial_shutter", model="thorlabs-sc10", port=address(sc10))
    sc10.heard.clear()
    return made


@pytest.fixture
def laser(cobolt: Scripted, connected: Callable[..., Any]) -> Light:
    made: Light = connected(
        Light, driver="serial_laser", model="cobolt-06-mld", port=address(cobolt), max_power_mw=20, settle_ms=0
    )
    cobolt.heard.clear()
    return made


def test_a_shutter_that_toggles_is_told_only_when_it_must_move(sc10: Scripted, shutter: Shutter) -> None:
    assert sc10.answers.mode == "1", "it is brought into the mode in which it obeys"  # type: ignore[attr-defined]
    shutter.open()
    shutter.open()
    assert shutter.is_open
    assert sc10.count("ens") == 1
    shutter.close()
    shutter.make_dark()
    assert not shutter.is_open
    assert sc10.count("ens") == 2


def test_a_shutter_found_open_is_closed_when_it_is_connected(connected: Callable[..., Any]) -> None:
    with on_tcp(Scripted(SC10(enabled=True), end=b"\r")) as instrument:
        shutter = connected(Shutter, driver="serial_shutter", model="thorlabs-sc10", port=address(instrument))
        assert shutter.found_open
        assert not shutter.is_open


@pytest.mark.parametrize("fault", ["silent", "late", "garbled", "split"])
def test_a_toggle_whose_answer_is_lost_is_not_repeated_blindly(sc10: Scripted, shutter: Shutter, fault: str) -> None:
    shutter.open()
    sc10.next_time(fault, "ens")
    shutter.close()
    assert not shutter.is_open
    assert sc10.count("ens") == 2, "one to open, one to close: its state was looked at instead"


def test_a_toggle_that_was_not_heard_is_repeated_to_close_and_not_to_open(
    sc10: Scripted, shutter: Shutter, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutter.open()
    really, deaf = sc10.answers, [True]

    def deaf_at_first(words: str) -> str:
        return "" if words == "ens" and deaf and deaf.pop() else really(words)

    sc10.answers = deaf_at_first
    shutter.close()
    assert not really.enabled  # type: ignore[attr-defined]
    deaf.append(True)
    with pytest.raises(InstrumentError, match=r"shutter at .*: 'ens': no reply within 150 ms; not sent again"):
        shutter.open()
    assert not really.enabled  # type: ignore[attr-defined]


def test_a_state_that_is_told_late_does_not_toggle_twice(sc10: Scripted, shutter: Shutter) -> None:
    shutter.open()
    really = sc10.answers
    sc10.answers = lambda words: "ens?\r1\r> " if words == "ens?" else really(words)
    shutter.close()
    assert sc10.count("ens") == 2


@pytest.mark.parametrize("fault", ["silent", "late", "garbled", "split"])
def test_a_wrong_answer_costs_a_repetition_and_no_more(sc10: Scripted, shutter: Shutter, fault: str) -> None:
    for words in ("closed?", "ens?"):
        sc10.next_time(fault, words)
        assert not shutter.is_open
        shutter.open()
        assert shutter.is_open
        shutter.close()


def test_a_late_answer_is_not_taken_for_the_next_even_where_lines_know_no_connection(
    cobolt: Scripted, laser: Light
) -> None:
    laser.set_power_mw(15)
    laser.turn_on()
    cobolt.next_time("late", "l?")
    assert laser.is_on
    assert laser.power_mw == pytest.approx(20)
    cobolt.next_time("late", "pa?")
    assert laser.interlock_closed
    assert laser.power_mw == pytest.approx(20)
    assert laser.is_on, "'0.0200' is neither 1 nor 0, so it would not have gone unnoticed"


def test_a_laser_is_lit_over_a_serial_line(cobolt: Scripted, laser: Light) -> None:
    laser.turn_on()
    assert cobolt.answers.power_w == 0.02  # type: ignore[attr-defined]
    assert laser.is_on
    assert laser.interlock_closed
    laser.turn_off()
    assert not cobolt.answers.on  # type: ignore[attr-defined]
    laser.disconnect()
    laser.disconnect()


class IBeam:
    """A Toptica iBeam smart as it is after power-up: it repeats what it hears."""

    def __init__(self) -> None:
        self.echoes, self.on, self.uw = True, False, 0

    def __call__(self, words: str) -> str:
        echo = f"{words}\r\n" if self.echoes else ""
        said = {"id": "iBEAM-SMART-640-S\r\n", "sta la": f"{'ON' if self.on else 'OFF'}\r\n"}.get(words, "")
        match words.split():
            case ["echo", state]:
                self.echoes = state == "on"
            case ["la", state]:
                self.on = state == "on"
            case ["ch", "2", "pow", uw, "mic"]:
                self.uw = int(uw)
            case ["sh", "pow"]:
                said = f"PIC  = {self.uw if self.on else 0:06d} uW  \r\n"
            case ["oops"]:
                return f"{echo}%SYS-E-035, unknown command\r\nCMD> "
        return f"{echo}\r\n{said}[OK]\r\nCMD> "


def test_a_laser_with_a_prompt_is_talked_to_whatever_state_it_was_left_in(connected: Callable[..., Any]) -> None:
    with on_tcp(Scripted(IBeam(), end=b"\r\n")) as instrument:
        laser = connected(
            Light,
            driver="serial_laser",
            model="toptica-ibeam-smart",
            port=address(instrument),
            max_power_mw=5,
            settle_ms=0,
        )
        assert laser.identify() == "Toptica iBeam smart: iBEAM-SMART-640-S"
        laser.turn_on()
        assert laser.power_mw == pytest.approx(5)
        really = instrument.answers
        instrument.answers = lambda words: really("oops" if words == "sta la" else words)
        with pytest.raises(InstrumentError, match="'sta la': refuses: '%SYS-E-035, unknown command', tried 3 times"):
            _ = laser.is_on
        instrument.answers = really
        laser.make_dark()
        assert not laser.is_on


def test_what_it_does_not_understand_is_named(cobolt: Scripted, laser: Light) -> None:
    really = cobolt.answers
    cobolt.answers = lambda words: "Syntax error: illegal command\r\n" if words == "l1" else really(words)
    with pytest.raises(InstrumentError, match="'l1': refuses: 'Syntax error: illegal command'"):
        laser.turn_on()


def test_the_wrong_instrument_is_named(connected: Callable[..., Any]) -> None:
    with (
        on_tcp(Scripted(Cobolt(), end=b"\r")) as instrument,
        pytest.raises(
            ConfigError, match=r"light at socket://.*: 'id': answers 'Syntax error: illegal command'; Toptica"
        ),
    ):
        connected(Light, driver="serial_laser", model="toptica-ibeam-smart", port=address(instrument))


def test_a_line_that_was_gone_is_found_again(connected: Callable[..., Any]) -> None:
    instrument = Scripted(SC10(), end=b"\r")
    with on_tcp(instrument):
        shutter = connected(Shutter, driver="serial_shutter", model="thorlabs-sc10", port=address(instrument))
        instrument.next_time("closed", "closed?")
        assert not shutter.is_open
    with pytest.raises(InstrumentError, match=r"shutter at socket://.*'closed\?': cannot be .*tried 3 times"):
        _ = shutter.is_open
    instrument.answers = SC10()
    with on_tcp(instrument):
        assert not shutter.is_open
        assert instrument.answers.mode == "1", "its set-up is done again"


def test_a_scpi_dialect_works_over_a_serial_line_too(connected: Callable[..., Any]) -> None:
    with on_tcp(Scripted(Obis())) as instrument:
        laser = connected(
            Light, driver="serial_laser", model="coherent-obis", port=address(instrument), max_power_mw=20, settle_ms=0
        )
        laser.turn_on()
        assert laser.power_mw == pytest.approx(20)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no ptys, and opens every port exclusively anyway")
def test_a_port_that_another_has_is_busy(connected: Callable[..., Any]) -> None:
    with on_pty(Scripted(SC10(), end=b"\r")) as instrument:
        connected(Shutter, driver="serial_shutter", model="thorlabs-sc10", port=instrument.path)
        elsewhere = site()
        second = make(
            Shutter, elsewhere, driver="serial_shutter", model="thorlabs-sc10", port=instrument.path, retries=0
        )
        with pytest.raises(InstrumentError, match=r"shutter at /dev/.*: cannot be opened: .*[Ll]ock"):
            second.connect()
        elsewhere.shared.close()


def test_a_port_that_is_not_there_is_named_with_those_that_are(connected: Callable[..., Any]) -> None:
    with pytest.raises(InstrumentError, match=r"shutter at /dev/ttyNONE: .*cannot be opened.*this computer's ports: "):
        connected(Shutter, driver="serial_shutter", model="thorlabs-sc10", port="/dev/ttyNONE")


WATCHED = {
    "kind": "light",
    "name": "A laser with a watchdog",
    "identity": {"ask": "*IDN?", "like": "Laser"},
    "on": "ON",
    "off": "OFF",
    "is_on": {"ask": "ON?", "yes": "1", "no": "0"},
    "set_power": {"tell": "P {value:.1f}"},
    "power": {"ask": "P?"},
    "watchdog": {
        "start": {"tell": "WATCHDOG {value:.0f}"},
        "shortest_s": 2,
        "feed": "*STB?",
        "stop": "WATCHDOG 0",
    },
}
WATCHED_ANSWERS = {"*IDN?": "Laser\n", "ON?": "0\n", "P?": "0\n", "*STB?": "0\n"}


def test_a_watchdog_of_its_own_is_started_fed_kept_and_stopped(connected: Callable[..., Any]) -> None:
    with on_tcp(Scripted(lambda words: WATCHED_ANSWERS.get(words, ""))) as instrument:
        laser = connected(Light, driver="serial_laser", dialect=WATCHED, port=address(instrument))
        assert not laser.start_own_watchdog(1.5), "it cannot be as quick"
        assert laser.start_own_watchdog(2)
        laser.feed_own_watchdog()
        assert instrument.heard[-2:] == ["WATCHDOG 2", "*STB?"]
        instrument.next_time("closed", "ON?")
        assert not laser.is_on
        assert instrument.count("WATCHDOG 2") == 2, "what was away has forgotten it"
        laser.disconnect()
    assert instrument.heard[-1] == "WATCHDOG 0"


def test_most_lasers_have_no_watchdog(laser: Light) -> None:
    assert not laser.start_own_watchdog(2)
