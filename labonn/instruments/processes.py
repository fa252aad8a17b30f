"""Processes of this computer, known by their number and when they started: numbers are used again."""

import time

import psutil

_SAME_START_S = 1.0
_SLICE_S = 0.01


def lives(pid: int, started_s: float) -> bool:
    """Whether that process still exists, and is more than an entry that its parent has not asked for yet."""
    try:
        process = psutil.Process(pid)
        same = bool(abs(process.create_time() - started_s) < _SAME_START_S)
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.AccessDenied:
        return True
    except psutil.NoSuchProcess:
        return False


def kill(pid: int, started_s: float, limit_s: float) -> None:
    """End a process that does not end by itself; returns when it has let go of what it held, or after `limit_s`.

    Raises
    ------
    PermissionError
        If it belongs to somebody else.
    """
    if not lives(pid, started_s):
        return
    try:
        process = psutil.Process(pid)
        process.kill()
        deadline = time.monotonic() + limit_s
        # One whose parent has not asked for its end yet stays as a zombie, which holds nothing.
        while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
            time.sleep(_SLICE_S)
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied as error:
        raise PermissionError(f"process {pid} belongs to {error.name or 'somebody else'}") from error
