"""The log of a run, line by line as it grows."""

import json
from pathlib import Path

from labonn.records.runs import RECORD

LOG = "log.jsonl"
_AT_FIRST = 64 << 10
_AT_ONCE = 256 << 10
_LONGEST = 500


class LogTail:
    """Reads on where it stopped.

    Parameters
    ----------
    folder
        The run's.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOG
        self._record = folder / RECORD
        self._at: int | None = None
        self._rest = b""

    def more(self) -> list[str]:
        """Give what has come since, for people; of a long log, at first, its end."""
        try:
            size = self._path.stat().st_size
            with self._path.open("rb") as file:
                if self._at is None:
                    self._at = max(0, size - _AT_FIRST)
                    file.seek(self._at)
                    if self._at:
                        self._at += len(file.readline())
                file.seek(self._at)
                got = file.read(_AT_ONCE)
        except OSError:
            return []
        self._at += len(got)
        *lines, self._rest = (self._rest + got).split(b"\n")
        return [_spoken(line) for line in lines if line.strip()]


def _spoken(line: bytes) -> str:
    try:
        one = json.loads(line)
        mark = {"warning": "\u25b3 ", "error": "\u2717 ", "critical": "\u2717 "}.get(one["level"], "")
        text = str(one["message"])
        total = one.get("total")
        return f"{str(one['utc'])[11:19]}  {mark}{text[:_LONGEST]}{f' ({total})' if total else ''}"
    except (ValueError, KeyError, TypeError):
        return line.decode("utf-8", errors="replace")[:_LONGEST]
