"""What the records of a laboratory say of a bench's recalibrations, as far as the next one depends on it.

Read without torch, in a fraction of a second: most looks find that nothing is due.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from labonn.errors import RecordError
from labonn.records.catalogue import Catalogue, RunLine
from labonn.records.disk import json_bytes, legal_name, write_atomically
from labonn.records.in_use import release_in_use
from labonn.records.watches import Watch, latest_watch

RECALIBRATION = "recalibrate"
WATCH = "watch_drift"
_MOST = 60  # attempts that are looked at; their chain of failures is shorter
_OF_ONE_SECOND = 10  # names of runs say no more than the second
_WITHOUT_RUN = "last-attempt-without-run.json"


@dataclass(frozen=True)
class Attempt:
    """A recalibration that has ended, whoever began it."""

    run: str | None
    """None where it ended before there was a run: a setting that does not fit."""
    begun: datetime
    ended: datetime
    """When it began, where nobody knows: it was lost."""
    status: str
    """``done``, ``refused``, ``failed``, ``aborted`` or ``lost``."""


@dataclass(frozen=True)
class History:
    """What is known of a bench."""

    attempts: tuple[Attempt, ...] = ()
    """The latest first."""
    released: datetime | None = None
    """When the release in use was made."""
    watch: Watch | None = None
    """The latest watch for drift that ended well, if it looked at the release in use."""
    watch_begun: datetime | None = None
    """When the latest watch began, however it ended."""
    watch_failed: bool = False
    """Whether it failed."""

    @property
    def last(self) -> Attempt | None:
        """The latest attempt."""
        return next(iter(self.attempts), None)

    def believed(self, now: datetime, ahead: timedelta) -> "History":
        """Leave out what lies further ahead than `ahead`: it was written while the computer's clock was wrong."""

        def past(moment: datetime | None) -> bool:
            return moment is not None and moment <= now + ahead

        return History(
            tuple(attempt for attempt in self.attempts if past(attempt.begun)),
            self.released if past(self.released) else None,
            self.watch if self.watch is not None and past(self.watch.begun) else None,
            self.watch_begun if past(self.watch_begun) else None,
            self.watch_failed,
        )


def read_history(lab_dir: Path, bench: str) -> History:
    """Read what is known of a bench.

    Raises
    ------
    RecordError
        If the catalogue or the pointer to the release cannot be read.
    """
    if not lab_dir.is_dir():
        return History()
    with Catalogue(lab_dir) as catalogue:
        catalogue.catch_up()
        lines, _ = catalogue.find(protocol=RECALIBRATION, bench=bench, limit=_MOST)
        watches, _ = catalogue.find(protocol=WATCH, bench=bench, limit=_OF_ONE_SECOND)
    attempts = [_attempt(line) for line in lines if line.status not in ("running", "unreadable")]
    attempts += _attempts_without_run(lab_dir, bench)
    attempts.sort(key=lambda attempt: attempt.begun, reverse=True)
    release = release_in_use(lab_dir, bench)
    watch = latest_watch(lab_dir, bench) if watches else None
    last_watch = max(watches, key=_begun, default=None)
    return History(
        tuple(attempts),
        None if release is None else _made(lab_dir, release),
        watch if watch is not None and watch.release == release else None,
        None if last_watch is None else _begun(last_watch),
        last_watch is not None and last_watch.status in ("failed", "lost"),
    )


def note_attempt_without_run(lab_dir: Path, bench: str, begun: datetime, reason: str) -> None:
    """Keep that an attempt ended before there was a run to say so, so that it is not begun again at every look.

    Raises
    ------
    RecordError
        If the disk refuses.
    """
    content = {"schema": 1, "begun_utc": begun.isoformat(), "reason": reason}
    write_atomically(jobs_folder(lab_dir, bench) / _WITHOUT_RUN, json_bytes(content))


def jobs_folder(lab_dir: Path, bench: str) -> Path:
    """Where a laboratory keeps what its jobs on a bench have to remember."""
    return lab_dir.absolute() / "jobs" / legal_name(bench, "the bench's name")


def _attempts_without_run(lab_dir: Path, bench: str) -> list[Attempt]:
    path = jobs_folder(lab_dir, bench) / _WITHOUT_RUN
    try:
        begun = datetime.fromisoformat(json.loads(path.read_text(encoding="utf-8"))["begun_utc"])
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{path}: cannot be read: {error!r}; remove it") from error
    return [Attempt(None, begun, begun, "failed")]


def _attempt(line: RunLine) -> Attempt:
    begun = _begun(line)
    return Attempt(line.id, begun, begun + timedelta(seconds=line.seconds or 0.0), line.status)


def _begun(line: RunLine) -> datetime:
    if line.start_utc is not None:
        return datetime.fromisoformat(line.start_utc).astimezone(UTC)
    return datetime.strptime(line.id[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def _made(lab_dir: Path, release: str) -> datetime | None:
    """When a release was made; None where its card is missing or damaged, which is for whoever uses it to say."""
    try:
        card = json.loads((lab_dir / "releases" / release / "release.json").read_text(encoding="utf-8"))
        return datetime.fromisoformat(card["made_utc"]).astimezone(UTC)
    except (OSError, ValueError, KeyError, TypeError):
        return None
