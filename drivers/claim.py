"""One process for one thing that the system would give to several: a screen, a webcam."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from labonn.errors import InstrumentError


def claim(what: str, name: str, folder: Path) -> FileLock:
    """Keep other processes of labonn from a thing, until the lock is released or this process ends.

    Parameters
    ----------
    what
        What it is, for people: "screen".
    name
        Which one; unique on this computer.
    folder
        Where the locks of this computer are.

    Raises
    ------
    InstrumentError
        If another process has it.
    """
    plain = "".join(one if one.isalnum() else "-" for one in f"{what} {name}")
    lock = FileLock(folder / f"{plain[:200]}.lock", timeout=0, mode=0o666)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise InstrumentError(
            f"another process of labonn has the {what} {name!r}; wait until it ends, or end it"
        ) from None
    except OSError as error:
        raise InstrumentError(f"the {what} {name!r} cannot be locked in {folder}: {error}") from error
    return lock
