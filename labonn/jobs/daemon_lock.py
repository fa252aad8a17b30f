"""One bench, one daemon, whatever laboratories they are for."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from filelock import FileLock, Timeout

from labonn.errors import BenchInUse, InstrumentError
from labonn.instruments import lock as bench_locks


@contextmanager
def daemon_lock(bench: str) -> Iterator[None]:
    """Be the daemon of a bench. Runs do not mind: they hold the bench itself.

    Raises
    ------
    BenchInUse
        If another process is.
    InstrumentError
        If the lock cannot be made.
    """
    folder = bench_locks.lock_folder()
    who = folder / f"{bench}.daemon.json"
    lock = FileLock(folder / f"{bench}.daemon.lock", timeout=0, mode=0o666)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(PermissionError):  # only the one who made the folder may; every user of the computer locks here
            folder.chmod(0o777)
        lock.acquire()
    except Timeout:
        raise BenchInUse(
            f"a daemon looks after bench {bench!r} already: {_told(who)}; stop that one, or leave this bench to it"
        ) from None
    except OSError as error:
        raise InstrumentError(f"bench {bench!r}: the lock of its daemon cannot be made in {folder}: {error}") from error
    try:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with suppress(OSError):
            who.write_text(json.dumps({"schema": 1, "pid": os.getpid(), "since_utc": now}), encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            who.unlink(missing_ok=True)
        lock.release()


def _told(who: "os.PathLike[str]") -> str:
    try:
        with open(who, encoding="utf-8") as file:  # noqa: PTH123
            content = json.load(file)
        return f"process {int(content['pid'])} since {content['since_utc']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
