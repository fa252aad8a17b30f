"""One run: the answer first, then its log, its pictures, its numbers; replaying a method on its captures."""

import asyncio
from collections.abc import Mapping
from typing import Any

from nicegui import ui

from labonn.errors import LabonnError
from labonn.instruments.processes import lives
from labonn.records.runs import RunRecord
from labonn.report import flatten, show
from labonn.web.desk import METHODS
from labonn.web.launching import Launch
from labonn.web.log_tail import LogTail
from labonn.web.run_control import run_control
from labonn.web.shell import Visit, badge, button, card, facts, link, table, text, view

_LOOK_S = 0.5
_REPLAY_S = 3600.0
_GONE = "Its process is gone: it was killed, or the computer went off. The next command of labonn closes it as lost."
_OWN = ("status", "reason", "exit_code", "seconds")


async def one_run_view(visit: Visit, run: str) -> None:
    """Show it."""
    with view(visit, "/runs", "Run of a protocol"):
        try:
            record = await asyncio.to_thread(visit.desk.run, run)
        except LabonnError as error:
            text("p", str(error)).classes("alert").props('role="alert"')
            link("All runs", "/runs")
            return
        _Shown(visit, record)


class _Shown:
    """A run that is shown, and shown again when it has changed.

    Parameters
    ----------
    visit
        Who looks.
    record
        Its record, as it is now.
    """

    def __init__(self, visit: Visit, record: RunRecord) -> None:
        self._visit = visit
        self._record = record
        self._apart: ui.element | None = None
        self._gone = False
        self._head = ui.element("div")
        with ui.element("div").classes("cards") as self._cards:
            self._going_on = ui.element("div").classes("contents")
            with card("Log", wide=True).classes("log-card"):
                self._log = (
                    ui.log(max_lines=400).props('role="log" tabindex="0" aria-label="Log of the run"').classes("log")
                )
            self._found = ui.element("div").classes("contents")
        self._tail = LogTail(visit.desk.place.runs / record.id)
        self._show_head()
        self._show_found()
        if record.status == "running":
            with self._going_on:
                if visit.bench == record.bench:
                    run_control(visit)
                if visit.may_move:
                    with card("Without the bench") as self._apart:
                        text("p", "This run does not hold the bench now: it computes, or waits for it.").classes("soft")
                        button("Abort this run", self._abort, icon="stop", kind="grave")
        self._push(self._tail.more())
        ui.timer(_LOOK_S, self._look)

    async def _abort(self) -> None:
        await self._visit.trying(lambda: self._visit.desk.stop(self._visit.session, self._record.id), "asked to end")

    async def _look(self) -> None:
        self._push(await asyncio.to_thread(self._tail.more))
        if self._record.status != "running":
            return
        if self._apart is not None:
            held = self._visit.desk.states.benches.get(self._record.bench or "")
            self._apart.set_visibility(held is None or held.run != self._record.id)
        try:
            record = await asyncio.to_thread(self._visit.desk.run, self._record.id)
        except LabonnError:
            return  # it is being written
        if record.status == "running" and not self._gone and not lives(record.pid or 0, record.process_started or 0.0):
            self._gone = True
            self._show_head()
        if record.status != self._record.status:
            self._record = record
            self._apart, self._gone = None, False
            self._going_on.clear()
            self._show_head()
        elif len(record.figures) != len(self._record.figures):
            self._record = record
        else:
            return
        self._show_found()

    def _push(self, lines: list[str]) -> None:
        for line in lines:
            self._log.push(line)

    def _show_head(self) -> None:
        record = self._record
        self._head.clear()
        with self._head:
            with ui.element("div").classes("line"):
                badge(record.status)
                text("strong", f"{record.protocol.replace('_', ' ')} on {record.bench or 'no bench'}")
                text("span", f"{record.start_utc:%Y-%m-%d %H:%M:%S} UTC, by {record.operator}").classes("soft")
            if record.reason:
                text("p", record.reason).classes("alert" if record.status in ("failed", "lost") else "remark")
            if self._gone:
                text("p", _GONE).classes("alert").props('role="alert"')
            text("p", record.id).classes("soft mono")

    def _show_found(self) -> None:
        record = self._record
        self._cards.classes(add="" if record.status == "running" else "ended")  # then the answer comes first
        self._found.clear()
        with self._found:
            if record.status != "running":
                with card("Result"):
                    facts(_single(record.result or {}))
                    with ui.element("div").classes("line"):
                        link("Open the report", f"/runs/{record.id}/report.html", new=True).classes("as-button")
                if record.notes.get("in use") and record.protocol == "recalibrate" and self._visit.may_move:
                    self._replaying()
            if record.figures:
                with card("Pictures", wide=True), ui.element("div").classes("pictures"):
                    for number, figure in enumerate(record.figures):
                        _figure(record.id, number, figure.name, figure.caption)
            for one in record.tables:
                _rows(one.name, one.rows)
            with card("Circumstances"):
                facts(_circumstances(record))

    def _replaying(self) -> None:
        with card("Replay a method on these captures"):
            text("p", "Refits the twin, and compares methods on the run's own validation captures. Releases nothing.")
            choice = ui.select(list(METHODS), value="all", label="method").props("outlined dense")
            outcome = ui.element("div").props('aria-live="polite"')

            async def replay() -> None:
                visit = self._visit
                try:
                    launch = visit.desk.replay(visit.session, self._record.id, str(choice.value))
                except LabonnError as error:
                    outcome.clear()
                    with outcome:
                        text("p", str(error)).classes("alert").props('role="alert"')
                    return
                with outcome:
                    waiting = text("p", "It goes on; this takes some minutes, and does not need the bench.").classes(
                        "soft"
                    )
                await visit.desk.launcher.ends(launch, _REPLAY_S)
                waiting.delete()
                with outcome:
                    _replayed(launch)

            button("Replay", replay, icon="replay")


