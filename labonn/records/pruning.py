"""Making room: the raw frames of old runs go, everything else about them stays; never those of a release's run."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from labonn.errors import RecordError
from labonn.records.disk import sync_folder, utc_now
from labonn.records.earlier import MOST_AGE_H
from labonn.records.frame_reading import bytes_of, frame_counts, partial_name, read_frames, row_names
from labonn.records.frames import FrameFile
from labonn.records.releases import Release, list_releases
from labonn.records.runs import FRAMES, RECORD, Run, RunRecord, read_run
from labonn.records.sealed import read_card
from labonn.records.undo import undo_name

logger = logging.getLogger(__name__)

RAW = "frame"
"""The quantity that goes."""
NOTE = "raw frames removed"
_BLOCK_ROWS = 256


@dataclass(frozen=True)
class Prunable:
    """A run whose raw frames may go."""

    folder: Path
    record: RunRecord
    bytes_: int
    """Of its file of frames, maps included."""
    raw_bytes: int = 0
    """Of that, raw frames."""


@dataclass(frozen=True)
class PruningPlan:
    """Which runs' raw frames go."""

    runs: tuple[Prunable, ...]
    """The oldest first."""
    all_bytes: int
    """Of all runs' files of frames."""
    kept_for_releases: int
    """Runs that would have gone, if a release had not been made from them."""


def plan_pruning(
    lab_dir: Path, *, older_than_days: float | None, most_bytes: int | None, bench: str | None = None
) -> PruningPlan:
    """Choose runs whose raw frames go: those that are too old, then the oldest until the rest is small enough.

    Left alone are runs that a release was made by, runs that go on, and lost ones that may still be continued.

    Parameters
    ----------
    lab_dir
        The laboratory's folder.
    older_than_days
        Age, since the run's end or its beginning, from which on frames go; None if age is no reason.
    most_bytes
        What all files of frames may take; None if size is no reason.
    bench
        Whose runs are looked at alone; those of every bench, if none is named.

    Raises
    ------
    RecordError
        If a release cannot be read: nothing is chosen then, for its run is not known.
    """
    released = {_run_of_release(lab_dir, release) for release in list_releases(lab_dir)}
    now, runs, all_bytes, kept = utc_now(), [], 0, 0
    for run in _with_frames(lab_dir):
        if bench not in (None, run.record.bench):
            continue
        all_bytes += run.bytes_
        if NOTE in run.record.notes or not _has_ended(run.record, now):
            continue
        if run.record.id in released:
            kept += 1
            continue
        runs.append(run)
    chosen, rest_bytes = [], all_bytes
    for run in sorted(runs, key=lambda one: _end(one.record)):
        old = older_than_days is not None and now - _end(run.record) > timedelta(days=older_than_days)
        large = most_bytes is not None and rest_bytes > most_bytes
        if old or large:
            try:
                raw_bytes = bytes_of(run.folder / FRAMES, RAW)
            except RecordError as error:
                logger.warning("left alone: %s", error)
                continue
            if raw_bytes:
                chosen.append(replace(run, raw_bytes=raw_bytes))
                rest_bytes -= raw_bytes
    return PruningPlan(tuple(chosen), all_bytes, kept)


def prune(run: Prunable) -> int:
    """Write a run's file of frames again without the raw frames, and note it in the run's record.

    Whatever happens in between, there is one whole file: the old one or the new one.

    Returns
    -------
    How many bytes that freed.

    Raises
    ------
    RecordError
        If the file is damaged or the disk refuses.
    """
    path = run.folder / FRAMES
    beside = path.with_name(f"{FRAMES}.pruned")
    for leftover in (beside, partial_name(beside)):
        leftover.unlink(missing_ok=True)
    with FrameFile(beside) as file:
        for group, count in frame_counts(path).items():
            names = [name for name in row_names(path, group) if name != RAW]
            for start in range(0, count if names else 0, _BLOCK_ROWS):
                file.extend(group, None, **read_frames(path, group, names, start=start, stop=start + _BLOCK_ROWS))
    try:
        if beside.exists():
            beside.replace(path)
        else:  # there was nothing but raw frames
            path.unlink(missing_ok=True)
        partial_name(path).unlink(missing_ok=True)
        undo_name(partial_name(path)).unlink(missing_ok=True)
        sync_folder(run.folder)
        left = path.stat().st_size if path.exists() else 0
    except OSError as error:
        raise RecordError(f"{path}: cannot be replaced: {error.strerror or error}") from error
    freed = run.bytes_ - left
    Run(run.folder, run.record).note(NOTE, {"utc": utc_now().isoformat(timespec="seconds"), "bytes": freed})
    return freed


def _with_frames(lab_dir: Path) -> Iterator[Prunable]:
    """Give the runs that have a file of frames."""
    for path in sorted((lab_dir.absolute() / "runs").glob(f"*/{RECORD}")):
        file = path.with_name(FRAMES)
        file = file if file.exists() else partial_name(file)
        if not file.exists():
            continue
        try:
            yield Prunable(path.parent, read_run(path.parent), file.stat().st_size)
        except RecordError as error:
            logger.warning("left alone: %s", error)


def _run_of_release(lab_dir: Path, release: str) -> str:
    return read_card(lab_dir / "releases" / release, "release.json", Release, verify=False).run


def _has_ended(record: RunRecord, now: datetime) -> bool:
    if record.status == "lost":
        return now - _end(record) > timedelta(hours=2 * MOST_AGE_H)
    return record.status != "running"


def _end(record: RunRecord) -> datetime:
    return (record.stop_utc or record.start_utc).astimezone(UTC)
