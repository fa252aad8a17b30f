"""What an instrument does with the bytes of one client."""

from abc import ABC, abstractmethod
from typing import ClassVar

LONGEST_COMMAND = 4096


class Session(ABC):
    """One client's conversation with an instrument: its unfinished command, and what the instrument keeps for it.

    Several clients may talk to an instrument at once, each with its own error queue and settings of the conversation;
    what the instrument does is common to all.
    """

    ends: ClassVar[bytes] = b"\r\n"
    """Bytes of which each ends a command."""
    ignored: ClassVar[bytes] = b""
    """Bytes that mean nothing."""
    answers_nothing: ClassVar[bool] = False
    """Whether a command without a character is answered."""

    def __init__(self) -> None:
        self._unfinished = bytearray()
        self.held_back = b""
        """Answers that are late: a fault of the plan."""

    def commands(self, received: bytes) -> list[str]:
        """Take what has arrived, and give the commands that are complete, without their ends."""
        complete = []
        for byte in received:
            if byte in self.ends:
                if self._unfinished or self.answers_nothing:
                    complete.append(self._unfinished.decode("latin-1"))
                self._unfinished.clear()
            elif byte not in self.ignored:
                self._unfinished.append(byte)
                if len(self._unfinished) > LONGEST_COMMAND:
                    self._unfinished.clear()  # its buffer has overflowed
        return complete

    @abstractmethod
    def answer(self, command: str) -> str:
        """Carry out a command; the answer with its end, or nothing."""

    @abstractmethod
    def fail(self) -> None:
        """Let the instrument report an error of its own: a fault of the plan, not of the client."""
