"""Commands of labonn that the page starts: processes of their own, which go on when the page's server is gone."""

import asyncio
import json
import logging
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labonn.errors import LabonnError
from labonn.instruments.processes import lives
from labonn.records.runs import OPERATOR
from labonn.web.place import Place
from labonn.web.users import Person

logger = logging.getLogger(__name__)

_KEPT = 200  # files of what earlier commands said
_TAIL = 4_000
_MOST_AT_ONCE = 4
_BEGINS_WITHIN_S = 300.0
_LOOK_S = 0.25
SLOW = "it takes long to start; it will appear among the runs"
"""What is said where patience ended before a command's run began."""
if sys.platform == "win32":
    _PLEASE_STOP = signal.CTRL_BREAK_EVENT
else:
    _PLEASE_STOP = signal.SIGTERM


@dataclass
class Launch:
    """A command that was started."""

    what: str
    """For people: ``recalibrate on mono``."""
    by: str
    words: tuple[str, ...]
    process: subprocess.Popen[bytes] = field(repr=False)
    out: Path = field(repr=False)
    begun: datetime = field(default_factory=lambda: datetime.now(UTC))
    run: str | None = None
    """The run that it made, when that is known."""

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it goes on."""
        return self.process.poll()

    @property
    def said(self) -> str:
        """The end of what it told people."""
        return _tail(self.out.with_suffix(".err"))

    @property
    def answer(self) -> dict[str, Any]:
        """The object that ``--json`` printed; empty while there is none."""
        try:
            answer = json.loads(self.out.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return answer if isinstance(answer, dict) else {}

    @property
    def error(self) -> str | None:
        """Why it failed, if it has."""
        if not self.exit_code:
            return None
        return str(self.answer.get("error") or self.said or f"it ended with exit code {self.exit_code}")


class Launcher:
    """Starts commands.

    Parameters
    ----------
    place
        The laboratory.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._folder = place.own / "started"
        self.launches: list[Launch] = []

    def start(self, what: str, words: Sequence[str], person: Person) -> Launch:
        """Start ``labonn WORDS --json`` in the name of somebody.

        Raises
        ------
        LabonnError
            If it cannot be started, or too many of them go on.
        """
        if sum(launch.exit_code is None for launch in self.launches) >= _MOST_AT_ONCE:
            raise LabonnError(f"{_MOST_AT_ONCE} commands that were started from this page go on; wait until one ends")
        command = [sys.executable, "-m", "labonn", *words, "--lab", str(self._place.lab), "--json"]
        stem = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        out = self._folder / f"{stem}.out"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._clear()
            with out.open("wb") as stdout, out.with_suffix(".err").open("wb") as stderr:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    env=_environment(person),
                    **_apart(),
                )
        except OSError as error:
            raise LabonnError(f"labonn {' '.join(words)}: cannot be started: {error}") from error
        launch = Launch(what, person.name, tuple(words), process, out)
        self.launches = [*self.launches[-20:], launch]
        return launch

    async def ends(self, launch: Launch, limit_s: float) -> int | None:
        """Wait until a command has ended, or patience has; gives its exit code."""
        deadline = time.monotonic() + limit_s
        while launch.exit_code is None and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        return launch.exit_code

    async def run_begins(self, launch: Launch) -> bool:
        """Wait until a command's run is there; False where patience ended before.

        Raises
        ------
        LabonnError
            If the command ended without one.
        """
        deadline = time.monotonic() + _BEGINS_WITHIN_S
        while time.monotonic() < deadline:
            ended = launch.exit_code is not None  # asked first: it may write its record at its very end
            await asyncio.to_thread(self.find_runs)
            if launch.run is not None:
                return True
            if ended:
                raise LabonnError(launch.error or "it ended without a run")
            await asyncio.sleep(_LOOK_S)
        return False

    def find_runs(self) -> None:
        """Find out which run each command made: the one whose record names its process."""
        for launch in self.launches:
            if launch.run is None:
                launch.run = launch.answer.get("run") or self._run_of(launch)

    def _run_of(self, launch: Launch) -> str | None:
        since = f"{launch.begun:%Y%m%dT%H%M%SZ}"
        with suppress(OSError):
            for folder in sorted(self._place.runs.iterdir(), reverse=True):
                if folder.name < since:
                    return None
                with suppress(OSError, ValueError):
                    if json.loads((folder / "run.json").read_bytes()).get("pid") == launch.process.pid:
                        return folder.name
        return None

    def _clear(self) -> None:
        for old in sorted(self._folder.iterdir())[:-_KEPT]:
            old.unlink(missing_ok=True)


def ask_to_stop(record: Mapping[str, Any]) -> bool:
    """Ask the process of a run that holds no bench to stop, as Ctrl-C would; False where it is gone.

    Raises
    ------
    LabonnError
        If it is another user's.
    """
    pid, started_s = int(record.get("pid") or 0), float(record.get("process_started") or 0.0)
    if not pid or not lives(pid, started_s):
        return False
    try:
        os.kill(pid, _PLEASE_STOP)
    except ProcessLookupError:
        return False
    except OSError as error:
        raise LabonnError(f"process {pid} cannot be asked to stop: {error}") from error
    return True


def _environment(person: Person) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "LABONN_TOKEN"}
    return {**kept, OPERATOR: person.name}


def _apart() -> dict[str, Any]:
    """Give what makes a process go on when this one ends, or is interrupted."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            return file.read().decode("utf-8", errors="replace").strip()
    except OSError:
        return ""
