"""Runs that were never closed: their process was killed, or its computer lost power."""

import logging
import platform
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil

from labonn.errors import RecordError
from labonn.records.catalogue import UNREADABLE, Catalogue
from labonn.records.runs import RECORD, Run, RunRecord, read_run

logger = logging.getLogger(__name__)

# The system's own figure of when a process began moves a little when the computer's clock is set.
_SAME_START_S = 5.0


def close_lost_runs(lab_dir: Path) -> list[RunRecord]:
    """Close, as ``lost``, every run of a laboratory that says it is running and whose process is gone.

    A run of a living process is left alone, and so is one of another host, or one whose process is not on record:
    whether that lives cannot be seen from here.

    Returns
    -------
    The records as they are now, the oldest first.
    """
    closed = []
    for path in _candidates(lab_dir):
        try:
            run = _running(path)
            if run is None or not _is_gone(run.record):
                continue
            run.change(status="lost", reason=_reason(run.record, path))
        except RecordError as error:
            logger.warning("%s", error)
            continue
        closed.append(run.record)
    return closed


def _candidates(lab_dir: Path) -> list[Path]:
    """Records that may say that a run goes on: the catalogue knows which; without it, all."""
    runs = lab_dir.absolute() / "runs"
    if not runs.is_dir():
        return []
    try:
        with Catalogue(lab_dir) as catalogue:
            catalogue.catch_up()
            lines = [*catalogue.find(status="running")[0], *catalogue.find(status=UNREADABLE)[0]]
    except RecordError as error:
        logger.warning("%s", error)
        return sorted(runs.glob(f"*/{RECORD}"))
    return sorted(runs / line.id / RECORD for line in lines if (runs / line.id / RECORD).is_file())


def _running(path: Path) -> Run | None:
    """Give the run of a record that is not closed; thousands are, and need not be checked in full."""
    try:
        if '"running"' not in path.read_text(encoding="utf-8"):
            return None
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}: cannot be read: {error}") from error
    record = read_run(path.parent)
    return Run(path.parent, record) if record.status == "running" else None


def _is_gone(record: RunRecord) -> bool:
    if record.pid is None or record.process_started is None or record.host != (platform.node() or None):
        return False
    try:
        process = psutil.Process(record.pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        return bool(abs(process.create_time() - record.process_started) > _SAME_START_S)
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False


def _reason(record: RunRecord, path: Path) -> str:
    return (
        f"process {record.pid} on {record.host} ended without closing the run (killed, or the computer went down);"
        f" the run was last written {_last_written(path.parent):%Y-%m-%d %H:%M:%S} UTC"
    )


def _last_written(folder: Path) -> datetime:
    moments = [0.0]
    for file in folder.iterdir():
        with suppress(OSError):  # a file that is just being replaced
            moments.append(file.stat().st_mtime)
    return datetime.fromtimestamp(max(moments), UTC)
