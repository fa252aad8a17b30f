"""Instruments of a few lines, each behind a TCP port or a pty of its own, that misbehave when they are told to."""

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Answers = Callable[[str], str]
"""From what was heard, without its end, to what is sent, with its end; nothing where it is empty."""


@dataclass
class Scripted:
    """An instrument: what it answers, what it heard, how it misbehaves next."""

    answers: Answers
    end: bytes = b"\n"
    heard: list[str] = field(default_factory=list)
    connections: int = 0
    host: str = "127.0.0.1"
    port: int = 0
    path: str = ""
    _faults: list[tuple[str, str]] = field(default_factory=list)
    _held_back: bytes = b""

    @property
    def resource(self) -> str:
        return f"TCPIP0::{self.host}::{self.port}::SOCKET"

    @property
    def url(self) -> str:
        return f"socket://{self.host}:{self.port}"

    def next_time(self, kind: str, on: str, times: int = 1) -> None:
        """Misbehave when `on` is heard next: silent, late, garbled, split, closed."""
        self._faults += [(kind, on)] * times

    def count(self, words: str) -> int:
        return self.heard.count(words)

    def respond(self, words: str, send: Callable[[bytes], None]) -> None:
        self.heard.append(words)
        fault = next((fault for fault in self._faults if fault[1] == words), None)
        if fault is not None:
            self._faults.remove(fault)
        answer = self.answers(words).encode("latin-1")
        late, self._held_back = self._held_back, b""
        match fault and fault[0]:
            case "silent":
                send(late)
            case "late":
                send(late)
                self._held_back = answer
            case "garbled":
                send(late + b"\xff#" + answer[2:])
            case "split":
                for byte in late + answer:
                    send(bytes([byte]))
                    time.sleep(0.002)
            case "closed":
                raise ConnectionError
            case _:
                send(late + answer)


@contextmanager
def on_tcp(instrument: Scripted) -> Iterator[Scripted]:
    """Serve it on a port of its own; one connection at a time, as most instruments."""
    stop = threading.Event()
    with socket.create_server((instrument.host, instrument.port)) as server:
        instrument.port = server.getsockname()[1]

        def serve() -> None:
            while not stop.is_set():
                if not select.select([server], [], [], 0.02)[0]:
                    continue
                connection, _ = server.accept()
                instrument.connections += 1
                instrument._held_back = b""
                with connection:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    with contextlib.suppress(OSError):
                        _talk(instrument, stop, connection.fileno(), connection.recv, connection.sendall)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield instrument
        finally:
            stop.set()
            thread.join()


@contextmanager
def on_pty(instrument: Scripted) -> Iterator[Scripted]:
    """Serve it on a pty, which knows no connections: what is late stays late."""
    import tty

    ours, theirs = os.openpty()
    tty.setraw(theirs)
    instrument.path = os.ttyname(theirs)
    stop = threading.Event()

    def serve() -> None:
        _talk(instrument, stop, ours, lambda size: os.read(ours, size), lambda data: os.write(ours, data) and None)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield instrument
    finally:
        stop.set()
        thread.join()
        os.close(ours)
        os.close(theirs)


def _talk(
    instrument: Scripted,
    stop: threading.Event,
    file: int,
    receive: Callable[[int], bytes],
    send: Callable[[bytes], None],
) -> None:
    rest = b""
    while not stop.is_set():
        if not select.select([file], [], [], 0.02)[0]:
            continue
        if not (come := receive(256)):
            return
        rest += come
        while instrument.end in rest:
            line, rest = rest.split(instrument.end, 1)
            instrument.respond(line.decode("latin-1").strip(), send)


class Obis:
    """A Coherent OBIS, as its manual has it."""

    def __init__(self) -> None:
        self.on, self.power_w, self.interlock = False, 0.0, "ON"
        self.errors: list[str] = []
        self.refuses: set[str] = set()

    def __call__(self, words: str) -> str:
        if words in self.refuses:
            self.errors.append('-221,"Settings conflict"')
            return "ERR-221\r\n"
        said = self._said(words)
        return f"{said}\r\nOK\r\n" if said else "OK\r\n"

    def _said(self, words: str) -> str:
        match words:
            case "*IDN?":
                return "Coherent, Inc - OBIS 532nm 20mW C - V1.0.1 - Dec 14 2010"
            case "SYST:ERR:NEXT?":
                return self.errors.pop(0) if self.errors else '0,"No error"'
            case "SOUR:AM:STAT?":
                return "ON" if self.on else "OFF"
            case "SOUR:POW:LEV?":
                return f"{self.power_w if self.on else 0:.6f}"
            case "SYST:LOCK?":
                return self.interlock
            case "SOUR:AM:STAT ON" | "SOUR:AM:STAT OFF":
                self.on = words.endswith("ON")
        if words.startswith("SOUR:POW:LEV:IMM:AMPL "):
            self.power_w = float(words.rpartition(" ")[2])
        return ""


class PM100D:
    """A Thorlabs PM100D, as its manual has it."""

    def __init__(self) -> None:
        self.power_w, self.wavelength_nm = 0.00512, 635.0
        self.errors: list[str] = []

    def __call__(self, words: str) -> str:
        match words:
            case "*IDN?":
                return "Thorlabs,PM100D,P0000001,2.4.0\n"
            case "SYST:ERR?":
                return (self.errors.pop(0) if self.errors else '+0,"No error"') + "\n"
            case "MEAS:POW?":
                return f"{self.power_w:.8E}\n"
        if words.startswith("SENS:CORR:WAV "):
            self.wavelength_nm = float(words.rpartition(" ")[2])
        return ""


class SC10:
    """A Thorlabs SC10: it repeats what it hears, and `ens` toggles."""

    def __init__(self, *, enabled: bool = False) -> None:
        self.enabled = enabled
        self.mode = "4"

    def __call__(self, words: str) -> str:
        said = ""
        match words:
            case "id?":
                said = "THORLABS SC10 VERSION 1.07\r"
            case "ens?":
                said = f"{int(self.enabled)}\r"
            case "closed?":
                said = f"{int(not self.enabled)}\r"
            case "ens":
                self.enabled = not self.enabled
            case _ if words.startswith("mode="):
                self.mode = words.removeprefix("mode=")
            case _:
                said = "Command error CMD_NOT_DEFINED\r"
        return f"{words}\r{said}> "


class Cobolt:
    """A Cobolt 06-MLD."""

    def __init__(self) -> None:
        self.on, self.power_w = False, 0.0

    def __call__(self, words: str) -> str:
        match words:
            case "gsn?":
                return "12345\r\n"
            case "l?":
                return f"{int(self.on)}\r\n"
            case "pa?":
                return f"{self.power_w if self.on else 0:.4f}\r\n"
            case "ilk?":
                return "0\r\n"
            case "l0" | "l1":
                self.on = words == "l1"
                return "OK\r\n"
            case "cp":
                return "OK\r\n"
        if words.startswith("p "):
            self.power_w = float(words[2:])
            return "OK\r\n"
        return "Syntax error: illegal command\r\n"
