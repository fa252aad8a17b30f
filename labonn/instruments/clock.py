"""Time as an instrument: the one place that waits and says what time it is."""

import contextlib
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

from labonn.errors import InstrumentError

# A command that takes longer was held up, by this computer or by the instrument, and nobody knows on which way.
_PROMPT_S = 1e-3
# The operating system wakes a thread this much too late; the last part of a wait is waited awake.
_AWAKE_S = 1.2e-4


class Clock(ABC):
    """The bench's time: this computer's, or the simulated laboratory's."""

    @abstractmethod
    def now_s(self) -> float:
        """Seconds since some fixed moment; never runs backwards."""

    def sleep_ms(self, duration_ms: float) -> None:
        """Wait until `duration_ms` of the bench's time has passed.

        Raises
        ------
        InstrumentError
            If the clock does not answer.
        """
        if not duration_ms >= 0:
            raise ValueError(f"cannot wait {duration_ms} ms")
        if duration_ms:
            self._sleep_s_hw(duration_ms / 1e3)

    def sleep_until_s(self, moment_s: float) -> None:
        """Wait until the clock says `moment_s`, in seconds; not at all, if that has passed.

        Raises
        ------
        InstrumentError
            If the clock does not answer.
        """
        self.sleep_ms(max(0.0, 1e3 * (moment_s - self.now_s())))

    def moment_of(self, command: Callable[[], object]) -> float:
        """Carry out a command, and give the time in seconds from which its effect is counted: when it came back."""
        command()
        return self.now_s()

    @abstractmethod
    def _sleep_s_hw(self, duration_s: float) -> None: ...

    def close(self) -> None:  # noqa: B027 - most clocks hold nothing
        """Let go of what the clock holds; may be called twice."""


class SystemClock(Clock):
    """The computer's monotonic clock."""

    def now_s(self) -> float:
        """Seconds since some fixed moment; never runs backwards."""
        return time.monotonic()

    def moment_of(self, command: Callable[[], object]) -> float:
        """As of any clock; but when it was given, or 1 ms before it came back if that is later.

        A command takes its fraction of a millisecond each time, which is part of the latency that is measured; one that
        took longer may have been held up on its way.
        """
        given_s = self.now_s()
        return max(given_s, super().moment_of(command) - _PROMPT_S)

    def _sleep_s_hw(self, duration_s: float) -> None:
        until_s = time.monotonic() + duration_s
        if duration_s > _AWAKE_S:
            time.sleep(duration_s - _AWAKE_S)
        while time.monotonic() < until_s:
            time.sleep(0)


class WorldClock(Clock):
    """The clock of a simulated laboratory, real or virtual, behind its own TCP port.

    One line a request: `TIME?` answers the seconds, `SLEEP <seconds>` answers `OK` when they have passed, and
    `UNTIL <seconds>` when that is the time.

    Parameters
    ----------
    address
        "host:port".
    timeout_ms
        How long an answer may take beyond the time that it is asked to wait.
    """

    def __init__(self, address: str, timeout_ms: float = 30_000) -> None:
        host, _, port = address.rpartition(":")
        self._address = (host, int(port))
        self._timeout_s = timeout_ms / 1e3
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._rest = b""

    def now_s(self) -> float:
        """Seconds of the world's time since it began."""
        answer = self._ask("TIME?", 0.0)
        try:
            return float(answer)
        except ValueError:
            raise InstrumentError(f"the world's clock answered {answer!r} where a number of seconds belongs") from None

    def sleep_until_s(self, moment_s: float) -> None:
        """Wait until the clock says `moment_s`, in seconds; not at all, if that has passed."""
        self._expect_ok(f"UNTIL {moment_s:.9f}", 0.0)

    def close(self) -> None:
        """Close the connection; may be called twice."""
        with self._lock:
            self._disconnect()

    def _sleep_s_hw(self, duration_s: float) -> None:
        self._expect_ok(f"SLEEP {duration_s:.9f}", duration_s)

    def _expect_ok(self, request: str, extra_s: float) -> None:
        answer = self._ask(request, extra_s)
        if answer != "OK":
            raise InstrumentError(f"the world's clock answered {answer!r} to {request!r}; expected OK")

    def _ask(self, request: str, extra_s: float) -> str:
        with self._lock:
            answered = False
            try:
                answer = self._exchange(request, extra_s)
                answered = True
            except OSError as error:
                where = "{}:{}".format(*self._address)
                raise InstrumentError(f"the world's clock at {where} did not answer {request!r}: {error}") from error
            finally:
                # An exchange cut short (an error, Ctrl-C) would leave its answer for the next request to read.
                if not answered:
                    self._disconnect()
            return answer

    def _exchange(self, request: str, extra_s: float) -> str:
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=self._timeout_s)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(self._timeout_s + extra_s)
        self._socket.sendall(request.encode("ascii") + b"\n")
        while b"\n" not in self._rest:
            if not (received := self._socket.recv(4096)):
                raise ConnectionError("the connection was closed")
            self._rest += received
        line, self._rest = self._rest.split(b"\n", 1)
        return line.decode("ascii", errors="replace").strip()

    def _disconnect(self) -> None:
        self._rest = b""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None
