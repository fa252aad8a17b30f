"""What the page can do, and for whom: views and the HTTP interface go through here, and nothing else acts."""

import asyncio
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labonn.errors import ConfigError, LabonnError
from labonn.instruments.control import NotHeld, Operation, ask_holder
from labonn.records.disk import sha256_of
from labonn.records.estimates import estimate_report
from labonn.records.runs import RunRecord, read_run
from labonn.web.actions import Actions
from labonn.web.cameras import Cameras
from labonn.web.darkening import Dark, darken
from labonn.web.launching import Launch, Launcher, ask_to_stop
from labonn.web.place import BenchFile, Place
from labonn.web.protocols import Protocols
from labonn.web.sessions import Session, Sessions
from labonn.web.states import States
from labonn.web.users import Access, Person

logger = logging.getLogger(__name__)

METHODS = ("all", "none", "e2e", "kd", "ntkd", "map", "twin+ce", "twin+kd", "twin+ntkd")
_ANSWER_LIMIT_S = 5.0
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


class NotAllowed(LabonnError):
    """Whoever asked may look and not touch, or is not logged in any more."""


@dataclass(frozen=True)
class Desk:
    """Everything that the page is made of."""

    place: Place
    access: Access
    sessions: Sessions
    actions: Actions
    states: States
    launcher: Launcher
    protocols: Protocols
    cameras: Cameras

    def anybody(self, session: Session) -> Person:
        """Give who wants to do what everybody may who is logged in.

        Raises
        ------
        NotAllowed
            If they are not logged in any more.
        """
        if session.person is not self.access.local and not self.sessions.goes_on(session):
            raise NotAllowed("the session has expired: log in again")
        return session.person

    def operator(self, session: Session, action: str, **facts: Any) -> Person:
        """Give who wants to do something, if they may; what they want is written down.

        Raises
        ------
        NotAllowed
            If they may not.
        """
        person = self.anybody(session)
        self.actions.note(person, action if person.may_move else f"refused: {action}", **facts)
        if not person.may_move:
            raise NotAllowed(f"{person.name} may look, and not touch: ask for the role of an operator")
        return person

    def bench(self, name: str) -> BenchFile:
        """Give a bench.

        Raises
        ------
        ConfigError
            If there is none of this name.
        """
        found = self.states.benches.get(name)
        if found is not None:
            return found.bench
        try:
            return self.place.benches()[name]
        except KeyError:
            raise ConfigError(f"there is no bench {name!r} here") from None

    def run(self, name: str) -> RunRecord:
        """Read the record of a run by its full name.

        Raises
        ------
        RecordError
            If there is none, or it cannot be read.
        """
        return read_run(self.run_folder(name))

    def run_folder(self, name: str) -> Path:
        """Give the folder of a run by its full name; only runs of this laboratory have one here.

        Raises
        ------
        ConfigError
            If there is no such run.
        """
        folder = self.place.runs / name
        if not _RUN.fullmatch(name) or not (folder / "run.json").is_file():
            raise ConfigError(f"there is no run {name[:80]!r} here")
        if not folder.resolve().is_relative_to(self.place.lab.resolve()):
            raise ConfigError(f"run {name!r} lies outside this laboratory's folder")
        return folder

    def model_folder(self, name: str) -> Path:
        """Give the folder of a model by its full name; only models of this laboratory have one here.

        Raises
        ------
        ConfigError
            If there is no such model.
        """
        folder = self.place.lab / "models" / name
        if not _RUN.fullmatch(name) or not (folder / "model.json").is_file():
            raise ConfigError(f"there is no model {name[:80]!r} here")
        if not folder.resolve().is_relative_to(self.place.lab.resolve()):
            raise ConfigError(f"model {name!r} lies outside this laboratory's folder")
        return folder

    def estimate_report(self, design: str) -> Path:
        """Give the file of the report of a design's latest estimate, by the design's name.

        Raises
        ------
        ConfigError
            If there is none.
        """
        folder = self.place.lab.resolve()
        if not _RUN.fullmatch(design) or not (path := estimate_report(folder, design)).is_file():
            raise ConfigError(f"no estimate of a design {design[:80]!r} is here")
        if not path.resolve().is_relative_to(folder):
            raise ConfigError(f"the estimate of design {design!r} lies outside this laboratory's folder")
        return path

    async def dark(self, session: Session, bench: str) -> Dark:
        """Make a bench dark; whoever is logged in may.

        Raises
        ------
        NotAllowed
            If who asks is not logged in any more.
        ConfigError, InstrumentError
            If there is no such bench, or it could not be made dark.
        """
        person = self.anybody(session)
        self.actions.note(person, "dark", bench=bench)
        file = self.bench(bench)
        try:
            done = await darken(file.name, file.path, f"{person.name} (on the page)")
        except LabonnError as error:
            self.actions.note(person, "dark failed", bench=bench, error=str(error))
            raise
        self.actions.note(person, "dark done", bench=bench, was_lit=done.was_lit, seconds=round(done.seconds, 3))
        return done

    async def control(self, session: Session, bench: str, operation: Operation) -> dict[str, Any]:
        """Pause, resume or abort the run that holds a bench.

        Raises
        ------
        NotAllowed
            If it is a viewer who asks.
        ConfigError, LabonnError
            If there is no such bench, nobody holds it, or its holder refuses.
        """
        person = self.operator(session, operation, bench=bench)
        name = self.bench(bench).name
        try:
            by = f"{person.name} (on the page)"
            return await asyncio.to_thread(ask_holder, name, operation, _ANSWER_LIMIT_S, by=by)
        except NotHeld as error:
            raise LabonnError(f"{error}: there is no run to {operation}; it may have ended just now") from error

    async def stop(self, session: Session, run: str) -> str:
        """Abort a run, whether it holds its bench or not; gives what was done.

        Raises
        ------
        NotAllowed
            If it is a viewer who asks.
        ConfigError, RecordError, LabonnError
            If there is no such run, or it cannot be stopped.
        """
        record = await asyncio.to_thread(self.run, run)
        state = self.states.benches.get(record.bench or "")
        if state is not None and state.run == run:
            await self.control(session, state.bench.name, "abort")
            return "dark; the run ends at its next checkpoint"
        self.operator(session, "abort", run=run)
        if record.status != "running":
            raise LabonnError(f"run {run} has ended already: {record.status}")
        if not ask_to_stop(record.model_dump(include={"pid", "process_started"})):
            raise LabonnError(f"the process of run {run} is gone; the next command of labonn closes it as lost")
        return "asked to stop; it holds no bench"

    async def start_run(
        self, session: Session, protocol: str, sha256: str, bench: str, bench_sha256: str, settings: Mapping[str, str],
        *, dry_run: bool = False,
    ) -> Launch:  # fmt: skip
        """Start a protocol, as its form was seen; or say what it would do.

        Raises
        ------
        NotAllowed
            If it is a viewer who asks.
        ConfigError
            If the protocol or the bench file is another than in the form, or a value cannot be.
        LabonnError
            If the process cannot be started.
        """
        what = "dry run" if dry_run else "start"
        person = self.operator(session, what, protocol=protocol, bench=bench, settings=dict(settings))
        chosen = await self.protocols.current(protocol, sha256)
        file = self.bench(bench)
        try:
            same = await asyncio.to_thread(sha256_of, file.path) == bench_sha256
        except OSError as error:
            raise ConfigError(f"{file.path}: cannot be read: {error.strerror or error}") from error
        if not same:
            raise ConfigError(f"{file.path}: was changed since this form was opened; look at it again")
        words = ["run", chosen.word, str(file.path), *chosen.settings(settings), *(["--dry-run"] if dry_run else [])]
        return self.launcher.start(f"{protocol} on {bench}{' (dry run)' if dry_run else ''}", words, person)

    def replay(self, session: Session, run: str, methods: str) -> Launch:
        """Replay methods of compensation on the captures of a run.

        Raises
        ------
        NotAllowed
            If it is a viewer who asks.
        ConfigError, LabonnError
            If there is no such run or method, or the process cannot be started.
        """
        person = self.operator(session, "replay", run=run, methods=methods)
        folder = self.run_folder(run)
        if unknown := [one for one in methods.split(",") if one not in METHODS]:
            raise ConfigError(f"there is no method {unknown[0][:40]!r}; there are {', '.join(METHODS)}")
        return self.launcher.start(f"replay of {run}", ["compensate", str(folder), "--method", methods], person)

    def roll_back(self, session: Session, bench: str, *, force: bool) -> Launch:
        """Go back to the last good release of a bench.

        Raises
        ------
        NotAllowed
            If it is a viewer who asks.
        ConfigError, LabonnError
            If there is no such bench, or the process cannot be started.
        """
        person = self.operator(session, "roll back", bench=bench, force=force)
        words = ["releases", "rollback", str(self.bench(bench).path), *(["--set", "force=true"] if force else [])]
        return self.launcher.start(f"rollback on {bench}", words, person)
