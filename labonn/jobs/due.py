"""Whether a bench is due: a function of its schedule, its history and the time, and of nothing else."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from labonn.instruments.schedule import Schedule, Setting
from labonn.jobs.history import Attempt, History

_FAILED = ("failed", "lost")
_LONGEST_BACK_OFF = timedelta(days=1)
_CLOCK_AHEAD = timedelta(days=1)  # what lies further ahead was written by a clock that was wrong


@dataclass(frozen=True)
class Look:
    """What a look at a bench's schedule found."""

    due: bool
    why: str
    """Why it is due; or what it waits for."""
    next: datetime | None = None
    """When it becomes due, by all that is known now; UTC."""
    retry: bool = False
    """Whether this is another attempt at what has failed, or was refused."""


@dataclass(frozen=True)
class _Reason:
    since: datetime
    why: str
    retry: bool = False


def look(schedule: Schedule | None, history: History, now: datetime) -> Look:
    """Say whether a recalibration is due.

    Each reason that the schedule knows has a moment from which it holds, reckoned from the last attempt. The earliest
    counts; if it has passed, and no hours are quiet, the recalibration is due. So an attempt ends all reasons that led
    to it, however many times were missed, and nothing is due before a back-off is over or a next time comes.

    Parameters
    ----------
    schedule
        The bench file's table, if it has one.
    history
        What is known of the bench.
    now
        The time, with its zone.
    """
    if schedule is None:
        return Look(False, "the bench file has no [schedule]")
    history = history.believed(now, _clock_ahead(schedule, now))
    reasons = list(_reasons(schedule, history, now))
    if not reasons:
        return Look(False, "no watch has found drift since the last recalibration")
    first = min(reasons, key=lambda reason: reason.since)
    begins = schedule.out_of_quiet(max(first.since, now))
    if first.since <= now and begins <= now:
        return Look(True, first.why, now, first.retry)
    if first.since <= now:
        return Look(False, f"{first.why}; but hours are quiet", begins, first.retry)
    return Look(False, f"next: {first.why}", begins, first.retry)


def look_for_watch(schedule: Schedule | None, history: History, now: datetime) -> Look:
    """Say whether it is time to watch for drift."""
    if schedule is None or schedule.drift is None:
        return Look(False, "the bench file has no [schedule.drift]")
    every = timedelta(hours=schedule.drift.watch_every_h)
    if history.released is None:
        return Look(False, "the bench has no release that could have drifted")
    last = history.believed(now, every).watch_begun
    begins = schedule.out_of_quiet(now if last is None else max(last + every, now))
    return Look(begins <= now, f"a watch every {schedule.drift.watch_every_h:g} h", begins)


def settings_of(schedule: Schedule, look: Look, history: History) -> dict[str, Setting]:
    """Give the settings of the attempt that is due."""
    after_refusal = look.retry and history.last is not None and history.last.status == "refused"
    return {**schedule.settings, **(schedule.refusal_settings if after_refusal else {})}


def _reasons(schedule: Schedule, history: History, now: datetime) -> Iterator[_Reason]:
    last, released, since = history.last, history.released, _since(history)
    unsuccessful = last if last is not None and last.status != "done" else None
    rests_until = None if unsuccessful is None else unsuccessful.ended + _back_off(schedule, _in_a_row(history))
    yield from _regular_reasons(schedule, since, now)

    tries = _tries(schedule, history)
    if unsuccessful is not None and 0 < tries < schedule.attempts:
        why = f"attempt {tries + 1} of {schedule.attempts}, after {unsuccessful.run or 'one'}: {unsuccessful.status}"
        yield _Reason(unsuccessful.ended + _back_off(schedule, tries), why, retry=True)

    if schedule.expiry_h is not None:
        measured = [attempt.ended for attempt in history.attempts if attempt.status in ("done", "refused")][:1]
        calibrated = max([*measured, *([released] if released else [])], default=None)
        expires = now if calibrated is None else calibrated + timedelta(hours=schedule.expiry_h)
        why = f"the calibration is older than {schedule.expiry_h:g} h"
        yield _Reason(expires if rests_until is None else max(expires, rests_until), why)

    watch = history.watch
    if schedule.drift is not None and watch is not None and watch.due and (since is None or watch.begun > since):
        why = f"watch {watch.run} predicts a loss of {watch.predicted_loss_points:.2f} points"
        yield _Reason(watch.begun if rests_until is None else max(watch.begun, rests_until), why)


def _since(history: History) -> datetime | None:
    """From when the next time is reckoned: the last attempt, or a release that was made otherwise since."""
    last, released = history.last, history.released
    if last is None or (released is not None and released > last.ended):
        return released
    return last.begun


def _regular_reasons(schedule: Schedule, since: datetime | None, now: datetime) -> Iterator[_Reason]:
    """Give the next time of cron and interval, reckoned from the last attempt or release; now, where there was none."""
    if schedule.times is not None:
        time = now if since is None else schedule.times.next_after(since, schedule.zone)
        yield _Reason(time, f"{schedule.cron!r}, {time.astimezone(schedule.zone):%Y-%m-%d %H:%M %Z}")
    if schedule.interval_h is not None:
        time = now if since is None else since + timedelta(hours=schedule.interval_h)
        yield _Reason(time, f"every {schedule.interval_h:g} h")


def _tries(schedule: Schedule, history: History) -> int:
    """Count the attempts in a row that may be repeated, back to the one that was begun for a regular time."""
    tries = 0
    for later, earlier in pairwise([*history.attempts, None]):
        if later is None or not _may_be_repeated(schedule, later):
            break
        tries += 1
        regular = [] if earlier is None else [*_regular_reasons(schedule, earlier.begun, later.begun)]
        if earlier is None or any(reason.since <= later.begun for reason in regular):
            break
    return tries


def _may_be_repeated(schedule: Schedule, attempt: Attempt) -> bool:
    return attempt.status in _FAILED or (attempt.status == "refused" and schedule.on_refusal == "retry")


def _in_a_row(history: History) -> int:
    """Count the latest attempts, of which none is done."""
    count = 0
    for attempt in history.attempts:
        if attempt.status == "done":
            break
        count += 1
    return count


def _back_off(schedule: Schedule, attempts: int) -> timedelta:
    """How long to wait after so many attempts in a row: doubled for each, and a day at most."""
    minutes = schedule.back_off_min * 2.0 ** min(attempts - 1, 20)
    return min(timedelta(minutes=minutes), _LONGEST_BACK_OFF)


def _clock_ahead(schedule: Schedule, now: datetime) -> timedelta:
    """How far ahead of now a record may lie and be believed: no longer than from one time to the next, or a day."""
    gaps = [timedelta(hours=hours) for hours in (schedule.interval_h, schedule.expiry_h) if hours is not None]
    if schedule.times is not None:
        first = schedule.times.next_after(now, schedule.zone)
        gaps.append(schedule.times.next_after(first, schedule.zone) - first)
    if schedule.drift is not None and not gaps:
        gaps.append(timedelta(hours=schedule.drift.watch_every_h))
    return min([_CLOCK_AHEAD, *gaps])
