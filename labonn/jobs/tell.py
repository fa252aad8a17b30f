"""Telling people what became of a job. Whom it does not reach is told at a later look; it never fails the job."""

import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from labonn.errors import LabonnError, RecordError
from labonn.instruments.schedule import Schedule
from labonn.jobs.history import jobs_folder
from labonn.jobs.mail import send_mail
from labonn.jobs.message import Message
from labonn.jobs.webhook import post
from labonn.records.disk import json_bytes, new_id, write_atomically

logger = logging.getLogger(__name__)

LOG = "log.jsonl"
_UNSENT = "unsent"
_KEPT = timedelta(days=3)


def tell(schedule: Schedule | None, lab_dir: Path, message: Message) -> None:
    """Write a message into the bench's log of jobs, and send it to those who want to be told of such.

    It is on disk before it is sent: what cannot be sent now, or was not because the process was killed, is sent by
    `tell_again`.
    """
    folder = jobs_folder(lab_dir, message.bench)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps(message.content, allow_nan=False) + "\n")
        if schedule is None or message.event not in schedule.tell.on:
            return
        for way in _ways(schedule):
            path = folder / _UNSENT / f"{new_id(way, message.written)}.json"
            write_atomically(path, json_bytes({"schema": 1, "way": way, **_kept(message)}))
    except (OSError, RecordError) as error:
        logger.warning("bench %r: what became of its job cannot be written down: %s", message.bench, error)
    tell_again(schedule, lab_dir, message.bench, message.written)


def tell_again(schedule: Schedule | None, lab_dir: Path, bench: str, now: datetime) -> int:
    """Send what was not sent yet; after three days it is left in the log alone.

    Returns
    -------
    How many messages could not be sent.
    """
    folder = jobs_folder(lab_dir, bench) / _UNSENT
    ways = {} if schedule is None else _ways(schedule)
    unsent = 0
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            message = _message(content)
            if (send := ways.get(content["way"])) is not None and now - message.written < _KEPT:
                send(message)
        except LabonnError as error:
            logger.warning("bench %r: %s; tried again at the next look", bench, error)
            unsent += 1
            continue
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("%s: is damaged, and removed: %r", path, error)
        path.unlink(missing_ok=True)
    return unsent


def _ways(schedule: Schedule) -> dict[str, Callable[[Message], None]]:
    """Every way that a message takes, by a name that stays the same while the bench file does."""
    return dict(_each_way(schedule))


def _each_way(schedule: Schedule) -> Iterator[tuple[str, Callable[[Message], None]]]:
    told = schedule.tell
    if (email := told.email) is not None:
        yield "email", lambda message: send_mail(email, message)
    for number, webhook in enumerate(told.webhooks):
        yield f"webhook-{number}", lambda message, webhook=webhook: post(webhook, message)  # type: ignore[misc]


def _kept(message: Message) -> dict[str, Any]:
    facts = dict(message.facts)
    return {"event": message.event, "bench": message.bench, "written_utc": message.written.isoformat(), "facts": facts}


def _message(content: dict[str, Any]) -> Message:
    written = datetime.fromisoformat(content["written_utc"]).astimezone(UTC)
    return Message(content["event"], str(content["bench"]), written, dict(content["facts"]))
