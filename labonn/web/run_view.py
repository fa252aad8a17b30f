"""Choosing a protocol, setting its parameters, seeing what it would do, starting it."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from nicegui import ui

from labonn.errors import ConfigError, LabonnError
from labonn.records.disk import sha256_of
from labonn.report import show
from labonn.web.launching import SLOW, Launch
from labonn.web.protocols import LONGEST_VALUE, Key, Protocol
from labonn.web.run_control import run_control
from labonn.web.shell import Visit, button, card, chosen_bench, facts, table, tell, text, view

_DRY_WITHIN_S = 300.0
_FIRST = ("recalibrate", "watch_drift", "check_bench", "evaluate")  # what is done most often comes first


async def run_view(visit: Visit, wanted: str | None) -> None:
    """Show it."""
    with view(visit, "/run", "Run"):
        if (name := chosen_bench(visit)) is None:
            return
        with ui.element("div").classes("cards"):
            run_control(visit)
            box = card("Protocol", wide=True)
            with box:
                waiting = text("p", "Reading the protocols \u2026").classes("soft")
        await ui.context.client.connected()
        protocols = await visit.desk.protocols.all()
        bench = visit.desk.bench(name)
        try:
            bench_sha256 = await asyncio.to_thread(sha256_of, bench.path)
        except OSError as error:
            waiting.text = f"{bench.path}: cannot be read: {error}"
            return
        with box:
            waiting.delete()
            _Form(visit, protocols, bench_sha256, wanted)


class _Form:
    """The form of the protocol that is chosen, and what came of it.

    Parameters
    ----------
    visit
        Who looks.
    protocols
        What can be chosen.
    bench_sha256
        The bench file's, as it is when the form is opened.
    wanted
        The protocol that is asked for.
    """

    def __init__(self, visit: Visit, protocols: Mapping[str, Protocol], bench_sha256: str, wanted: str | None) -> None:
        self._visit = visit
        self._protocols = protocols
        self._bench_sha256 = bench_sha256
        self._values: dict[str, Callable[[], str]] = {}
        names = sorted(protocols, key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name))
        first = wanted if wanted in protocols else next(iter(names), None)
        if first is None:
            text("p", "There are no protocols.")
            return
        self._choice = (
            ui.select(
                {name: name.replace("_", " ") for name in names}, value=first, label="protocol", on_change=self._show
            )
            .props("outlined options-dense")
            .classes("choice")
        )
        self._outcome = ui.element("div").props('aria-live="polite"').classes("outcome")
        self._body = ui.element("div").classes("form")
        self._show()

    @property
    def _protocol(self) -> Protocol:
        return self._protocols[str(self._choice.value)]

    def _show(self) -> None:
        protocol = self._protocol
        self._body.clear()
        self._outcome.clear()
        self._values = {}
        with self._body:
            if protocol.error is not None:
                text("p", protocol.error).classes("alert").props('role="alert"')
                return
            text("p", protocol.purpose)
            if self._visit.may_move:
                with ui.element("div").classes("line"):
                    button("Start", lambda: self._start(dry_run=False), icon="play_arrow", kind="main")
                    button("Dry run", lambda: self._start(dry_run=True), icon="checklist")
            else:
                text("p", "You may look, and not start anything.").classes("soft")
            with ui.element("div").classes("fields"):
                for key in protocol.keys:
                    self._values[key.key] = _field(key)

    async def _start(self, *, dry_run: bool) -> None:
        visit, protocol = self._visit, self._protocol
        values = {name: value() for name, value in self._values.items()}
        self._outcome.clear()
        try:
            bench, seen = visit.bench or "", (protocol.sha256, self._bench_sha256)
            launch = await visit.desk.start_run(
                visit.session, protocol.name, seen[0], bench, seen[1], values, dry_run=dry_run
            )
        except LabonnError as error:
            self._say_error(str(error), stale=isinstance(error, ConfigError) and "look at it again" in str(error))
            return
        with self._outcome:
            ui.spinner(size="2em").props('aria-hidden="true"')
            text("p", f"{launch.what}: {'checking' if dry_run else 'starting'} \u2026")
        if dry_run:
            await visit.desk.launcher.ends(launch, _DRY_WITHIN_S)
            self._outcome.clear()
            if launch.error:
                self._say_error(launch.error)
            else:
                with self._outcome:
                    _plan(launch.answer)
        else:
            await self._follow(launch)

    async def _follow(self, launch: Launch) -> None:
        try:
            begun = await self._visit.desk.launcher.run_begins(launch)
        except LabonnError as error:
            self._outcome.clear()
            self._say_error(str(error))
            return
        if begun:
            ui.navigate.to(f"/runs/{launch.run}")
            return
        self._outcome.clear()
        tell(SLOW, "warning")

    def _say_error(self, said: str, *, stale: bool = False) -> None:
        with self._outcome:
            text("p", said).classes("alert").props('role="alert"')
            if stale:
                protocol = self._protocol.name
                button("Open the form again", lambda: ui.navigate.to(self._visit.to("/run", protocol=protocol)))


def _field(key: Key) -> Callable[[], str]:
    """Make the field of a parameter; gives what reads it, as ``--set`` takes it."""
    label = key.key.replace("_", " ")
    hint = " ".join(part for part in (key.help, f"({key.type}; {key.default or 'empty'})") if part)
    with ui.element("div").classes("field"):
        if key.kind == "switch":
            switch = ui.switch(label, value=key.begins == "true").props(f'aria-label="{label}"')
            text("p", hint).classes("hint")
            return lambda: "true" if switch.value else "false"
        if key.kind == "choice":
            select = ui.select(list(key.choices), value=key.begins or None, label=label).props("outlined dense")
            text("p", hint).classes("hint")
            return lambda: "" if select.value is None else str(select.value)
        typed = ui.input(label, value=key.begins, validation=_validation(key)).props(
            f"outlined dense hide-bottom-space maxlength={LONGEST_VALUE}"
        )
        if key.kind in ("integer", "number"):
            typed.props('inputmode="decimal"')
        text("p", hint).classes("hint")
        return lambda: str(typed.value or "")


def _validation(key: Key) -> Callable[[str], str | None]:
    def wrong(value: str | None) -> str | None:
        given = (value or "").strip()
        if not given:
            return "is needed" if key.needed else None
        if key.kind not in ("integer", "number"):
            return None
        try:
            number = int(given) if key.kind == "integer" else float(given)
        except ValueError:
            return "is no whole number" if key.kind == "integer" else "is no number"
        if (key.lowest is not None and number < key.lowest) or (key.highest is not None and number > key.highest):
            return f"must be {key.type.partition(' ')[2]}"
        return None

    return wrong


def _plan(answer: Mapping[str, Any]) -> None:
    """Show what a dry run said."""
    found = answer.get("estimate") or {}
    text("h3", "What it would do")
    facts({key: show(value) for key, value in dict(answer.get("parameters", {})).items()})
    if found:
        which = "with these parameters" if found["same_parameters"] else "with other parameters"
        text(
            "p",
            f"About {found['seconds']:.0f} s ({found['shortest_s']:.0f} to {found['longest_s']:.0f} s in"
            f" {found['runs']} earlier runs {which}).",
        )
        table(["step", "seconds"], [[name, f"{seconds:.1f}"] for name, seconds in found["steps"].items()], "Steps")
    else:
        text("p", "How long it takes is not known yet: no such run has come to its end here.")
    text("p", "Everything was checked that can be without the bench; nothing was touched.").classes("soft")
