"""What was done from the page, by whom: one JSON object a line, never changed."""

import json
import logging
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labonn.records.disk import plain
from labonn.web.users import Person

logger = logging.getLogger(__name__)

FILE = "actions.jsonl"


class Actions:
    """The log of the page.

    Parameters
    ----------
    folder
        Where it is kept; made if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._lock = threading.Lock()

    def note(self, person: Person | None, action: str, **facts: Any) -> None:
        """Write down that somebody did, or tried, something."""
        line = {
            "utc": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "who": None if person is None else person.name,
            "role": None if person is None else person.role,
            "action": action,
            **plain(facts),
        }
        logger.info("%s: %s %s", line["who"], action, facts)
        try:
            with self._lock:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("a", encoding="utf-8", newline="\n") as file:
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
        except OSError as error:  # a full disk must not keep anybody from the dark
            logger.error("%s: cannot be written: %s; %s", self.path, error, line)
