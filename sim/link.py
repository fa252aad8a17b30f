"""A client's line to the world: connects when first needed, waits a stated time, says clearly who is missing."""

import json
import socket
import threading
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sim import registry
from sim.errors import SimulationError, WorldUnreachable
from sim.shared_pixels import Place, open_places

_CONNECT_S = 5.0


class Link:
    """One client's connection to the devices door.

    Parameters
    ----------
    who
        Name of the client, for its messages.
    """

    def __init__(self, who: str) -> None:
        self.who = who
        self.world = ""  # a bench's name; empty: see `registry.find`
        self._lock = threading.Lock()
        self._door: socket.socket | None = None
        self._unread = b""
        self._number = 0
        self._greeting: dict[str, Any] = {}
        self._arrays: dict[str, NDArray[Any]] = {}

    def request(self, op: str, timeout_s: float, **fields: Any) -> dict[str, Any]:
        """Ask the world, and wait for its answer.

        Raises
        ------
        WorldUnreachable
            If it does not answer in time, or is not there.
        SimulationError
            If it refuses.
        """
        with self._lock:
            self._connect()
            return self._ask(op, timeout_s, fields)

    def greeting(self) -> dict[str, Any]:
        """Return what the world said about itself when the line was opened."""
        with self._lock:
            self._connect()
            return self._greeting

    def array(self, name: str) -> NDArray[Any]:
        """Return an array in the memory that is shared with the world."""
        with self._lock:
            self._connect()
            return self._arrays[name]

    def close(self) -> None:
        """Hang up; the next request connects again."""
        with self._lock:
            self._hang_up()

    def _connect(self) -> None:
        if self._door is not None:
            return
        try:
            info = registry.find(self.world)
            address, port = info["devices"].rsplit(":", 1)
            self._door = socket.create_connection((address, int(port)), timeout=_CONNECT_S)
            self._door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._unread = b""
            self._greeting = self._ask("hello", _CONNECT_S, {})
            places = {name: Place.from_json(place) for name, place in self._greeting["places"].items()}
            self._arrays = open_places(Path(self._greeting["memory"]), places)
        except (OSError, WorldUnreachable) as error:
            self._hang_up()
            raise WorldUnreachable(f"{self.who}: {error}") from error

    def _ask(self, op: str, timeout_s: float, fields: dict[str, Any]) -> dict[str, Any]:
        assert self._door is not None
        self._number += 1
        request = {"id": self._number, "op": op, **fields}
        try:
            self._door.settimeout(timeout_s)
            self._door.sendall(json.dumps(request).encode() + b"\n")
            reply = json.loads(self._line())
        except TimeoutError as error:
            self._hang_up()
            raise WorldUnreachable(f"{self.who}: no answer to {op!r} within {timeout_s:g} s") from error
        except (OSError, ValueError) as error:
            self._hang_up()
            raise WorldUnreachable(f"{self.who}: the simulated laboratory has gone ({error})") from error
        if reply.get("id") != self._number:
            self._hang_up()
            raise WorldUnreachable(f"{self.who}: asked {op!r}, and was answered something else")
        if not reply.get("ok"):
            raise SimulationError(f"{self.who}: {op!r} was refused: {reply.get('error')}")
        return dict(reply)

    def _line(self) -> bytes:
        assert self._door is not None
        while b"\n" not in self._unread:
            part = self._door.recv(1 << 16)
            if not part:
                raise ConnectionResetError("it hung up")
            self._unread += part
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _hang_up(self) -> None:
        if self._door is not None:
            self._door.close()
        self._door = None
        self._arrays = {}
