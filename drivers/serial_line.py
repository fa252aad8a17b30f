"""Lines over serial ports, and over what stands in for one: `socket://host:port` and pyserial's other URLs."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Final

from pydantic import Field

from drivers.dialect import LineRules
from drivers.line import Line, LineLost, NoReply, sentence
from labonn.config import Frozen

if TYPE_CHECKING:
    import serial

_QUIET_S: Final = 0.03
_LONGEST_DRAIN_S: Final = 1.0
_WRITE_LIMIT_S: Final = 1.0
_PARITIES: Final = {"none": "N", "even": "E", "odd": "O"}


class SerialPlace(Frozen):
    """Where a serial instrument is found."""

    port: str = Field(min_length=1, description="COM3, /dev/ttyUSB0, or a URL such as socket://192.168.1.30:4001")
    baud: int | None = Field(None, gt=0, description="where it was set to another than the dialect's")

    def line(self, rules: LineRules) -> tuple[Hashable, Callable[[], Line]]:
        """Give what identifies the line on a bench, and how it is made."""
        return ("serial", self.port), lambda: SerialLine(self, rules)


def load() -> None:
    """Import what takes long."""
    import serial.tools.list_ports  # noqa: F401


class SerialLine(Line):
    """A serial port, for this process alone."""

    def __init__(self, place: SerialPlace, rules: LineRules) -> None:
        super().__init__(place.port)
        self._place = place
        self._rules = rules
        self._serial: serial.SerialBase | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is open, as far as this side knows."""
        return self._serial is not None

    def open(self) -> None:
        """Open the port for this process alone.

        Raises
        ------
        LineLost
            If there is no such port, another process has it, or nobody answers at the URL.
        """
        import serial

        self.close()
        rules = self._rules
        try:
            self._serial = serial.serial_for_url(
                self._place.port,
                baudrate=self._place.baud or rules.baud,
                bytesize=rules.data_bits,
                parity=_PARITIES[rules.parity],
                stopbits=rules.stop_bits,
                xonxoff=rules.flow == "xonxoff",
                rtscts=rules.flow == "rtscts",
                timeout=_QUIET_S,
                write_timeout=_WRITE_LIMIT_S,
                exclusive=True,
            )
        except (serial.SerialException, OSError, ValueError) as error:
            raise LineLost(f"cannot be opened: {sentence(error)}{self._alternatives()}") from error

    def close(self) -> None:
        """Close the port; does nothing where it is closed."""
        port, self._serial = self._serial, None
        if port is None:
            return
        connection = getattr(port, "_socket", None)
        with contextlib.suppress(OSError):  # it is gone, which is all that was wanted
            if isinstance(connection, socket.socket):
                # pyserial waits 0.3 s, and leaves the socket open where the other side has hung up.
                connection.close()
                port.is_open = False
            port.close()

    def send(self, data: bytes) -> None:
        """Send; raises `LineLost` where the port is gone."""
        port = self._opened()
        try:
            port.write(data)
            port.flush()
        except OSError as error:
            raise LineLost(f"cannot be sent: {sentence(error)}") from error

    def receive(self, end: bytes, within_s: float) -> bytes:
        """Wait for what ends with `end`; raises `NoReply` or `LineLost`."""
        port = self._opened()
        deadline = time.monotonic() + within_s
        received = b""
        try:
            while not received.endswith(end):
                if (remaining_s := deadline - time.monotonic()) <= 0:
                    raise NoReply(within_s, received)
                port.timeout = remaining_s
                received += port.read(1)
        except OSError as error:
            raise LineLost(f"cannot be read: {sentence(error)}") from error
        return received

    def drain(self) -> bytes:
        """Give what has come and what still comes without a pause."""
        port = self._opened()
        deadline = time.monotonic() + _LONGEST_DRAIN_S
        drained = b""
        try:
            port.timeout = _QUIET_S
            while time.monotonic() < deadline and (come := port.read(256)):
                drained += come
        except OSError as error:
            raise LineLost(f"cannot be read: {sentence(error)}") from error
        return drained

    def _opened(self) -> serial.SerialBase:
        if self._serial is None:
            raise LineLost("is not open")
        return self._serial

    def _alternatives(self) -> str:
        """Say which ports there are, where a port of this computer was asked for."""
        if "://" in self._place.port:
            return ""
        from serial.tools.list_ports import comports

        return f"; this computer's ports: {', '.join(sorted(port.device for port in comports())) or 'none'}"
