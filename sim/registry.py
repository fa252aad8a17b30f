"""Which simulated laboratories live on this machine: a file for each, and a lock that its process holds."""

import json
import os
import re
import socket
import tempfile
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock, Timeout

from sim.errors import SimulationError, WorldUnreachable
from sim.world_file import BENCH_NAME

Info = dict[str, Any]  # what a world says when it is ready
_CONNECT_S = 2.0


def folder() -> Path:
    """Where living worlds are written down."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where a session has no runtime folder, and gives another one
        runtime = platformdirs.user_runtime_path()
    for parent in (runtime, Path(tempfile.gettempdir())):
        place = parent / "labonn-worlds"
        with suppress(OSError):
            place.mkdir(parents=True, exist_ok=True)
            if os.access(place, os.W_OK):
                return place
    raise SimulationError("neither the user's runtime folder nor the folder for temporary files can be written")


def claim(name: str) -> FileLock | None:
    """Become the one world of this name: the lock to hold, or None if another process has it."""
    lock = FileLock(folder() / f"{_checked(name)}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock


def memory_path(name: str) -> Path:
    """Return where the world of this name shares its pixels; takes away what one that was killed left behind."""
    for left in folder().glob(f"{_checked(name)}.*.pixels"):
        with suppress(OSError):
            left.unlink()
    return folder() / f"{name}.{os.getpid()}.pixels"


def publish(info: Info) -> None:
    """Write down that a world is ready."""
    path = _path(info["bench"])
    beside = path.with_suffix(f".{os.getpid()}.new")
    beside.write_text(json.dumps(info), encoding="utf-8")
    beside.replace(path)


def withdraw(name: str) -> None:
    """Take away what `publish` wrote."""
    _path(name).unlink(missing_ok=True)


def living(name: str) -> Info | None:
    """Return what the world of this name said when it was ready, if it still answers."""
    try:
        info = json.loads(_path(name).read_text(encoding="utf-8"))
        address, port = str(info["clock"]).rsplit(":", 1)
        with socket.create_connection((address, int(port)), timeout=_CONNECT_S) as door:
            door.sendall(b"TIME?\n")
            float(door.recv(64))  # another process may have got the port of one that was killed
            return dict(info)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def wait_for(name: str, timeout_s: float) -> Info | None:
    """Wait until the world of this name answers."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if info := living(name):
            return info
        time.sleep(0.1)
    return None


def find(name: str = "") -> Info:
    """Find the world to talk to: the one of this name, else of the variable LABONN_WORLD, else the only one that lives.

    Raises
    ------
    WorldUnreachable
        If there is none, or more than one to choose from.
    """
    name = name or os.environ.get("LABONN_WORLD", "")
    if name:
        if info := living(name):
            return info
        raise WorldUnreachable(f"no simulated laboratory {name!r} answers; start it with: python -m sim BENCH")
    found = [info for path in sorted(folder().glob("*.json")) if (info := living(path.stem))]
    if len(found) == 1:
        return found[0]
    names = ", ".join(str(info["bench"]) for info in found) or "none"
    raise WorldUnreachable(
        f"which simulated laboratory is meant? Living: {names}."
        " Set the property World, or the variable LABONN_WORLD, to a bench's name"
    )


def _path(name: str) -> Path:
    return folder() / f"{_checked(name)}.json"


def _checked(name: str) -> str:
    if not re.fullmatch(BENCH_NAME, name):
        raise SimulationError(f"{name!r} is not a bench's name: letters, digits, - and _, 64 at most")
    return name