def _replayed(launch: Launch) -> None:
    if launch.error:
        text("p", launch.error).classes("alert").props('role="alert"')
        return
    answer = launch.answer
    methods: Mapping[str, float] = answer.get("methods", {})
    gained = methods.get("none", 0.0)
    rows = [[name, f"{value:.2f}", f"{value - gained:+.2f}"] for name, value in methods.items()]
    table(["method", "%", "points gained"], rows, "Methods")
    text(
        "p", f"{answer.get('captures')} captures for the fit, {answer.get('validation_captures')} for the comparison."
    ).classes("soft")


def _figure(run: str, number: int, name: str, caption: str) -> None:
    address = f"/runs/{run}/figures/{number}"
    with ui.element("figure"):
        with ui.element("a").props(f'href="{address}" target="_blank"'):
            picture = ui.element("img").props(f'src="{address}" loading="lazy"')
            picture.props["alt"] = name
        with ui.element("figcaption"):
            text("strong", name)
            text("span", f" {caption}")


def _rows(name: str, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with card(name, wide=True):
        table(columns, [[_shown(column, row.get(column)) for column in columns] for row in rows], name)


def _shown(column: str, value: Any) -> str:
    kinds = {"ok": "good", "drifted": "warn", "failed": "bad", "skipped": "neutral"}
    if column == "state" and value in kinds:
        return f":{kinds[value]}:{value}"
    said = show(value)
    return f" {said}" if said.startswith(("/", ":")) else said


def _single(result: Mapping[str, Any]) -> dict[str, str]:
    """Give what a result says in single values; its rows are in the run's tables."""
    own = {
        key: value
        for key, value in result.items()
        if key not in _OWN and not (isinstance(value, list) and value and isinstance(value[0], Mapping))
    }
    return {key.replace("_", " "): show(value) for key, value in flatten(own).items()}


def _circumstances(record: RunRecord) -> dict[str, str]:
    took = "" if record.stop_monotonic_s is None else f"{record.stop_monotonic_s - record.start_monotonic_s:.1f} s"
    return {
        "took": took,
        "script": record.script or "",
        "bench file": record.bench_file or "",
        "seed": show(record.seed),
        "git commit": record.git_commit or "",
        **{f"parameter {key}": show(value) for key, value in record.parameters.items()},
    }
