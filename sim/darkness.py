"""Since when the bench has been lit or dark: the one thing that tests must not have to take on trust."""

import threading
import time


class Darkness:
    """Follows whether the bench is lit, by the host's clock and by the world's."""

    def __init__(self, now_s: float) -> None:
        self._lock = threading.Lock()
        self._lit = False
        self._since_s = now_s
        self._lit_s = 0.0
        self.lit_since_unix_s: float | None = None
        """The host's time when it last became lit; None before that."""
        self.dark_since_unix_s: float | None = None
        """The host's time when it last became dark; None if it has never been lit."""

    def note(self, lit: bool, now_s: float) -> None:
        """Say how it is now; to be called as soon as it may have changed."""
        with self._lock:
            if lit == self._lit:
                return
            if lit:
                self.lit_since_unix_s = time.time()
            else:
                self.dark_since_unix_s = time.time()
                self._lit_s += now_s - self._since_s
            self._lit, self._since_s = lit, now_s

    def lit_s(self, now_s: float) -> float:
        """How long it has been lit in all, in the world's time."""
        with self._lock:
            return self._lit_s + (max(0.0, now_s - self._since_s) if self._lit else 0.0)
