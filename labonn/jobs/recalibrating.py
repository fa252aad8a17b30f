"""``labonn recalibrate BENCH --if-due``: one recalibration, if it is due, that anybody may ask for at any time.

The look at what is due, and the lock on the bench, come before everything that takes long to import.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labonn.errors import LabonnError
from labonn.instruments.bench_config import read_bench
from labonn.instruments.leaving import Leaving
from labonn.instruments.lock import reserved
from labonn.instruments.schedule import Schedule
from labonn.jobs.due import Look, look, settings_of
from labonn.jobs.history import RECALIBRATION, note_attempt_without_run, read_history
from labonn.jobs.left_behind import LeftBehind, put_right
from labonn.jobs.message import Message
from labonn.jobs.room import make_room
from labonn.jobs.tell import tell, tell_again
from labonn.records.disk import utc_now

if TYPE_CHECKING:
    from labonn.protocol import Outcome

logger = logging.getLogger(__name__)

Recalibrate = Callable[[Path, Path, Mapping[str, str]], "Outcome"]
"""Bench file, laboratory's folder and settings -> how the run ended."""


@dataclass(frozen=True)
class Shot:
    """What became of one call."""

    bench: str
    schedule: Schedule | None
    look: Look
    """What was due, or when it will be."""
    outcome: "Outcome | None" = None
    """How the run ended, if it was due."""
    left: LeftBehind = field(default_factory=LeftBehind)
    """What was found of earlier processes, and put right."""
    freed_bytes: int = 0
    """Room that was made: raw frames of old runs."""

    def as_json(self) -> dict[str, Any]:
        """Give the object that ``--json`` prints; that of the run, too, if there was one."""
        found = self.left.darkened
        return {
            "bench": self.bench,
            "due": self.look.due,
            "why": self.look.why,
            "next_utc": None if self.look.next is None else self.look.next.isoformat(timespec="seconds"),
            "lost": [run.id for run in self.left.runs],
            "freed_bytes": self.freed_bytes,
            "made_dark": None if found is None else {"left_by": self.left.left_by, "was_lit": found.was_lit},
            **({} if self.outcome is None else self.outcome.as_json()),
        }


def recalibrate_if_due(
    bench_path: Path,
    lab_dir: Path,
    settings: Mapping[str, str] | None = None,
    *,
    clock: Callable[[], datetime] = utc_now,
    recalibrate: Recalibrate | None = None,
) -> Shot:
    """Recalibrate a bench, if its schedule says that this is due, make room, and tell who is to be told.

    What a process that died has left is put right before: its run is closed as lost, and the bench made dark. Beyond
    that, a bench that is not due is not touched.

    Parameters
    ----------
    bench_path
        The bench file.
    lab_dir
        The laboratory's folder.
    settings
        Of the protocol ``recalibrate``, on top of those of the schedule.
    clock
        What time it is, with its zone.
    recalibrate
        What is due; the protocol, in this process, where None.

    Raises
    ------
    BenchInUse
        If it is due and another process holds the bench.
    ConfigError
        If the bench file or a setting is wrong.
    InstrumentError
        If a bench that somebody left cannot be made dark.
    RecordError
        If the laboratory's records cannot be read.
    """
    shot = look_at(bench_path, lab_dir, clock=clock)
    schedule = shot.schedule
    if schedule is None or not shot.look.due:
        return shot
    with Leaving().active(), reserved(shot.bench):  # whoever is asked to stop before the run begins lets go, too
        history = read_history(lab_dir, shot.bench)  # whoever had the bench until now may have done it
        shot = replace(shot, look=look(schedule, history, clock()))
        if not shot.look.due:
            return shot
        texts = {key: _text(value) for key, value in settings_of(schedule, shot.look, history).items()}
        logger.info("bench %r is due: %s", shot.bench, shot.look.why)
        begun = clock()
        try:
            outcome = (recalibrate or _run)(bench_path, lab_dir, {**texts, **(settings or {})})
        except Exception as error:
            # There is no run to say so, and at the next look it would be begun again.
            note_attempt_without_run(lab_dir, shot.bench, begun, str(error))
            facts = {"reason": str(error), "why": shot.look.why}
            tell(schedule, lab_dir, Message("failed", shot.bench, clock(), facts))
            raise
        freed_bytes = make_room(schedule, shot.bench, lab_dir)
    after = look(schedule, read_history(lab_dir, shot.bench), clock())
    tell(schedule, lab_dir, _message(shot, after, outcome, lab_dir, clock()))
    return replace(shot, outcome=outcome, freed_bytes=freed_bytes)


def look_at(bench_path: Path, lab_dir: Path, *, clock: Callable[[], datetime] = utc_now) -> Shot:
    """Put right what a process that died has left, tell who was not reached yet, and say whether the bench is due.

    Raises
    ------
    ConfigError, InstrumentError, RecordError
        As `recalibrate_if_due` does.
    """
    config = read_bench(bench_path)
    left = _put_right(bench_path, config.name, config.schedule, lab_dir, clock)
    found = look(config.schedule, read_history(lab_dir, config.name), clock())
    if not found.due:
        tell_again(config.schedule, lab_dir, config.name, clock())
    return Shot(config.name, config.schedule, found, left=left)


def _run(bench_path: Path, lab_dir: Path, settings: Mapping[str, str]) -> "Outcome":
    from labonn.protocol.runtime import run_protocol

    return run_protocol(RECALIBRATION, bench_path, lab_dir, settings)


def _put_right(
    bench_path: Path, name: str, schedule: Schedule | None, lab_dir: Path, clock: Callable[[], datetime]
) -> LeftBehind:
    try:
        left = put_right(bench_path, name, lab_dir)
    except LabonnError as error:
        tell(schedule, lab_dir, Message("left", name, clock(), {"reason": str(error)}))
        raise
    for run in left.runs:
        tell(schedule, lab_dir, Message("lost", name, clock(), {"run": run.id, "reason": run.reason}))
    if left.darkened is not None and left.darkened.was_lit:
        reason = f"{left.left_by} left it LIT; it is dark now"
        tell(schedule, lab_dir, Message("left", name, clock(), {"reason": reason}))
    return left


def _message(shot: Shot, after: Look, outcome: "Outcome", lab_dir: Path, now: datetime) -> Message:
    result = outcome.result
    facts = {
        "why": shot.look.why,
        "run": outcome.run_folder.name,
        "status": outcome.status,
        "reason": outcome.error,
        "accuracy": result.get("accuracy", result.get("miou")),
        "released": result.get("released"),
        "release": result.get("release"),
        "report": None if outcome.report is None else str(outcome.report),
        "lab": str(lab_dir.absolute()),
        "next_utc": None if after.next is None else after.next.isoformat(timespec="minutes"),
        "next": after.why,
    }
    event = outcome.status if outcome.status in ("done", "refused", "failed", "aborted") else "failed"
    return Message(event, shot.bench, now, facts)


def _text(value: bool | int | float | str) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
