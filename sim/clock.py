"""The world's time, in seconds since it began."""

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """What the world needs of a clock."""

    passes_by_itself: bool
    """Whether time passes while nobody waits for it."""

    def now_s(self) -> float:
        """Seconds since the world began."""
        ...

    def sleep_until_s(self, moment_s: float) -> None:
        """Return when the moment is reached; at once if it has passed."""
        ...

    def let_pass_until_s(self, moment_s: float) -> None:
        """Return when the moment is reached, without making it come faster than real time does."""
        ...


class VirtualClock:
    """Time passes only when somebody waits for it, and then at once."""

    passes_by_itself = False

    def __init__(self) -> None:
        self._now_s = 0.0
        self._lock = threading.Condition()

    def now_s(self) -> float:
        """Seconds since the world began."""
        with self._lock:
            return self._now_s

    def sleep_until_s(self, moment_s: float) -> None:
        """Make it that moment."""
        with self._lock:
            self._now_s = max(self._now_s, moment_s)
            self._lock.notify_all()

    def let_pass_until_s(self, moment_s: float) -> None:
        """Wait until others have made it that moment, but not for longer than that takes in real time."""
        with self._lock:
            self._lock.wait_for(lambda: self._now_s >= moment_s, max(0.0, moment_s - self._now_s))
        self.sleep_until_s(moment_s)


class RealClock:
    """The computer's monotonic clock."""

    passes_by_itself = True

    def __init__(self) -> None:
        self._began = time.perf_counter()

    def now_s(self) -> float:
        """Seconds since the world began."""
        return time.perf_counter() - self._began

    def sleep_until_s(self, moment_s: float) -> None:
        """Sleep until that moment."""
        while (left_s := moment_s - self.now_s()) > 0:
            time.sleep(left_s)

    def let_pass_until_s(self, moment_s: float) -> None:
        """Sleep until that moment."""
        self.sleep_until_s(moment_s)
