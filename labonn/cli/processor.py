"""How labonn's processes use the machine: how their threads wait for each other, and what memory they keep."""

import ctypes
import os
import sys

MEGABYTE = 2**20
SETTINGS = {
    # Read by OpenMP when torch is loaded. By default its threads spin for milliseconds while they wait for each other,
    # and a training step takes ten times as long as soon as another process (the simulated world, a browser) wants one
    # of few cores; those that never spin take a fifth longer than need be on a computer of their own.
    "GOMP_SPINCOUNT": "3000",
    "KMP_BLOCKTIME": "0",
    # Read by glibc when a process begins. By default large blocks go back to the system when they are freed, and come
    # page by page when they are asked for again: a fifth of a training step. Blocks that are larger still go back: one
    # that small ones have settled in would stay for good.
    "MALLOC_MMAP_THRESHOLD_": str(64 * MEGABYTE),
    "MALLOC_TRIM_THRESHOLD_": str(256 * MEGABYTE),
}
"""Environment variables; those that are set already stay as they are."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)


def prepare_process() -> None:
    """Set them for this process and those that it starts; before torch is imported."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries than glibc have none
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _bytes("MALLOC_MMAP_THRESHOLD_"))
        mallopt(_M_TRIM_THRESHOLD, _bytes("MALLOC_TRIM_THRESHOLD_"))


def _bytes(name: str) -> int:
    """A number from the environment, as large as mallopt takes; ours where it is none."""
    try:
        return max(0, min(int(os.environ[name]), 2**31 - 1))
    except ValueError:
        return int(SETTINGS[name])
