"""An instrument behind a TCP port, and behind a pty where the system has them: bytes in, bytes out, faults between."""

import contextlib
import os
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable

import numpy as np

from sim.faults import Faults
from sim.lines import Presence
from sim.session import Session

Send = Callable[[bytes], None]
_WRONG = b"#~?\x80\xff"  # none of them stands in an answer, so that a garbled number is never another number
_WRONG_SHARE = 0.3
_RETRY_S = 0.1


class Gone(Exception):
    """The instrument has gone away, and its client with it."""


class InstrumentDoor:
    """One instrument's port. Every client has a session of its own.

    Parameters
    ----------
    name
        As the ready line and the plan of faults call it.
    make_session
        Makes a client's session.
    with_pty
        Whether a serial line leads to it as well. Nobody comes or goes there, and nothing tells a client that the
        instrument has gone: it does not answer.
    """

    def __init__(
        self,
        name: str,
        make_session: Callable[[], Session],
        faults: Faults,
        presence: Presence,
        *,
        with_pty: bool = False,
    ) -> None:
        self.name = name
        self._make_session = make_session
        self._faults = faults
        self._presence = presence
        self._lock = threading.Lock()
        self._going = threading.Lock()
        self._requests = 0
        self._clients: set[socket.socket] = set()
        self._back_at = 0.0
        self._closing = False
        self._listener: socket.socket | None = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self._listener.getsockname()[:2]
        self._wake, self._woken = socket.socketpair()
        self._shut = threading.Event()
        self._line = _open_line() if with_pty else None

    @property
    def address(self) -> dict[str, str | int]:
        """Where it is, for the ready line."""
        place: dict[str, str | int] = {"host": self.host, "port": self.port}
        return place if self._line is None else {**place, "pty": self._line[2]}

    @property
    def connections(self) -> int:
        """How many clients are connected to its port."""
        with self._lock:
            return len(self._clients)

    def start(self) -> None:
        """Serve from now on, in threads."""
        threading.Thread(target=self._listen, name=f"door {self.name}", daemon=True).start()
        if self._line is not None:
            threading.Thread(target=self._serve_line, name=f"line {self.name}", daemon=True).start()

    def shutdown(self) -> None:
        """Close everything."""
        self._closing = True
        self._wake.send(b"x")
        self._shut.wait(2.0)
        self._hang_up()

    def _listen(self) -> None:
        while not self._closing:
            if self._listener is None:
                time.sleep(max(0.0, min(_RETRY_S, self._back_at - time.monotonic())))
                self._come_back()
                continue
            with selectors.DefaultSelector() as selector:
                selector.register(self._listener, selectors.EVENT_READ)
                selector.register(self._woken, selectors.EVENT_READ)
                ready = [key.fileobj for key, _ in selector.select()]
            if self._woken in ready:
                self._woken.recv(64)
                self._listener.close()
                self._listener = None
                self._shut.set()
            else:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _come_back(self) -> None:
        if time.monotonic() >= self._back_at and not self._closing:
            with contextlib.suppress(OSError):  # Windows may keep the port for a moment: tried again
                self._listener = socket.create_server((self.host, self.port))

    def _serve(self, client: socket.socket) -> None:
        self._presence.comes()
        with self._lock:
            self._clients.add(client)
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session = self._make_session()
            while received := client.recv(4096):
                for command in session.commands(received):
                    self._carry_out(session, command, client.sendall)
        except (OSError, Gone):  # the other side has gone, or this one
            pass
        finally:
            with self._lock:
                self._clients.discard(client)
            client.close()
            self._presence.goes()

    def _serve_line(self) -> None:
        assert self._line is not None
        master = self._line[0]
        session = self._make_session()
        while not self._closing:
            try:
                received = os.read(master, 4096)
            except OSError:
                return
            self._presence.is_heard()
            if time.monotonic() < self._back_at:
                continue
            for command in session.commands(received):
                with contextlib.suppress(Gone):
                    self._carry_out(session, command, lambda answer: _write(master, answer))

    def _carry_out(self, session: Session, command: str, send: Send) -> None:
        with self._lock:
            self._requests += 1
            number = self._requests
        kind, at = self._faults.due(self.name)
        if kind == "gone":
            self._faults.happened(self.name, kind, number, at, command)
            self._go()
            raise Gone
        if kind == "error":
            session.fail()
        answer = session.answer(command).encode("latin-1")
        if kind is not None and (answer or kind == "error"):
            self._faults.happened(self.name, kind, number, at, command)
        late, session.held_back = session.held_back, b""
        match kind if answer else None:
            case "timeout":
                send(late)
            case "late":
                session.held_back = late + answer
            case "garbled":
                send(late + _garbled(answer, self._faults.plan.seed + number))
            case "split":
                self._send_split(late + answer, send)
            case _:
                send(late + answer)

    def _send_split(self, answer: bytes, send: Send) -> None:
        third = max(1, len(answer) // 3)
        for piece in (answer[:third], answer[third : 2 * third], answer[2 * third :]):
            send(piece)
            time.sleep(self._faults.plan.pause_s)

    def _go(self) -> None:
        """Refuse everybody for a while."""
        with self._going:
            if self._listener is not None:
                self._back_at = time.monotonic() + self._faults.plan.gone_s
                self._shut.clear()
                self._wake.send(b"x")
                self._shut.wait(2.0)
            self._hang_up()

    def _hang_up(self) -> None:
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)


def _garbled(answer: bytes, seed: int) -> bytes:
    """Put wrong bytes into an answer, at least one, and leave its end as it is."""
    body = answer.rstrip(b"\r\n")
    draws = np.random.default_rng(seed)
    wrong = draws.random(len(body)) < _WRONG_SHARE
    wrong[draws.integers(len(body))] = True
    bytes_ = [_WRONG[draws.integers(len(_WRONG))] if bad else byte for byte, bad in zip(body, wrong, strict=True)]
    return bytes(bytes_) + answer[len(body) :]


def _open_line() -> tuple[int, int, str] | None:
    """Open a raw pty: the instrument's end, the client's (kept open, so that clients may come and go), its name."""
    if sys.platform == "win32":
        return None
    import tty

    instrument, client = os.openpty()
    tty.setraw(client)
    return instrument, client, os.ttyname(client)


def _write(descriptor: int, answer: bytes) -> None:
    while answer:
        answer = answer[os.write(descriptor, answer) :]
