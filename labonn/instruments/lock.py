"""One bench, one process: a lock for the whole machine that says who holds it and since when."""

import contextlib
import getpass
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from labonn.errors import BenchInUse, InstrumentError
from labonn.instruments.processes import lives

logger = logging.getLogger(__name__)

_SCHEMA = 1
# A watchdog that makes the bench dark after another process holds the lock meanwhile; one try takes it a second or two.
_DARKENING_S = 5.0
_SLICE_S = 0.05


@dataclass(frozen=True)
class Holder:
    """The process that holds a bench, or held it when it died."""

    pid: int
    user: str
    command: str
    since_utc: str
    control: Mapping[str, Any] | None = None
    """Where it can be reached, if it can: `port` and `secret_file`."""
    started_s: float = 0.0
    """When the process began, as the operating system says: a process number is used again."""

    @property
    def lives(self) -> bool:
        """Whether that process still exists."""
        return lives(self.pid, self.started_s)

    def __str__(self) -> str:
        return f"process {self.pid} ({self.user}: {self.command}) since {self.since_utc}"


_reserved: dict[str, Holder | None] = {}
"""Benches that this process has locked and not opened yet, with who held them before and died."""


def lock_folder() -> Path:
    """Where the locks of all benches of this machine are: one place for every user and every lab folder."""
    if sys.platform == "win32":
        return Path(os.environ.get("PROGRAMDATA", tempfile.gettempdir())) / "labonn" / "benches"
    # Not gettempdir(): TMPDIR may differ between two users of one bench.
    return Path("/tmp/labonn-benches")


@contextmanager
def bench_lock(name: str) -> Iterator[Holder | None]:
    """Hold the bench `name` for this process; a watchdog that is making it dark is waited for.

    Yields
    ------
    Who held it and died without letting go, or None: such a bench may have been left lit.

    Raises
    ------
    BenchInUse
        If a living process holds it.
    InstrumentError
        If the lock cannot be made.
    """
    if name in _reserved:
        before = _reserved.pop(name)  # and whoever opens it again meanwhile is refused
        try:
            yield before
        finally:
            _reserved[name] = None
        return
    with _after_the_watchdog(name):
        lost = holder_of(name)
        if lost is not None:
            logger.warning("bench %r was held by %s, which ended without letting go of it", name, lost)
        holder_path = lock_folder() / f"{name}.json"
        _write(holder_path, this_process())
        try:
            yield lost
        finally:
            with contextlib.suppress(OSError):
                holder_path.unlink(missing_ok=True)


@contextmanager
def reserved(name: str) -> Iterator[None]:
    """Hold the bench `name` for this process, which will open it: `bench_lock` then takes over, and gives back.

    What takes long, as importing torch does, can be done in between, and no other process gets ahead.

    Raises
    ------
    BenchInUse
        If a living process holds it.
    InstrumentError
        If the lock cannot be made.
    """
    with bench_lock(name) as lost:
        _reserved[name] = lost
        try:
            yield
        finally:
            _reserved.pop(name, None)


@contextmanager
def exclusively(name: str) -> Iterator[None]:
    """Keep every other process from the bench, without becoming its holder.

    Raises
    ------
    BenchInUse
        If a living process holds it.
    InstrumentError
        If the lock cannot be made.
    """
    folder = lock_folder()
    lock = FileLock(folder / f"{name}.lock", timeout=0, mode=0o666)
    try:
        _make_folder(folder)
        lock.acquire()
    except Timeout:
        who = holder_of(name)
        raise BenchInUse(
            f"bench {name!r} is in use by {who or 'another process'}; wait until it ends, or end it"
        ) from None
    except OSError as error:
        raise InstrumentError(f"bench {name!r} cannot be locked in {folder}: {error}") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _after_the_watchdog(name: str) -> Iterator[None]:
    deadline = time.monotonic() + _DARKENING_S
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(exclusively(name))
                break
            except BenchInUse:
                holder = holder_of(name)
                if (holder is not None and holder.lives) or time.monotonic() > deadline:
                    raise
            time.sleep(_SLICE_S)
        yield


def holder_of(name: str) -> Holder | None:
    """Who is written down as the holder of a bench; None where nobody is."""
    try:
        content = json.loads((lock_folder() / f"{name}.json").read_text(encoding="utf-8"))
        control = content.get("control")
        return Holder(
            int(content["pid"]),
            str(content["user"]),
            str(content["command"]),
            str(content["since_utc"]),
            dict(control) if control else None,
            float(content.get("started_s", 0.0)),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def leave_note(name: str, text: str) -> None:
    """Leave word of what happened to a bench that nobody holds, for whoever opens it next."""
    path = lock_folder() / f"{name}.note.json"
    now = datetime.now(UTC).isoformat(timespec="seconds")
    path.write_text(json.dumps({"schema": _SCHEMA, "written_utc": now, "text": text}), encoding="utf-8")


def take_note(name: str) -> str | None:
    """Take the word that was left, with its time; None where there is none."""
    path = lock_folder() / f"{name}.note.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        path.unlink()
        return f"{content['written_utc']}: {content['text']}"
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_down_control(name: str, control: Mapping[str, Any]) -> None:
    """Say where this process, which holds the bench, can be reached."""
    _write(lock_folder() / f"{name}.json", replace(holder_of(name) or this_process(), control=dict(control)))


def this_process() -> Holder:
    """Who this is."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = "unknown user"
    program = Path(sys.argv[0])
    name = program.parent.name if program.name == "__main__.py" else program.name  # python -m NAME
    command = " ".join([name, *sys.argv[1:]]).strip() or Path(sys.executable).name
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return Holder(os.getpid(), user, command[:200], since, started_s=psutil.Process().create_time())


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # Every user of the machine locks here; only the one who made the folder may change its mode.
    with contextlib.suppress(PermissionError):
        folder.chmod(0o777)


def _write(path: Path, holder: Holder) -> None:
    beside = path.with_suffix(f".{os.getpid()}.partial")
    beside.write_text(json.dumps({"schema": _SCHEMA, **asdict(holder)}), encoding="utf-8")
    beside.replace(path)
