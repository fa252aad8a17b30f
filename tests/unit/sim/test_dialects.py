"""What the instruments answer, each as its manual says, and how it shows in the world."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.clock import VirtualClock
from sim.instruments import sessions
from sim.scpi import ScpiSession, header
from sim.world import World
from tests.unit.sim.worlds import LASER, small_world


@pytest.fixture(scope="module")
def shared_world():
    file = small_world({"laser": LASER, "thermometer": {"celsius": 21.5, "noise_celsius": 0.0}}, off=("light_noise",))
    return World("trial", file, 0, VirtualClock())


@pytest.fixture
def world(shared_world):
    light = shared_world.illumination
    light.set_interlock(True)
    light.set_laser_fault("none")
    light.turn_laser(False)
    light.set_laser_power_mw(15.0)
    light.set_shutter(False)
    return shared_world


@pytest.fixture
def talk(world):
    """Begin a conversation: each call sends bytes and gives all that comes back."""

    def begin(name):
        session = sessions(world)[name]()
        return lambda said: "".join(session.answer(command) for command in session.commands(said.encode("latin-1")))

    return begin


def pass_s(world, seconds):
    world.clock.sleep_until_s(world.clock.now_s() + seconds)


@pytest.mark.parametrize(
    ("pattern", "allowed", "refused"),
    [
        ("SYSTem:ERRor[:NEXT]?", ["SYST:ERR?", "system:error:next?", "SYSTem:ERR:NEXT?"], ["SYST:ERR", "SYSTE:ERR?"]),
        ("[SENSe:]CORRection:WAVelength", ["CORR:WAV", "sens:corr:wav"], ["SENS:WAV", "SENS:CORR:WAV?"]),
        ("*IDN?", ["*IDN?", "*idn?"], ["IDN?", "*IDN"]),
    ],
)
def test_a_header_has_a_long_and_a_short_form(pattern, allowed, refused):
    assert all(header(pattern).fullmatch(name) for name in allowed)
    assert not any(header(pattern).fullmatch(name) for name in refused)


class TestObis:
    def test_each_answer_is_followed_by_ok(self, talk):
        ask = talk("laser")
        assert re.fullmatch(r"Coherent, Inc - OBIS 532nm LX 20mW - .*\r\nOK\r\n", ask("*IDN?\r\n"))
        assert ask("SOUR:POW:LEV:IMM:AMPL 0.012\r\n") == "OK\r\n"
        assert ask("SOURce:POWer:LEVel:IMMediate:AMPLitude?\r\n") == "0.012000\r\nOK\r\n"

    def test_without_handshaking_only_answers_are_sent(self, talk):
        ask = talk("laser")
        assert ask("SYST:COMM:HAND OFF\r\n") == ""
        assert ask("SYST:COMM:HAND?\r\n") == "OFF\r\n"
        assert ask("NONSENSE\r\n") == ""
        assert ask("SYST:ERR:COUN?\r\n") == "1\r\n"
        assert ask("SYST:ERR:NEXT?\r\n") == '-100,"Unrecognized command/query"\r\n'
        assert ask("SYST:ERR:NEXT?\r\n") == '0,"No error"\r\n'

    @pytest.mark.parametrize(
        ("wrong", "code"),
        [
            ("FLY", -100),
            ("SOUR:POW:LEV:IMM:AMPL", -109),
            ("SOUR:POW:LEV:IMM:AMPL lots", -220),
            ("SOUR:POW:LEV:IMM:AMPL 0.023", -220),
            ("SOUR:POW:LEV:IMM:AMPL 0", -220),
            ("SOUR:AM:STAT MAYBE", -220),
            ("SOUR:AM:STAT", -109),
        ],
    )
    def test_what_it_cannot_do_is_an_error_at_once_and_in_the_queue(self, talk, wrong, code):
        ask = talk("laser")
        assert ask(f"{wrong}\r\n") == f"ERR{code}\r\n"
        assert ask("SYST:ERR?\r\n").startswith(f"{code},")

    def test_it_turns_on_and_reports_its_power_and_status(self, talk, world):
        ask = talk("laser")
        assert (ask("SOUR:AM:STAT?\r"), ask("SYST:STAT?\r")) == ("OFF\r\nOK\r\n", "C8001008\r\nOK\r\n")
        assert ask("SOUR:AM:STAT ON\r") == "OK\r\n"
        assert (ask("SOUR:AM:STAT?\r"), ask("SYST:STAT?\r")) == ("ON\r\nOK\r\n", "C8001002\r\nOK\r\n")
        pass_s(world, 0.1)
        assert ask("SOUR:POW:LEV?\n") == "0.015000\r\nOK\r\n"
        ask("SOUR:AM:STAT OFF\r")
        assert ask("SOUR:POW:LEV?\n") == "0.000000\r\nOK\r\n"

    def test_an_open_interlock_keeps_it_off_and_says_so(self, talk, world):
        ask = talk("laser")
        assert ask("SYST:LOCK?\r\n") == "ON\r\nOK\r\n"
        ask("SOUR:AM:STAT ON\r\n")
        world.illumination.set_interlock(False)
        assert ask("SOUR:AM:STAT?\r\n") == "OFF\r\nOK\r\n"
        assert ask("SYST:LOCK?\r\n") == "OFF\r\nOK\r\n"
        assert ask("SYST:STAT?\r\n") == "CC000008\r\nOK\r\n"
        assert ask("SOUR:AM:STAT ON\r\n") == "ERR-200\r\n"

    def test_a_fault_is_a_bit(self, talk, world):
        world.illumination.set_laser_fault("electrical")
        ask = talk("laser")
        assert ask("SYST:FAUL?\r\n") == "00000020\r\nOK\r\n"
        assert ask("SYST:STAT?\r\n") == "C8001001\r\nOK\r\n"

    def test_another_client_has_another_queue_and_the_same_laser(self, talk, world):
        ask, other = talk("laser"), talk("laser")
        other("FLY\r\nSOUR:AM:STAT ON\r\n")
        assert ask("SYST:ERR:COUN?\r\n") == "0\r\nOK\r\n"
        assert ask("SOUR:AM:STAT?\r\n") == "ON\r\nOK\r\n"

    def test_a_full_queue_says_so(self, talk):
        ask = talk("laser")
        for _ in range(30):
            ask("FLY\r\n")
        errors = [ask("SYST:ERR?\r\n") for _ in range(21)]
        assert errors[19].startswith("-350")
        assert errors[20].startswith("0,")


class TestPM100D:
    def test_it_reads_the_light_behind_the_shutter(self, talk, world):
        ask = talk("meter")
        assert ask("*IDN?\n").startswith("Thorlabs,PM100D,")
        assert ask("SENS:CORR:WAV 532\n") == ""
        assert float(ask("SENS:CORR:WAV?\n")) == 532.0
        world.illumination.turn_laser(True)
        pass_s(world, 0.1)
        assert abs(float(ask("MEAS:POW?\n"))) < 1e-5
        world.illumination.set_shutter(True)
        pass_s(world, 0.1)
        assert float(ask("MEAS:POW?\r\n")) == pytest.approx(15e-3, abs=1e-5)
        ask("SENS:POW:UNIT DBM\n")
        assert float(ask("READ?\n")) == pytest.approx(10 * np.log10(15), abs=0.01)
        ask("*RST\n")

    def test_averaging_makes_it_quieter(self, talk):
        ask = talk("meter")
        few = np.std([float(ask("MEAS?\n")) for _ in range(100)])
        ask("SENS:AVER 100\n")
        many = np.std([float(ask("MEAS?\n")) for _ in range(100)])
        assert many == pytest.approx(few / 10, rel=0.5)
        ask("*RST\n")

    @pytest.mark.parametrize(
        ("wrong", "code"),
        [
            ("FLY", -113),
            ("SENS:CORR:WAV", -109),
            ("SENS:CORR:WAV green", -104),
            ("SENS:CORR:WAV 2000", -222),
            ("SENS:POW:UNIT HP", -224),
        ],
    )
    def test_an_error_is_in_its_queue_and_not_answered(self, talk, wrong, code):
        ask = talk("meter")
        assert ask(f"{wrong}\n") == ""
        assert ask("SYST:ERR?\n").startswith(f"{code},")
        assert ask("SYST:ERR?\n") == '+0,"No error"\n'

    def test_several_commands_in_a_line(self, talk):
        ask = talk("meter")
        assert ask("SENS:CORR:WAV 600;WAV?;:SENS:AVER?\n") == "6.00000000E+02;1\n"
        assert ask("*CLS;*OPC?\n") == "1\n"


class TestLakeShore336:
    def test_it_reads_the_temperature(self, talk):
        ask = talk("thermometer")
        assert ask("*IDN?\r\n").startswith("LSCI,MODEL336,")
        assert ask("KRDG? A\r\n") == "+294.650\r\n"
        assert ask("CRDG? A\n") == "+21.5000\r\n"
        assert ask("RDGST? A\n") == "000\r\n"

    def test_an_input_without_a_sensor_says_so(self, talk):
        ask = talk("thermometer")
        assert ask("RDGST? B\n") == "064\r\n"
        assert float(ask("KRDG? B\n")) == 0.0

    def test_what_it_does_not_know_is_a_bit_and_no_answer(self, talk):
        ask = talk("thermometer")
        assert ask("FLY?\n") == ""
        assert ask("*ESR?\n") == "032\r\n"
        assert ask("KRDG? Z\n") == ""
        assert ask("*ESR?;*ESR?\n") == "016;000\r\n"


class TestSC10:
    def test_it_echoes_answers_and_prompts(self, talk):
        ask = talk("shutter")
        assert ask("id?\r") == "id?\rTHORLABS SC10 VERSION 1.07\r> "
        assert ask("closed?\r") == "closed?\r1\r> "
        assert ask("mode=1\r") == "mode=1\r> "
        assert ask("mode?\r\n") == "mode?\r1\r> "

    def test_ens_toggles_the_world_s_shutter(self, talk, world):
        ask = talk("shutter")
        assert (ask("ens\r"), ask("ens?\r"), ask("closed?\r")) == ("ens\r> ", "ens?\r1\r> ", "closed?\r0\r> ")
        assert world.illumination.shutter.is_open(world.clock.now_s())
        ask("ens\r")
        assert not world.illumination.shutter.is_open(world.clock.now_s())

    def test_a_stuck_blade_is_seen(self, talk, world):
        ask = talk("shutter")
        ask("ens\r")
        world.illumination.shutter.stuck = True
        ask("ens\r")
        assert (ask("ens?\r"), ask("closed?\r")) == ("ens?\r0\r> ", "closed?\r0\r> ")
        world.illumination.shutter.stuck = False

    @pytest.mark.parametrize("wrong", ["fly", "ens=1", "", "mode"])
    def test_what_it_does_not_know(self, talk, wrong):
        assert talk("shutter")(f"{wrong}\r") == f"{wrong}\rCommand error CMD_NOT_DEFINED\r> "

    def test_a_value_that_cannot_be(self, talk):
        assert talk("shutter")("mode=9\r") == "mode=9\rCommand error CMD_ARG_INVALID\r> "

    def test_a_line_feed_alone_ends_nothing(self, talk):
        assert talk("shutter")("ens?\n") == ""


class TestCobolt06:
    def test_it_is_the_same_laser(self, talk, world):
        ask, other = talk("serial_laser"), talk("laser")
        assert ask("l1\r") == "OK\r\n"
        assert other("SOUR:AM:STAT?\r\n").startswith("ON")
        assert ask("p 0.0105\r\n") == "OK\r\n"
        pass_s(world, 0.1)
        assert [ask(f"{name}\r") for name in ("l?", "p?", "pa?")] == ["1\r\n", "0.0105\r\n", "0.0105\r\n"]
        assert ask("l0\r") == "OK\r\n"
        assert ask("pa?\r") == "0.0000\r\n"

    def test_its_interlock_and_faults(self, talk, world):
        ask = talk("serial_laser")
        assert (ask("ilk?\r"), ask("f?\r")) == ("0\r\n", "0\r\n")
        world.illumination.set_laser_fault("temperature")
        assert ask("f?\r") == "1\r\n"
        world.illumination.set_interlock(False)
        assert (ask("ilk?\r"), ask("f?\r"), ask("l1\r"), ask("l?\r")) == ("1\r\n", "3\r\n", "OK\r\n", "0\r\n")

    @pytest.mark.parametrize("wrong", ["fly", "l2", "p -1", "p 1", "p much", "P?x"])
    def test_what_it_cannot_do(self, talk, wrong):
        assert talk("serial_laser")(f"{wrong}\r").startswith("Syntax error: ")


@given(parts=st.lists(st.binary(max_size=40), max_size=8))
def test_it_does_not_matter_how_bytes_are_cut(shared_world, parts):
    """A session gives the same commands for the same bytes, whatever pieces they come in, and survives them all."""
    for begin in sessions(shared_world).values():
        whole, cut = begin(), begin()
        commands = whole.commands(b"".join(parts))
        assert [command for part in parts for command in cut.commands(part)] == commands
        if not isinstance(whole, ScpiSession):
            continue
        for command in commands:
            whole.answer(command)


def test_a_command_without_an_end_is_not_carried_out(shared_world):
    session = sessions(shared_world)["laser"]()
    assert session.commands(b"SOUR:AM:STAT ") == []
    assert session.commands(b"ON") == []
    assert session.commands(b"\rSYST") == ["SOUR:AM:STAT ON"]
    assert session.commands(b"x" * 10_000) == []


def test_a_world_without_a_laser_has_no_laser_to_talk_to():
    world = World("trial", small_world(), 0, VirtualClock())
    assert sorted(sessions(world)) == ["shutter", "stage", "thermometer"]
