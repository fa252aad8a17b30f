"""What is told of a job: an event, as one object for programs and as lines for people."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from labonn.instruments.telling import Event
from labonn.records.disk import plain

_HEADLINES: dict[Event, str] = {
    "done": "recalibrated",
    "refused": "the gate refused; the current release stands",
    "failed": "RECALIBRATION FAILED",
    "aborted": "recalibration aborted",
    "lost": "a run was LOST",
    "watch": "the watch for drift FAILED",
    "left": "the bench was LEFT by a process that ended",
}
_SCHEMA = 1


@dataclass(frozen=True)
class Message:
    """What happened."""

    event: Event
    bench: str
    written: datetime
    facts: Mapping[str, Any]
    """What else there is to say, by name: `run`, `reason`, `accuracy`, `release`, `next_utc` ..."""

    @property
    def subject(self) -> str:
        """One line."""
        return f"labonn: bench {self.bench}: {_HEADLINES[self.event]}"

    @property
    def text(self) -> str:
        """All that there is to say, a fact a line."""
        facts = {"event": self.event, "computer": platform.node(), "at (UTC)": f"{self.written:%Y-%m-%d %H:%M:%S}"}
        lines = [f"{name}: {value}" for name, value in {**facts, **plain(self.facts)}.items() if value is not None]
        return "\n".join([self.subject, "", *lines, ""])

    @property
    def content(self) -> dict[str, Any]:
        """The object for programs."""
        head = {"schema": _SCHEMA, "event": self.event, "bench": self.bench, "host": platform.node()}
        told = {"subject": self.subject, "written_utc": self.written.isoformat(timespec="seconds")}
        return {**head, **told, **plain(self.facts)}
