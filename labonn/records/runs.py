"""A run: one execution of a protocol, as a folder that says what was done, with what, by whom, and how it ended."""

import getpass
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import psutil
from pydantic import Field, ValidationError

import labonn
from labonn.config import Frozen, explain
from labonn.errors import RecordError
from labonn.records.catalogue import keep_line
from labonn.records.disk import json_bytes, new_id, plain, utc_now, write_atomically

Status = Literal["running", "done", "failed", "refused", "aborted", "lost"]

_CATALOGUED = frozenset({"bench", "status"})  # when these change, the catalogue is told, too

RECORD = "run.json"
FRAMES = "frames.h5"
OPERATOR = "LABONN_OPERATOR"
"""Variable of the environment that names the operator, where that is not the user of the computer."""
SCHEMA = 2
"""2: `captured_with` and `continues`."""


class RecordedFigure(Frozen):
    """A picture of the run; its file lies in the run's folder."""

    name: str
    file: str  # relative to the run's folder, with forward slashes
    caption: str


class RecordedTable(Frozen):
    """A table of the run, row by row."""

    name: str
    rows: list[dict[str, Any]]


class CapturedWith(Frozen):
    """What a run's captures hold for; on disk before the first of them."""

    optics: str  # sha256 of what the frontend was told to be
    calibration: str  # its file in the run's folder
    calibration_sha256: str
    groups: list[str]  # of the frames' file


class RunRecord(Frozen):
    """What ``run.json`` holds."""

    schema_: Literal[1, 2] = Field(alias="schema")
    id: str
    protocol: str
    script: str | None = None
    script_sha256: str | None = None
    bench: str | None = None  # its name
    bench_file: str | None = None
    optic: dict[str, Any] | None = None  # its serial number and what else the bench file says of it
    parameters: dict[str, Any] = Field(default_factory=dict)
    seed: int | None = None
    operator: str | None = None
    host: str | None = None
    pid: int | None = None
    process_started: float | None = None  # seconds since 1970, as the system says: a pid is given again to others
    versions: dict[str, str] = Field(default_factory=dict)
    git_commit: str | None = None  # of labonn's own checkout, "-dirty" if it was changed
    instruments: dict[str, Any] | None = None  # a snapshot of every instrument's settings
    captured_with: CapturedWith | None = None
    continues: list[str] = Field(default_factory=list)  # runs whose captures were taken over, the latest first
    start_utc: datetime
    start_monotonic_s: float
    stop_utc: datetime | None = None
    stop_monotonic_s: float | None = None
    status: Status = "running"
    exit_code: int | None = None
    reason: str | None = None  # why it failed, was refused, aborted or lost
    seconds: dict[str, float] = Field(default_factory=dict)  # step -> how long it took
    notes: dict[str, Any] = Field(default_factory=dict)
    figures: list[RecordedFigure] = Field(default_factory=list)
    tables: list[RecordedTable] = Field(default_factory=list)
    result: dict[str, Any] | None = None


