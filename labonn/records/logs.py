"""The log of a run: one JSON object a line, each with UTC and monotonic time."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from labonn.records.disk import plain

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """A log record as one line of JSON; what was given as ``extra`` becomes keys."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the record."""
        line = {
            "utc": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "monotonic_s": round(time.monotonic(), 6),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(plain(line), ensure_ascii=False)


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Write the log records of this process from level info on, and its warnings, to a file while the context lasts."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(JsonLines())
    handler.setLevel(logging.INFO)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(min(level, logging.INFO) if level else logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.setLevel(level)
        root.removeHandler(handler)
        handler.close()
