"""What every instrument on a bench is: connected, identified, asked within a time limit, made dark."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import Any, ClassVar, TypeVar, cast

from pydantic import Field

from labonn.config import Frozen
from labonn.errors import InstrumentError
from labonn.instruments.calls import Caller
from labonn.instruments.clock import Clock
from labonn.instruments.feed import Feed
from labonn.instruments.guard import Guard

T = TypeVar("T")


class InstrumentTable(Frozen):
    """What every instrument's table in a bench file may say; drivers add their own keys."""

    driver: str = Field(min_length=1)
    timeout_ms: float = Field(5_000.0, gt=0, description="how long one call may take")
    connect_timeout_ms: float = Field(60_000.0, gt=0, description="how long connecting may take")


class Shared:
    """What several instruments of one bench hold together (a Micro-Manager core, a VISA session), opened once."""

    def __init__(self) -> None:
        self._held: dict[Hashable, Any] = {}
        self._closers = ExitStack()
        self._lock = RLock()

    def borrow(self, key: Hashable, make: Callable[[], T], close: Callable[[T], None]) -> T:
        """Give what is held under `key`, making it if it is not there yet; `close` is called when the bench closes."""
        with self._lock:
            if key not in self._held:
                made = make()
                self._held[key] = made
                self._closers.callback(close, made)
            return cast(T, self._held[key])

    def close(self) -> None:
        """Close everything that was made, the last first."""
        with self._lock:
            self._held.clear()
            self._closers.close()


@dataclass(frozen=True)
class Site:
    """Where an instrument stands: what it may use of its bench."""

    folder: Path
    """The bench file's folder: relative paths in the file start there."""
    clock: Clock
    shared: Shared = field(default_factory=Shared)
    guard: Guard = field(default_factory=Guard)
    feed: Feed | None = None
    """Where the camera's frames are offered to whoever looks on, if anywhere."""
    only_dark: bool = False
    """Whether the instruments here are connected for nothing but to make the bench dark."""


class Instrument(ABC):
    """One instrument of a bench.

    Public methods validate and wait; the `_..._hw` hooks of a driver talk to the instrument and do nothing else. Each
    runs in the instrument's own thread under a time limit, and whatever it raises reaches the operator as an
    `InstrumentError` that names the instrument and what it was doing. What reads or darkens goes through `_call`,
    everything else through `_act`, which refuses once the bench's guard has tripped.

    Parameters
    ----------
    name
        The instrument's name in the bench file.
    table
        Its checked table from the bench file.
    site
        The bench that it stands on.
    """

    kind: ClassVar[str]
    readings: ClassVar[tuple[str, ...]] = ()
    """Names of its properties that an interlock may watch."""
    table_model: ClassVar[type[InstrumentTable]] = InstrumentTable

    def __init__(self, name: str, table: InstrumentTable, site: Site) -> None:
        self.name = name
        self.table = table
        self.site = site
        self._caller = Caller(str(self))
        self._connected = False

    def __str__(self) -> str:
        return self.kind if self.name == self.kind else f"{self.kind} {self.name!r}"

    def connect(self) -> None:
        """Connect, and check that the instrument is what the bench file says; does nothing where it is connected.

        Raises
        ------
        ConfigError
            If the bench file asks for what is not there (an adapter, a device, a range).
        InstrumentError
            If the instrument does not answer.
        """
        if not self._connected:
            self._caller.call("connecting", self._connect_hw, self.table.connect_timeout_ms)
            self._connected = True
            self._prepare()

    def disconnect(self) -> None:
        """Disconnect; may be called twice, and after a failed `connect`."""
        try:
            if self._connected:
                self._connected = False
                self._caller.call("disconnecting", self._disconnect_hw, self.table.timeout_ms)
        finally:
            self._caller.stop()

    def identify(self) -> str:
        """Say what the instrument says it is: maker, model, serial number where it has them."""
        return self._call("identifying itself", self._identify_hw)

    def settings(self) -> dict[str, Any]:
        """Snapshot of every setting, ready for JSON: what the bench file says and what the instrument reports."""
        reported = self._call("reading its settings", self._settings_hw)
        return {"kind": self.kind, "table": self.table.model_dump(mode="json"), "reported": reported}

    def make_dark(self) -> None:  # noqa: B027 - most instruments have no part in it
        """Do this instrument's part in leaving the bench dark; nothing where it has none."""

    def _prepare(self) -> None:  # noqa: B027 - as it is when connected, for most
        """Bring a freshly connected instrument into the state that its table asks for."""

    def _call(self, doing: str, hook: Callable[[], T], extra_ms: float = 0.0) -> T:
        if not self._connected:
            raise InstrumentError(f"{self}: {doing}: it is not connected")
        return self._caller.call(doing, hook, self.table.timeout_ms + extra_ms)

    def _act(self, doing: str, hook: Callable[[], T], extra_ms: float = 0.0) -> T:
        def unless_tripped() -> T:
            # Asked in the instrument's thread: what trips the guard queues its darkness behind whatever came before.
            self.site.guard.check()
            return hook()

        return self._call(doing, unless_tripped, extra_ms)

    def get_ready(self) -> None:  # noqa: B027 - most have nothing that takes long
        """Do what takes long and needs no instrument (loading libraries), so that `connect` is quick."""

    @abstractmethod
    def _connect_hw(self) -> None: ...

    @abstractmethod
    def _disconnect_hw(self) -> None: ...

    @abstractmethod
    def _identify_hw(self) -> str: ...

    def _settings_hw(self) -> dict[str, Any]:
        return {}
