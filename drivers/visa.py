"""Lines over VISA (Ethernet, USB, GPIB, serial), with pyvisa-py unless the table names another VISA library."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field

from drivers.dialect import LineRules
from drivers.line import Line, LineLost, NoReply, sentence
from labonn.config import Frozen
from labonn.errors import ConfigError

if TYPE_CHECKING:
    from pyvisa.resources import MessageBasedResource

_LARGEST_READ: Final = 4096


class VisaPlace(Frozen):
    """Where a VISA instrument is found."""

    resource: str = Field(min_length=1, description="VISA resource, such as TCPIP0::192.168.1.20::5025::SOCKET")
    backend: str = Field("@py", description='"@py": pyvisa-py; "@ivi" or a path: a VISA library that is installed')
    open_timeout_ms: int = Field(2_000, gt=0, description="how long opening may take; a dead address can take 30 s")

    def line(self, rules: LineRules) -> tuple[Hashable, Callable[[], Line]]:
        """Give what identifies the line on a bench, and how it is made."""
        return ("visa", self.backend, self.resource), lambda: VisaLine(self, rules)


def load() -> None:
    """Import what takes long: pyvisa, its resource classes, pyvisa-py."""
    import pyvisa

    pyvisa.ResourceManager("@py")


class VisaLine(Line):
    """A VISA session."""

    def __init__(self, place: VisaPlace, rules: LineRules) -> None:
        super().__init__(place.resource)
        self._place = place
        self._rules = rules
        self._resource: MessageBasedResource | None = None
        self._framed = False

    @property
    def is_open(self) -> bool:
        """Whether a session is open and its socket, where it has one, has not been closed by the other side."""
        return not self._hung_up() and self._resource is not None

    def open(self) -> None:
        """Open a session.

        Raises
        ------
        ConfigError
            If there is no such back end, or the resource's name is none.
        LineLost
            If the instrument cannot be reached.
        """
        import pyvisa
        from pyvisa import constants, rname

        self.close()
        try:
            manager = pyvisa.ResourceManager(self._place.backend)
        except (ValueError, OSError) as error:
            raise ConfigError(f"backend = {self._place.backend!r}: {sentence(error)}") from error
        try:
            rname.ResourceName.from_string(self._place.resource)
        except rname.InvalidResourceName as error:
            raise ConfigError(f"resource = {self._place.resource!r}: {sentence(error)}") from error
        try:
            resource: Any = manager.open_resource(
                self._place.resource, open_timeout=self._place.open_timeout_ms, timeout=self._place.open_timeout_ms
            )
        except Exception as error:
            # pyvisa-py raises bare Exceptions.
            raise LineLost(f"cannot be opened: {sentence(error)}") from error
        self._resource = resource
        try:
            self._prepare(resource, constants)
        except Exception as error:
            self.close()
            raise LineLost(f"cannot be opened: {sentence(error)}") from error

    def close(self) -> None:
        """Close the session; does nothing where there is none."""
        resource, self._resource = self._resource, None
        if resource is not None:
            import pyvisa

            with contextlib.suppress(pyvisa.Error, OSError):  # it is gone, which is all that was wanted
                resource.close()

    def send(self, data: bytes) -> None:
        """Send; raises `LineLost` where the session is gone."""
        import pyvisa

        resource = self._opened()
        try:
            resource.write_raw(data)
        except (pyvisa.Error, OSError) as error:
            raise LineLost(f"cannot be sent: {sentence(error)}") from error

    def receive(self, end: bytes, within_s: float) -> bytes:
        """Wait for what ends with `end`; raises `NoReply` or `LineLost`."""
        import pyvisa
        from pyvisa.constants import StatusCode

        resource = self._opened()
        deadline = time.monotonic() + within_s
        received = b""
        try:
            while not received.endswith(end):
                remaining_s = deadline - time.monotonic()
                if remaining_s <= 0 or not self._wait(remaining_s):
                    raise NoReply(within_s, received)
                resource.timeout = max(1.0, 1e3 * remaining_s)
                received += resource.read_raw(_LARGEST_READ)
                if self._framed:
                    return received.rstrip(b"\r\n") + end
        except pyvisa.VisaIOError as error:
            if error.error_code == StatusCode.error_timeout:
                raise NoReply(within_s, received) from error
            raise LineLost(f"cannot be read: {sentence(error)}") from error
        except (pyvisa.Error, OSError) as error:
            raise LineLost(f"cannot be read: {sentence(error)}") from error
        return received

    def drain(self) -> bytes:
        """Forget what has come; a new socket has nothing."""
        import pyvisa
        from pyvisa.constants import BufferOperation

        resource = self._opened()
        if self._socket() is None:
            try:
                if self._framed:
                    resource.clear()
                else:
                    resource.flush(BufferOperation.discard_read_buffer)
            except (pyvisa.Error, OSError, NotImplementedError) as error:
                raise LineLost(f"cannot be cleared: {sentence(error)}") from error
        return b""

    def _prepare(self, resource: Any, constants: Any) -> None:
        is_serial = resource.interface_type == constants.InterfaceType.asrl
        self._framed = not is_serial and resource.resource_class != "SOCKET"
        if not self._framed:
            last = (self._rules.prompt or self._rules.read_end)[-1]
            resource.set_visa_attribute(constants.ResourceAttribute.termchar, ord(last))
            resource.set_visa_attribute(constants.ResourceAttribute.termchar_enabled, True)
        if is_serial:
            resource.baud_rate = self._rules.baud
            resource.data_bits = self._rules.data_bits
            resource.parity = constants.Parity[self._rules.parity]
            resource.stop_bits = constants.StopBits(10 * self._rules.stop_bits)
            flow = {"none": "none", "xonxoff": "xon_xoff", "rtscts": "rts_cts"}[self._rules.flow]
            resource.flow_control = constants.ControlFlow[flow]
        if (connection := self._socket()) is not None:
            # pyvisa-py takes a refused connection for an open one.
            if refused := connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(refused, os.strerror(refused))
            connection.getpeername()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _opened(self) -> MessageBasedResource:
        if self._resource is None:
            raise LineLost("is not open")
        return self._resource

    def _session(self) -> Any:
        """Give pyvisa-py's own session, where it is pyvisa-py's."""
        if self._resource is None:
            return None
        from pyvisa.errors import InvalidSession

        sessions = getattr(self._resource.visalib, "sessions", {})
        try:
            return sessions.get(self._resource.session)
        except InvalidSession:
            # Whoever closes a ResourceManager closes every session of the process.
            self._resource = None
            return None

    def _socket(self) -> socket.socket | None:
        interface = getattr(self._session(), "interface", None)
        return interface if isinstance(interface, socket.socket) else None

    def _wait(self, within_s: float) -> bool:
        """Wait until there is something to read; pyvisa-py itself spins when the other side has hung up."""
        connection = self._socket()
        if connection is None or getattr(self._session(), "_pending_buffer", None):
            return True
        if not select.select([connection], [], [], within_s)[0]:
            return False
        if self._hung_up():
            raise LineLost("was closed by the instrument")
        return True

    def _hung_up(self) -> bool:
        connection = self._socket()
        if connection is None:
            return False
        try:
            ready = select.select([connection], [], [], 0)[0]
            return bool(ready) and connection.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            return True