class Run:
    """A run that is going on: its folder, and its record, which is rewritten as a whole at each change."""

    def __init__(self, folder: Path, record: RunRecord) -> None:
        self.folder = folder
        self.record = record

    @classmethod
    def start(cls, lab_dir: Path, protocol: str, **facts: Any) -> "Run":
        """Make the folder and the first record.

        Parameters
        ----------
        lab_dir
            The laboratory's folder; made if it is missing.
        protocol
            Name of the protocol.
        **facts
            What is known already, by the names of `RunRecord`: parameters, seed, bench ...

        Raises
        ------
        RecordError
            If the folder cannot be made or written.
        """
        now = utc_now()
        run_id = new_id(protocol, now)
        folder = lab_dir.absolute() / "runs" / run_id
        record = RunRecord(
            schema_=SCHEMA,
            id=run_id,
            protocol=protocol,
            operator=_operator(),
            host=platform.node() or None,
            pid=os.getpid(),
            process_started=psutil.Process().create_time(),
            versions=software_versions(),
            git_commit=_git_commit(),
            start_utc=now,
            start_monotonic_s=time.monotonic(),
        )
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise RecordError(f"{folder}: the run's folder cannot be made: {error.strerror or error}") from error
        run = cls(folder, record)
        run.change(**{"status": "running", **facts})
        return run

    @property
    def id(self) -> str:
        """The run's name, which is its folder's."""
        return self.record.id

    def change(self, **facts: Any) -> None:
        """Replace facts of the record, by the names of `RunRecord`, and write it.

        Raises
        ------
        RecordError
            If the disk refuses.
        """
        content = (
            self.record.model_dump(by_alias=True, exclude=set(facts))
            | {"schema": SCHEMA}
            | {key: plain(value) for key, value in facts.items()}
        )
        self.record = RunRecord.model_validate(content)
        record = self.record.model_dump(by_alias=True)
        write_atomically(self.folder / RECORD, json_bytes(record))
        if not _CATALOGUED.isdisjoint(facts):
            keep_line(self.folder.parents[1], plain(record))

    def note(self, key: str, value: Any) -> None:
        """Keep a figure or a remark."""
        self.change(notes={**self.record.notes, key: plain(value)})

    def add_figure(self, name: str, file: Path, caption: str) -> None:
        """Register a picture in the run's folder; one of the same name is replaced."""
        entry = RecordedFigure(name=name, file=file.relative_to(self.folder).as_posix(), caption=caption)
        self.change(figures=[*(figure for figure in self.record.figures if figure.name != name), entry])

    def add_table(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Keep a table; one of the same name is replaced."""
        entry = RecordedTable(name=name, rows=plain(rows))
        self.change(tables=[*(table for table in self.record.tables if table.name != name), entry])

    def finish(
        self, status: Status, *, exit_code: int, reason: str | None = None, result: Mapping[str, Any] | None = None
    ) -> None:
        """Close the record with how the run ended."""
        self.change(
            status=status,
            exit_code=exit_code,
            reason=reason,
            result=None if result is None else plain(result),
            stop_utc=utc_now(),
            stop_monotonic_s=time.monotonic(),
        )


def read_run(folder: Path) -> RunRecord:
    """Read the record of a run, whoever made it and whether or not it has ended.

    Raises
    ------
    RecordError
        If the folder is no run's, or the record is damaged or of a newer labonn.
    """
    path = folder / RECORD
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        schema = content.get("schema") if isinstance(content, dict) else None
        if isinstance(schema, int) and schema > SCHEMA:
            raise RecordError(f"{path}: was written by a newer labonn (schema {schema}; this one reads {SCHEMA})")
        return RunRecord.model_validate(content)
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror or error}; is {folder} a run's folder?") from error
    except ValidationError as error:
        raise RecordError(explain(error, str(path))) from error
    except ValueError as error:
        raise RecordError(f"{path}: is damaged: {error}") from error


def find_run(lab_dir: Path, run: str) -> Path:
    """Give the folder of a run by its id, by the beginning or end of one if only one fits, or by a path to it.

    Raises
    ------
    RecordError
        If no run or more than one fits.
    """
    if Path(run, RECORD).is_file():
        return Path(run).absolute()
    runs = lab_dir.absolute() / "runs"
    if re.fullmatch(r"[A-Za-z0-9_-]+", run) and (runs / run / RECORD).is_file():
        return runs / run
    names = sorted(path.parent.name for path in runs.glob(f"*/{RECORD}"))
    fitting = [name for name in names if name.startswith(run) or name.endswith(run)]
    if len(fitting) == 1:
        return runs / fitting[0]
    if fitting:
        raise RecordError(
            f"{run!r} fits {len(fitting)} runs in {lab_dir}: {', '.join(fitting[:5])}; say more of its name"
        )
    latest = f"; the latest is {names[-1]}" if names else "; it has no runs yet"
    raise RecordError(f"{lab_dir}: has no run {run!r}{latest}")


def _operator() -> str | None:
    """Name who runs it: the page says who pressed its button; else the user of the computer."""
    if told := os.environ.get(OPERATOR, "").strip():
        return told[:64]
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such user: a container, a service
        return None


def labonn_version() -> str:
    """Version of the labonn that is installed."""
    try:
        return metadata.version("labonn")
    except metadata.PackageNotFoundError:
        return "not installed"


def software_versions() -> dict[str, str]:
    """Versions of what this process runs on."""
    versions = {"python": platform.python_version(), "labonn": labonn_version(), "os": platform.platform()}
    if "torch" in sys.modules:  # a run that needs no torch must not wait for its import
        versions["torch"] = str(sys.modules["torch"].__version__)
    return versions


def _git_commit() -> str | None:
    """Commit of the checkout that labonn runs from; None if it is installed, or there is no git."""
    home = Path(labonn.__file__).resolve().parent.parent
    if not (home / ".git").exists():
        return None
    command = ["git", "-C", str(home), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None
