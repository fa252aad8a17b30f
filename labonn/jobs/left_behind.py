"""What a process that was killed, or a computer that went down, left behind: found at the next start, and put right."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labonn.errors import BenchInUse
from labonn.instruments.lock import bench_lock, holder_of, leave_note
from labonn.records.lost import close_lost_runs
from labonn.records.runs import RunRecord

if TYPE_CHECKING:
    from labonn.instruments.darkness import Darkened

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LeftBehind:
    """What was found, and is put right."""

    runs: tuple[RunRecord, ...] = ()
    """Runs of this bench that are closed as ``lost`` now."""
    left_by: str | None = None
    """The process or run that had the bench and ended without letting go."""
    darkened: "Darkened | None" = None
    """How the bench was made dark, where somebody had left it."""


def put_right(bench_path: Path, bench: str, lab_dir: Path) -> LeftBehind:
    """Close lost runs, and make a bench dark whose holder is gone. A bench that was left in order is not touched.

    Raises
    ------
    InstrumentError
        If the bench cannot be made dark.
    """
    runs = tuple(run for run in close_lost_runs(lab_dir) if bench in (run.bench, None))
    for run in runs:
        logger.warning("run %s is closed as lost: %s", run.id, run.reason)
        _write_report(lab_dir / "runs" / run.id)
    holder = holder_of(bench)
    # Locks may lie where a computer that starts forgets them; the run that used the bench is remembered.
    used = next((run.id for run in runs if run.bench == bench), None)
    if (holder is None and used is None) or (holder is not None and holder.lives):
        return LeftBehind(runs)
    left_by = str(holder) if holder is not None else f"run {used}"
    from labonn.instruments.darkness import darken_bench  # knows every instrument, which takes long to import

    try:
        darkened = darken_bench(bench_path)
        with bench_lock(bench):  # which forgets that holder
            was = "LIT" if darkened.was_lit else "dark already"
            leave_note(bench, f"left by {left_by}, which ended without letting go; it was {was}, and was made dark")
    except BenchInUse:
        return LeftBehind(runs)  # by somebody who came in between, and who makes it dark first of all
    return LeftBehind(runs, left_by, darkened)


def _write_report(folder: Path) -> None:
    from labonn.protocol.write_report import write_report  # draws, which takes long to import

    try:
        write_report(folder)
    except Exception:
        logger.exception("the report of run %s could not be written", folder.name)
