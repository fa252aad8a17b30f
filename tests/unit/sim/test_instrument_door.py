"""Instruments behind their ports: several clients, a pty, and what goes wrong when it should."""

import socket
import sys
import threading
import time

import pytest

from sim.clock import VirtualClock
from sim.fault_plan import FaultPlan
from sim.faults import Faults
from sim.instrument_door import InstrumentDoor
from sim.lines import Presence
from sim.session import Session


class Parrot(Session):
    """Answers `say X` with X, and `error` once where it was let fail; everything else with nothing."""

    def __init__(self):
        super().__init__()
        self._fails = False

    def fail(self):
        self._fails = True

    def answer(self, command):
        if self._fails:
            self._fails = False
            return "error\n"
        return command[4:] + "\n" if command.startswith("say ") else ""


@pytest.fixture
def faults():
    return Faults(VirtualClock(), FaultPlan())


@pytest.fixture
def door(faults):
    door = InstrumentDoor("laser", Parrot, faults, Presence(), with_pty=sys.platform != "win32")
    door.start()
    yield door
    door.shutdown()


class Client:
    def __init__(self, door):
        self.socket = socket.create_connection((door.host, door.port), timeout=5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *lines):
        self.socket.sendall("".join(f"{line}\n" for line in lines).encode())

    def read(self, timeout_s=5.0):
        self.socket.settimeout(timeout_s)
        received = b""
        while not received.endswith(b"\n"):
            part = self.socket.recv(100)
            if not part:
                raise ConnectionResetError
            received += part
        return received.decode("latin-1").rstrip("\n")

    def silent(self):
        try:
            return self.read(0.15) is None
        except TimeoutError:
            return True

    def ask(self, line):
        self.send(line)
        return self.read()


def plan(faults, *scheduled, **values):
    schedule = [{"door": "laser", "kind": kind, "at": at} for kind, at in scheduled]
    faults.follow(FaultPlan.model_validate({"schedule": schedule, **values}))


def injected(faults):
    return [(fault["kind"], fault["at"], fault["request"]) for fault in faults.report()["injected"]]


def test_several_clients_at_once(door):
    with Client(door) as one, Client(door) as two:
        one.send("say from")
        two.send("say another")
        assert (two.read(), one.read()) == ("another", "from")
        assert door.connections == 2
    deadline = time.monotonic() + 5
    while door.connections and time.monotonic() < deadline:
        time.sleep(0.01)
    assert door.connections == 0


def test_pieces_of_commands_and_many_commands_at_once(door):
    with Client(door) as client:
        for piece in (b"sa", b"y o", b"ne\r\nsay two\nsay th"):
            client.socket.sendall(piece)
            time.sleep(0.02)
        answers = client.read()
        while "two" not in answers:
            answers += "\n" + client.read()
        assert answers.split() == ["one", "two"]
        assert client.ask("ree") == "three"


def test_a_timeout_is_a_request_without_an_answer(door, faults):
    plan(faults, ("timeout", 2))
    with Client(door) as client:
        assert client.ask("say 1") == "1"
        client.send("say 2")
        assert client.silent()
        assert client.ask("say 3") == "3"
    assert injected(faults) == [("timeout", 2, "say 2")]


def test_a_late_answer_comes_after_the_next_request(door, faults):
    plan(faults, ("late", 1))
    with Client(door) as client:
        client.send("say 1")
        assert client.silent()
        client.send("say 2")
        answers = client.read()
        if answers == "1":
            answers += "\n" + client.read()
        assert answers == "1\n2"


def test_a_late_answer_dies_with_its_connection(door, faults):
    plan(faults, ("late", 1))
    with Client(door) as client:
        client.send("say 1")
        assert client.silent()
    with Client(door) as client:
        assert client.ask("say 2") == "2"


def test_a_garbled_answer_is_no_other_answer(door, faults):
    plan(faults, ("garbled", 1))
    with Client(door) as client:
        said = client.ask("say 0.015000")
    assert said != "0.015000"
    assert len(said) == 8
    assert not said.replace(".", "").isdigit()


def test_a_split_answer_is_whole_in_the_end(door, faults):
    plan(faults, ("split", 1), pause_s=0.05)
    with Client(door) as client:
        began = time.monotonic()
        assert client.ask("say 0.015000") == "0.015000"
        assert time.monotonic() - began > 0.08


def test_an_error_is_the_instrument_s_own(door, faults):
    plan(faults, ("error", 1))
    with Client(door) as client:
        assert (client.ask("say 1"), client.ask("say 2")) == ("error", "2")


def test_it_goes_away_and_comes_back(door, faults):
    plan(faults, ("gone", 1), gone_s=0.4)
    with Client(door) as client, Client(door) as other:
        client.send("say 1")
        began = time.monotonic()
        for each in (client, other):
            with pytest.raises(ConnectionError):
                each.read()
        with pytest.raises(ConnectionError):
            Client(door)
    while True:
        try:
            with Client(door) as client:
                assert client.ask("say back") == "back"
            break
        except ConnectionError:
            assert time.monotonic() - began < 5
            time.sleep(0.02)
    assert time.monotonic() - began >= 0.3


def test_what_makes_no_difference_is_not_injected(door, faults):
    plan(faults, ("timeout", 1), ("garbled", 2))
    with Client(door) as client:
        client.send("nothing", "nothing")
        assert client.ask("say 1") == "1"
    assert injected(faults) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pty")
def test_a_serial_line_leads_to_it_as_well(door):
    serial = pytest.importorskip("serial")
    with serial.Serial(door.address["pty"], 9600, timeout=5, exclusive=True) as line:
        line.write(b"say 1\r\nsay")
        assert line.read_until(b"\n") == b"1\n"
        line.write(b" 2\r\n")
        assert line.read_until(b"\n") == b"2\n"
    with serial.Serial(door.address["pty"], 9600, timeout=5) as line:
        line.write(b"say again\n")
        assert line.read_until(b"\n") == b"again\n"


def test_nobody_is_counted_who_has_gone_while_it_was_away(door, faults):
    threads = threading.active_count()
    plan(faults, ("gone", 1), gone_s=0.1)
    with Client(door) as client:
        client.send("say 1")
        with pytest.raises(ConnectionError):
            client.read()
    deadline = time.monotonic() + 5
    while door.connections and time.monotonic() < deadline:
        time.sleep(0.01)
    assert door.connections == 0
    assert threading.active_count() <= threads + 2
