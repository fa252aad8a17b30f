"""Waiting for what happens elsewhere, however busy the computer is."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def until(holds: Callable[[], Found], within_s: float = 120.0) -> Found:
    """Wait until something gives truth; give what it gave."""
    end_s = time.monotonic() + within_s
    while not (found := holds()):
        assert time.monotonic() < end_s, f"it did not become so within {within_s:g} s"
        time.sleep(0.01)
    return found
