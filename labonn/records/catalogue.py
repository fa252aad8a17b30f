"""The catalogue of a laboratory's runs: one SQLite file that is searched instead of thousands of folders.

What counts is in the folders; the catalogue repeats a little of it, and is made again from them whenever it is missing
or damaged (`rebuild`, ``labonn runs rebuild``). It is imported without numpy and pydantic, because ``labonn runs list``
answers at once.
"""

import json
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from labonn.errors import RecordError

logger = logging.getLogger(__name__)

FILE = "catalogue.sqlite"
_RECORD = "run.json"
UNREADABLE = "unreadable"
"""Status of a run whose record cannot be read."""
_BUSY_MS = 5_000

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE runs (
            id TEXT PRIMARY KEY, protocol TEXT NOT NULL, bench TEXT, status TEXT NOT NULL, start_utc TEXT,
            seconds REAL, operator TEXT, optic TEXT, model TEXT, release TEXT, exit_code INTEGER, reason TEXT
        ) WITHOUT ROWID""",
        "CREATE INDEX by_status ON runs (status)",
        "CREATE INDEX by_what_they_are ON runs (id, protocol, bench, release, status)",  # counts need nothing else
        "CREATE TABLE known (what TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    ),
)
"""What makes each schema of the one before it; the first, of nothing. ``PRAGMA user_version`` counts those made."""


@dataclass(frozen=True)
class RunLine:
    """What the catalogue knows of a run."""

    id: str
    protocol: str
    bench: str | None = None
    status: str = "running"
    start_utc: str | None = None
    seconds: float | None = None
    operator: str | None = None
    optic: str | None = None  # its serial number
    model: str | None = None
    release: str | None = None  # that it made
    exit_code: int | None = None
    reason: str | None = None


_COLUMNS = tuple(field.name for field in fields(RunLine))


class Catalogue:
    """An open catalogue; made where there is none. Use it as a context manager.

    Parameters
    ----------
    lab_dir
        The laboratory's folder.

    Raises
    ------
    RecordError
        If it is damaged, of a newer labonn, or cannot be opened.
    """

    def __init__(self, lab_dir: Path) -> None:
        self.path = lab_dir.absolute() / FILE
        self._runs = lab_dir.absolute() / "runs"
        self._stamp = self.path.with_name(f"{FILE}.checked")
        with _as_records(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, timeout=_BUSY_MS / 1e3, isolation_level=None)
        try:
            with _as_records(self.path):
                self._check()
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = NORMAL")
                self._migrate()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it; what was written by this labonn, and is whole, need not be checked again by the next."""
        with suppress(sqlite3.Error, OSError):
            changed = self._connection.total_changes > 0
            self._connection.close()
            if changed:
                self._stamp.write_text(_state(self.path), encoding="ascii")

    def put(self, lines: Iterable[RunLine]) -> None:
        """Add runs, or replace what was known of them.

        Raises
        ------
        RecordError
            If the disk refuses, or another process holds the catalogue for seconds.
        """
        rows = [[getattr(line, name) for name in _COLUMNS] for line in lines]  # before others are kept waiting
        places = ", ".join("?" for _ in _COLUMNS)
        with self._writing():
            self._connection.executemany(f"INSERT OR REPLACE INTO runs ({', '.join(_COLUMNS)}) VALUES ({places})", rows)

    def find(
        self,
        *,
        since: str | None = None,
        until: str | None = None,
        protocol: str | None = None,
        bench: str | None = None,
        release: str | None = None,
        status: str | None = None,
        limit: int | None = None,
    ) -> tuple[list[RunLine], int]:
        """Find runs, the latest first, and count all that fit.

        Parameters
        ----------
        since, until
            Beginnings of run ids, which begin with their UTC time: ``20261126`` is that day's midnight. Runs from
            `since` on and before `until`.
        protocol, bench, release, status
            What they must be; any where None.
        limit
            How many to give.
        """
        wanted = {"protocol": protocol, "bench": bench, "release": release, "status": status}
        terms = [f"{name} = ?" for name, value in wanted.items() if value is not None]
        values = [value for value in wanted.values() if value is not None]
        for term, value in (("id >= ?", since), ("id < ?", until)):
            if value is not None:
                terms.append(term)
                values.append(value)
        where = f" WHERE {' AND '.join(terms)}" if terms else ""
        with _as_records(self.path):
            (count,) = self._connection.execute(f"SELECT count(*) FROM runs{where}", values).fetchone()
            rows = self._connection.execute(
                f"SELECT {', '.join(_COLUMNS)} FROM runs{where} ORDER BY id DESC LIMIT ?",
                [*values, -1 if limit is None else limit],
            )
            return [RunLine(*row) for row in rows], int(count)

    def catch_up(self) -> None:
        """Take in what happened to the folders without the catalogue: new ones, ones removed, ones that have ended.

        Runs are named by their time, so it is enough to look at names after the last one known, unless the number of
        folders says that others came or went.

        Raises
        ------
        RecordError
            If the catalogue cannot be written.
        """
        try:
            changed = str(self._runs.stat().st_mtime_ns) if self._runs.is_dir() else "none"
        except OSError as error:
            raise RecordError(f"{self._runs}: cannot be looked at: {error.strerror or error}") from error
        with _as_records(self.path):
            known = dict(self._connection.execute("SELECT what, value FROM known").fetchall())
            going_on = [row[0] for row in self._connection.execute("SELECT id FROM runs WHERE status = 'running'")]
            (count,) = self._connection.execute("SELECT count(*) FROM runs").fetchone()
        stale = set(going_on)
        if known.get("runs changed") != changed:
            names, last = _names(self._runs), known.get("last run", "0")
            new = [name for name in names if name > last]
            hidden = [name for name in names if name < "0"]  # begin with a dot
            stale.update(new)
            if count + len(set(new) - set(going_on)) != len(names) - len(hidden):
                names = list(set(names) - set(hidden))
                with _as_records(self.path):
                    ids = {row[0] for row in self._connection.execute("SELECT id FROM runs")}
                stale.update(set(names) - ids)
                self._forget(ids - set(names))
            self.put(read_lines(self._runs, sorted(stale)))
            facts = {"runs changed": changed, "last run": max(new, default=last)}
            with self._writing():
                self._connection.executemany("INSERT OR REPLACE INTO known VALUES (?, ?)", facts.items())
        elif stale:
            self.put(read_lines(self._runs, sorted(stale)))

    def _forget(self, ids: Iterable[str]) -> None:
        with self._writing():
            self._connection.executemany("DELETE FROM runs WHERE id = ?", ((name,) for name in ids))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with _as_records(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def _check(self) -> None:
        """Look whether the file is whole, unless that was seen since it was last written."""
        with suppress(OSError):
            if self._stamp.read_text(encoding="ascii") == _state(self.path):
                return
        (found,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(str(found))
        with suppress(OSError):
            self._stamp.write_text(_state(self.path), encoding="ascii")

    def _migrate(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise RecordError(
                f"{self.path}: was written by a newer labonn (schema {version}; this one reads {len(MIGRATIONS)});"
                " use that one, or move the file away: it is made again from the folders of the runs"
            )
        if version == len(MIGRATIONS):
            return
        if version:
            with closing(sqlite3.connect(self.path.with_name(f"{FILE}.schema-{version}"))) as copy:
                self._connection.backup(copy)
        with self._writing():
            for number, statements in enumerate(MIGRATIONS[version:], version + 1):
                for statement in statements:
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version = {number}")


def rebuild(lab_dir: Path) -> int:
    """Make the catalogue again from the folders of the runs; what there was, damaged or not, is kept beside it.

    Returns
    -------
    How many runs it has.

    Raises
    ------
    RecordError
        If it cannot be written.
    """
    path = lab_dir.absolute() / FILE
    before = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    try:
        for name in (FILE, f"{FILE}-wal", f"{FILE}-shm"):
            file = path.with_name(name)
            if file.exists():
                file.replace(path.with_name(f"{name}.before-{before}"))
        path.with_name(f"{FILE}.checked").unlink(missing_ok=True)
    except OSError as error:
        raise RecordError(f"{path}: cannot be moved away: {error.strerror or error}") from error
    with Catalogue(lab_dir) as catalogue:
        catalogue.catch_up()
        return catalogue.find(limit=0)[1]


def keep_line(lab_dir: Path, record: Mapping[str, Any]) -> None:
    """Tell the catalogue of a run. Where that fails the run goes on: its folder is what counts, and this is logged."""
    try:
        with Catalogue(lab_dir) as catalogue:
            catalogue.put([line_of(record)])
    except RecordError as error:
        logger.warning("run %s is not in the catalogue: %s", record["id"], error)


def read_lines(runs: Path, names: Iterable[str]) -> Iterator[RunLine]:
    """Read what the catalogue keeps of runs; a folder without a record that can be read is a run nobody knows about."""
    for name in names:
        try:
            record = json.loads((runs / name / _RECORD).read_bytes())
            yield line_of(record)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            yield RunLine(name, "unknown", status=UNREADABLE, reason=f"{_RECORD}: {error}")


def line_of(record: Mapping[str, Any]) -> RunLine:
    """Give what the catalogue keeps of a run, from its record as JSON holds it, of any schema."""
    result, notes, optic = record.get("result") or {}, record.get("notes") or {}, record.get("optic") or {}
    seconds = record.get("seconds") or {}
    return RunLine(
        id=str(record["id"]),
        protocol=str(record["protocol"]),
        bench=record.get("bench"),
        status=str(record.get("status", "running")),
        start_utc=record.get("start_utc"),
        seconds=seconds.get("total"),
        operator=record.get("operator"),
        optic=optic.get("serial_number"),
        model=result.get("model") or notes.get("model"),
        release=result.get("release"),
        exit_code=record.get("exit_code"),
        reason=record.get("reason"),
    )


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder) if folder.is_dir() else []  # noqa: PTH208 - 100,000 Paths take longer than the rest
    except OSError as error:
        raise RecordError(f"{folder}: cannot be looked at: {error.strerror or error}") from error


def _state(path: Path) -> str:
    """Say how a file is: another state, another content."""
    parts = []
    for name in (path.name, f"{path.name}-wal"):
        try:
            found = path.with_name(name).stat()
            parts.append(f"{found.st_size} {found.st_mtime_ns}")
        except FileNotFoundError:
            parts.append("none")
    return "; ".join(parts)


@contextmanager
def _as_records(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise RecordError(f"{path}: cannot be used: {error}") from error
    except sqlite3.DatabaseError as error:
        raise RecordError(
            f"{path}: is damaged ({error}); `labonn runs rebuild` makes it again from the folders of the runs"
        ) from error
    except OSError as error:
        raise RecordError(f"{path}: cannot be used: {error.strerror or error}") from error
