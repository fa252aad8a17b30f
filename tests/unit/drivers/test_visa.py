"""VISA instruments that answer wrongly, late, in pieces, or not at all."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import pyvisa
from pyvisa.constants import InterfaceType, StatusCode

from labonn.errors import ConfigError, InstrumentError
from labonn.instruments import Light, PowerMeter, Thermometer

from .benches import make, site
from .scripted import PM100D, Obis, Scripted, on_pty, on_tcp


@pytest.fixture
def obis() -> Iterator[Scripted]:
    with on_tcp(Scripted(Obis())) as instrument:
        yield instrument


@pytest.fixture
def connected() -> Iterator[Callable[..., Any]]:
    """Make and connect an instrument; everything is disconnected at the end."""
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


@pytest.fixture
def laser(obis: Scripted, connected: Callable[..., Any]) -> Light:
    light: Light = connected(Light, driver="scpi_laser", model="coherent-obis", resource=obis.resource, **ARMED)
    obis.heard.clear()
    return light


ARMED = {"max_power_mw": 20, "power_mw": 15, "settle_ms": 0}


def test_a_laser_is_lit_and_read_in_milliwatts(obis: Scripted, laser: Light) -> None:
    assert laser.identify() == "Coherent OBIS LX/LS: Coherent, Inc - OBIS 532nm 20mW C - V1.0.1 - Dec 14 2010"
    laser.turn_on()
    assert obis.answers.power_w == 0.015  # type: ignore[attr-defined]
    assert laser.is_on
    assert laser.power_mw == pytest.approx(15)
    assert laser.interlock_closed
    obis.answers.interlock = "OFF"  # type: ignore[attr-defined]
    assert not laser.interlock_closed
    laser.make_dark()
    assert not obis.answers.on  # type: ignore[attr-defined]


def test_the_error_queue_is_read_after_everything(obis: Scripted, laser: Light) -> None:
    laser.turn_on()
    said = [words for words in obis.heard if words != "SYST:ERR:NEXT?"]
    assert obis.count("SYST:ERR:NEXT?") == len(said)


def test_the_wrong_instrument_is_named_with_what_answered(connected: Callable[..., Any]) -> None:
    with on_tcp(Scripted(PM100D())) as meter, pytest.raises(ConfigError) as raised:
        connected(Thermometer, driver="scpi_thermometer", model="keysight-daq970a", resource=meter.resource)
    assert "thermometer at TCPIP0" in str(raised.value)
    assert "'*IDN?': answers 'Thorlabs,PM100D,P0000001,2.4.0'" in str(raised.value)
    assert "Keysight DAQ970A answers like" in str(raised.value)
    assert "correct its address or its model in the bench file" in str(raised.value)


def test_nothing_at_an_address_is_said_soon(obis: Scripted, connected: Callable[..., Any]) -> None:
    begun = time.monotonic()
    with pytest.raises(
        InstrumentError, match=r"light at TCPIP0::127.0.0.1::1::SOCKET: .*cannot be opened.*refused.*tried 3 times"
    ):
        connected(Light, driver="scpi_laser", model="coherent-obis", resource="TCPIP0::127.0.0.1::1::SOCKET")
    assert time.monotonic() - begun < 3


@pytest.mark.parametrize(
    ("table", "said"),
    [({"resource": "TCPIP::::"}, "resource = 'TCPIP::::'"), ({"backend": "@nobody"}, "backend = '@nobody'")],
)
def test_what_visa_does_not_know_is_the_file_s_mistake(
    connected: Callable[..., Any], table: dict[str, str], said: str
) -> None:
    address = {"resource": "TCPIP0::127.0.0.1::1::SOCKET"}
    with pytest.raises(ConfigError, match=said):
        connected(Light, driver="scpi_laser", model="coherent-obis", **(address | table))


def test_an_entry_in_the_error_queue_after_a_command_is_named_and_the_command_not_repeated(
    obis: Scripted, laser: Light
) -> None:
    obis.answers.errors.append('-310,"System error"')  # type: ignore[attr-defined]
    with pytest.raises(
        InstrumentError, match=r"light at TCPIP.*'SOUR:POW:LEV:IMM:AMPL 0.010000'.*-310,\"System error\""
    ):
        _after(obis, "SOUR:POW:LEV:IMM:AMPL 0.010000", '-310,"System error"', lambda: laser.set_power_mw(10))


def _after(obis: Scripted, words: str, entry: str, act: Callable[[], Any]) -> None:
    """Act, with an entry in the error queue whenever `words` have been heard."""
    really = obis.answers

    def complaining(heard: str) -> str:
        if heard == words:
            really.errors.append(entry)  # type: ignore[attr-defined]
        return really(heard)

    obis.answers = complaining
    try:
        act()
    finally:
        obis.answers = really


def test_turning_on_is_never_repeated_and_turning_off_is(obis: Scripted, laser: Light) -> None:
    obis.next_time("silent", "SOUR:AM:STAT ON")
    with pytest.raises(InstrumentError, match="not sent again, since nobody can tell whether it was done: look at it"):
        laser.turn_on()
    assert obis.count("SOUR:AM:STAT ON") == 1
    obis.next_time("silent", "SOUR:AM:STAT OFF")
    laser.turn_off()
    assert obis.count("SOUR:AM:STAT OFF") == 2
    assert not laser.is_on


def test_a_complaint_about_a_question_is_logged_and_the_question_asked_again(
    obis: Scripted, laser: Light, caplog: pytest.LogCaptureFixture
) -> None:
    obis.answers.errors.append('-200,"Execution error"')  # type: ignore[attr-defined]
    assert laser.power_mw == 0
    assert '-200,"Execution error"; trying again (1)' in caplog.text
    assert laser.settings()["reported"]["repeated"] == 1


def test_a_refusal_is_named_and_its_entry_is_not_blamed_on_the_next_command(obis: Scripted, laser: Light) -> None:
    obis.answers.refuses.add("SOUR:AM:STAT ON")  # type: ignore[attr-defined]
    with pytest.raises(InstrumentError, match=r"refuses: 'ERR-221', and reports -221,\"Settings conflict\""):
        laser.turn_on()
    laser.set_power_mw(5)


def test_off_counts_more_than_a_complaint_about_it(
    obis: Scripted, laser: Light, caplog: pytest.LogCaptureFixture
) -> None:
    laser.turn_on()
    _after(obis, "SOUR:AM:STAT OFF", '-310,"System error"', laser.make_dark)
    assert not laser.is_on
    assert "it says that it is off" in caplog.text


def test_a_reply_that_comes_late_is_not_taken_for_the_next_one(obis: Scripted, laser: Light) -> None:
    laser.turn_on()
    connections = obis.connections
    obis.next_time("late", "SYST:LOCK?")
    assert laser.interlock_closed
    assert laser.power_mw == pytest.approx(15)
    assert obis.connections == connections + 1, "the line was closed and opened again"


def test_a_reply_in_pieces_is_one_reply(obis: Scripted, laser: Light) -> None:
    connections = obis.connections
    obis.next_time("split", "SOUR:POW:LEV?")
    obis.next_time("split", "SYST:ERR:NEXT?")
    assert laser.power_mw == 0
    assert obis.connections == connections


def test_a_garbled_reply_is_asked_for_again_and_at_last_named(
    obis: Scripted, laser: Light, caplog: pytest.LogCaptureFixture
) -> None:
    obis.next_time("garbled", "SOUR:POW:LEV?")
    assert laser.power_mw == 0
    assert "is not the number that was asked for; trying again (1)" in caplog.text
    obis.next_time("garbled", "SOUR:AM:STAT?", times=3)
    with pytest.raises(
        InstrumentError, match=r"'SOUR:AM:STAT\?': answered '..F', which is neither 'ON' nor 'OFF', tried 3"
    ):
        _ = laser.is_on
    assert not laser.is_on


def test_silence_has_an_end_and_says_how_long_it_was_waited(obis: Scripted, laser: Light) -> None:
    obis.next_time("silent", "SOUR:POW:LEV?", times=3)
    with pytest.raises(
        InstrumentError, match=r"'SOUR:POW:LEV\?': no reply within 150 ms, tried 3 times; check that it is on"
    ):
        _ = laser.power_mw
    assert laser.power_mw == 0


def test_an_instrument_that_hangs_up_is_noticed_at_once_and_without_spinning(obis: Scripted, laser: Light) -> None:
    obis.next_time("closed", "SOUR:POW:LEV?")
    begun, used = time.perf_counter(), time.process_time()
    assert laser.power_mw == 0
    assert time.perf_counter() - begun < 0.14 + 0.1, "no waiting for the reply that cannot come"
    assert time.process_time() - used < 0.1


def test_an_instrument_that_was_away_is_found_again(connected: Callable[..., Any]) -> None:
    instrument = Scripted(PM100D())
    with on_tcp(instrument):
        meter = connected(
            PowerMeter,
            driver="scpi_power_meter",
            model="thorlabs-pm100d",
            resource=instrument.resource,
            wavelength_nm=532,
        )
        assert meter.power_mw == pytest.approx(5.12)
    with pytest.raises(InstrumentError, match=r"meter at TCPIP.*'MEAS:POW\?'.*tried 3 times"):
        _ = meter.power_mw
    instrument.answers = PM100D()  # switched off and on: it has forgotten its wavelength
    with on_tcp(instrument):
        assert meter.power_mw == pytest.approx(5.12)
        assert instrument.answers.wavelength_nm == 532


def test_another_instrument_in_its_place_is_refused(connected: Callable[..., Any]) -> None:
    instrument = Scripted(PM100D())
    with on_tcp(instrument):
        meter = connected(PowerMeter, driver="scpi_power_meter", model="thorlabs-pm100d", resource=instrument.resource)
    instrument.answers = lambda words: "LSCI,MODEL336,LSA1/1,1\n" if words == "*IDN?" else ""
    with on_tcp(instrument), pytest.raises(InstrumentError, match="answers 'LSCI,MODEL336"):
        _ = meter.power_mw


def test_entries_from_before_are_told_and_do_not_fail_anything(
    connected: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    with on_tcp(Scripted(PM100D())) as instrument:
        instrument.answers.errors.append('-113,"Undefined header"')  # type: ignore[attr-defined]
        meter = connected(PowerMeter, driver="scpi_power_meter", model="thorlabs-pm100d", resource=instrument.resource)
        assert meter.power_mw == pytest.approx(5.12)
    assert 'found in its error queue: -113,"Undefined header"' in caplog.text


def test_instruments_at_one_address_share_the_line_and_take_turns() -> None:
    dialect = {
        "kind": "thermometer",
        "line": {"write_end": "\r\n", "read_end": "\r\n", "acknowledgement": "OK", "acknowledges": "everything"},
        "identity": {"ask": "*IDN?", "like": ".*OBIS.*"},
        "celsius": {"ask": "SOUR:TEMP:BAS?", "like": r"([0-9.]+)C"},
    }
    obis = Obis()

    def with_temperature(words: str) -> str:
        return "35.5C\r\nOK\r\n" if words == "SOUR:TEMP:BAS?" else obis(words)

    where = site()
    with on_tcp(Scripted(with_temperature)) as instrument:
        address = {"resource": instrument.resource, "reply_timeout_ms": 150}
        of_the_laser = OBIS_INLINE | {"line": dialect["line"]}
        light = make(Light, where, driver="scpi_laser", dialect=of_the_laser, **address)
        base = make(Thermometer, where, driver="scpi_thermometer", dialect=dialect, **address)
        light.connect()
        base.connect()
        assert base.celsius == 35.5
        assert not light.is_on
        assert instrument.connections == 1
        light.disconnect()
        assert base.celsius == 35.5, "the line stays open for the other"
        other = make(
            Thermometer, where, driver="scpi_thermometer", dialect=dialect | {"line": {"read_end": "\r"}}, **address
        )
        with pytest.raises(ConfigError, match=r"shares TCPIP.* other \[line\] rules"):
            other.connect()
        base.disconnect()
        base.disconnect()
        where.shared.close()


OBIS_INLINE = {
    "kind": "light",
    "identity": {"ask": "*IDN?", "like": ".*OBIS.*"},
    "on": "SOUR:AM:STAT ON",
    "off": "SOUR:AM:STAT OFF",
    "is_on": {"ask": "SOUR:AM:STAT?", "yes": "ON", "no": "OFF"},
    "set_power": {"tell": "SOUR:POW:LEV:IMM:AMPL {value:.6f}", "scale": 0.001},
    "power": {"ask": "SOUR:POW:LEV?", "scale": 1000.0},
}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no ptys")
@pytest.mark.parametrize("fault", ["silent", "late", "garbled", "split"])
def test_a_serial_port_behind_visa_is_as_trustworthy(connected: Callable[..., Any], fault: str) -> None:
    with on_pty(Scripted(Obis())) as instrument:
        laser = connected(
            Light, driver="scpi_laser", model="coherent-obis", resource=f"ASRL{instrument.path}::INSTR", **ARMED
        )
        laser.turn_on()
        instrument.next_time(fault, "SYST:LOCK?")
        assert laser.interlock_closed
        assert laser.power_mw == pytest.approx(15)
        laser.make_dark()
        assert not instrument.answers.on  # type: ignore[attr-defined]
        laser.disconnect()


class UsbInstrument:
    """What pyvisa gives for a USB instrument: whole messages, and a clear; nothing of a socket."""

    interface_type = InterfaceType.usb
    resource_class = "INSTR"
    session = 1

    def __init__(self, answers: Callable[[str], str]) -> None:
        self.visalib = object()
        self.timeout = 0.0
        self.cleared = 0
        self._answers = answers
        self._message = ""

    def write_raw(self, data: bytes) -> None:
        self._message = self._answers(data.decode().strip())

    def read_raw(self, size: int) -> bytes:
        if not self._message:
            raise pyvisa.VisaIOError(StatusCode.error_timeout)
        message, self._message = self._message, ""
        return message.rstrip("\n").encode()

    def clear(self) -> None:
        self.cleared += 1

    def close(self) -> None: ...


def test_instruments_that_send_messages_need_no_end_of_line(
    connected: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[UsbInstrument] = []
    answers = PM100D()

    class Manager:
        def __init__(self, backend: str) -> None: ...

        def open_resource(self, name: str, **_: Any) -> UsbInstrument:
            opened.append(UsbInstrument(lambda words: "" if deaf else answers(words)))
            return opened[-1]

    deaf: list[bool] = []
    monkeypatch.setattr(pyvisa, "ResourceManager", Manager)
    meter = connected(
        PowerMeter, driver="scpi_power_meter", model="thorlabs-pm100d", resource="USB0::0x1313::0x8078::P1::INSTR"
    )
    assert meter.power_mw == pytest.approx(5.12)
    assert opened[0].cleared, "what was left from before is cleared"
    deaf.append(True)
    with pytest.raises(InstrumentError, match="no reply within 150 ms, tried 3 times"):
        _ = meter.power_mw
    deaf.clear()
    assert meter.power_mw == pytest.approx(5.12)
    assert len(opened) > 1


def test_no_more_is_sent_once_the_time_of_the_call_is_nearly_over(
    obis: Scripted, connected: Callable[..., Any]
) -> None:
    light = connected(
        Light, driver="scpi_laser", model="coherent-obis", resource=obis.resource, timeout_ms=500, retries=10
    )
    obis.next_time("silent", "SOUR:AM:STAT?", times=20)
    with pytest.raises(InstrumentError, match=r"no reply within 150 ms, tried [23] times"):
        _ = light.is_on


def test_what_goes_wrong_is_logged_as_a_warning(obis: Scripted, laser: Light, caplog: pytest.LogCaptureFixture) -> None:
    obis.next_time("silent", "SOUR:AM:STAT?")
    assert not laser.is_on
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "light at TCPIP0" in caplog.text
