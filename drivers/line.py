"""A line to an instrument: bytes out, bytes in, whatever cable or network is in between."""

from abc import ABC, abstractmethod
from threading import RLock

from drivers.dialect import LineRules


class LineError(Exception):
    """The line, or what came over it, is not as it should be: close it, open it again, and ask again."""

    advice = "check that it is on and connected, and that the bench file's address and model are right"


class NoReply(LineError):
    """The instrument did not answer in time, or not to the end.

    Parameters
    ----------
    within_s
        How long it was waited for.
    received
        What came, without its end.
    """

    def __init__(self, within_s: float, received: bytes = b"") -> None:
        so_far = f"; all that came was {received!r}" if received else ""
        super().__init__(f"no reply within {1e3 * within_s:g} ms{so_far}")
        self.received = received


class LineLost(LineError):
    """There is no line: it could not be opened, or it is gone."""


class Garbled(LineError):
    """What came is not what an instrument of this dialect answers."""


def sentence(error: Exception) -> str:
    """Say in one line what a library says."""
    return " ".join(str(error).split()) or type(error).__name__


class Line(ABC):
    """One line; opened, closed and opened again as often as it takes.

    Parameters
    ----------
    where
        Its address, as messages name it.
    """

    def __init__(self, where: str) -> None:
        self.where = where

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether it is open, as far as this side knows."""

    @abstractmethod
    def open(self) -> None:
        """Open it.

        Raises
        ------
        LineLost
            If it cannot be opened.
        """

    @abstractmethod
    def close(self) -> None:
        """Close it; does nothing where it is closed."""

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Send.

        Raises
        ------
        LineLost
            If the line is gone; nothing was sent then, or nobody can tell.
        """

    @abstractmethod
    def receive(self, end: bytes, within_s: float) -> bytes:
        """Wait for what ends with `end`, and give it, its end included.

        Raises
        ------
        NoReply
            If it has not come in time.
        LineLost
            If the line is gone.
        """

    @abstractmethod
    def drain(self) -> bytes:
        """Give, and forget, what has come without being asked for."""


class Port:
    """A line that is opened once, however many instruments of a bench hang on it; they take turns."""

    def __init__(self, line: Line, rules: LineRules) -> None:
        self.line = line
        self.rules = rules
        self.lock = RLock()
        self.opened = 0
        """How many times it has been opened."""
        self._users: set[int] = set()

    def take(self, user: object) -> None:
        """Note that `user` needs it."""
        with self.lock:
            self._users.add(id(user))

    def leave(self, user: object) -> None:
        """Note that `user` does not need it any more; closed when nobody does."""
        with self.lock:
            self._users.discard(id(user))
            if not self._users:
                self.line.close()

    def open(self) -> None:
        """Open the line where it is not open."""
        if not self.line.is_open:
            self.line.open()
            self.opened += 1

    def close(self) -> None:
        """Close the line, whoever needs it."""
        with self.lock:
            self.line.close()
