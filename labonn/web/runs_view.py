"""The runs of the laboratory: search, open, compare two."""

import asyncio
from datetime import datetime

from nicegui import ui

from labonn.errors import LabonnError
from labonn.records.catalogue import Catalogue, RunLine
from labonn.web.desk import Desk
from labonn.web.shell import STATUS_KINDS, Visit, badge, button, card, link, tell, text, view

_A_PAGE = 50
_STATES = ["running", "done", "failed", "refused", "aborted", "lost"]


def find_lines(
    desk: Desk, words: str, protocol: str | None, bench: str | None, status: str | None, limit: int
) -> tuple[list[RunLine], int, list[str], list[str]]:
    """Find runs, the latest first; also how many there are, and all names of protocols and benches."""
    with Catalogue(desk.place.lab) as catalogue:
        catalogue.catch_up()
        lines, _ = catalogue.find(protocol=protocol, bench=bench, status=status)
        everything, _ = catalogue.find()
    wanted = words.lower().split()
    fitting = [line for line in lines if all(word in _searched(line) for word in wanted)]
    protocols = sorted({line.protocol for line in everything})
    benches = sorted({line.bench for line in everything if line.bench})
    return fitting[:limit], len(fitting), protocols, benches


def _searched(line: RunLine) -> str:
    return " ".join(
        str(part) for part in (line.id, line.protocol, line.bench, line.operator, line.release, line.reason) if part
    ).lower()


async def runs_view(visit: Visit) -> None:
    """Show it."""
    with view(visit, "/runs", "Runs"):
        try:
            _, count, protocols, benches = await asyncio.to_thread(find_lines, visit.desk, "", None, None, None, 0)
        except LabonnError as error:
            text("p", str(error)).classes("alert").props('role="alert"')
            return
        if not count:
            with card("No runs yet", wide=True):
                text("p", "What was run is listed here, with its report.")
                link("Run a protocol", visit.to("/run"))
            return
        _Search(visit, protocols, benches)


class _Search:
    """What is searched for, and what was found."""

    def __init__(self, visit: Visit, protocols: list[str], benches: list[str]) -> None:
        self._visit = visit
        self._limit = _A_PAGE
        self._picked: list[str] = []
        with ui.element("div").classes("search").props('role="search"'):
            self._words = ui.input("search", on_change=self._again).props(
                "outlined dense clearable maxlength=200 debounce=300"
            )
            self._protocol = self._choice("protocol", protocols)
            self._bench = self._choice("bench", benches)
            self._status = self._choice("status", _STATES)
        self._count = text("p", "").classes("soft").props('role="status"')
        with ui.element("div").classes("compare-bar") as self._bar:
            self._said = text("span", "")
            self._compare = button("Compare", self._open_comparison, icon="compare_arrows", kind="main")
        self._list = ui.element("ul").classes("runs")
        ui.timer(0.0, self._again, once=True)
        ui.timer(5.0, self._again)

    def _choice(self, label: str, options: list[str]) -> ui.select:
        return ui.select(options, label=label, clearable=True, on_change=self._again).props("outlined dense")

    async def _again(self) -> None:
        words = str(self._words.value or "")[:200]
        picked = (self._protocol.value, self._bench.value, self._status.value)
        try:
            lines, count, _, _ = await asyncio.to_thread(find_lines, self._visit.desk, words, *picked, self._limit)
        except LabonnError as error:
            tell(str(error), "negative")
            return
        self._show(lines, count)

    def _show(self, lines: list[RunLine], count: int) -> None:
        self._count.text = f"{count} runs" + (f", the latest {len(lines)} shown" if count > len(lines) else "")
        self._update_bar()
        self._list.clear()
        with self._list:
            for line in lines:
                _line(line, line.id in self._picked, self._pick)
            if count > len(lines):
                with ui.element("li"):
                    button("Show more", self._more)

    async def _more(self) -> None:
        self._limit += _A_PAGE
        await self._again()

    def _pick(self, run: str, picked: bool) -> None:
        self._picked = [one for one in self._picked if one != run] + ([run] if picked else [])
        self._picked = self._picked[-2:]
        self._update_bar()

    def _update_bar(self) -> None:
        self._bar.set_visibility(bool(self._picked))
        self._compare.set_enabled(len(self._picked) == 2)
        self._said.text = (
            "choose another one to compare with" if len(self._picked) == 1 else "compare the two that are chosen"
        )

    def _open_comparison(self) -> None:
        first, second = sorted(self._picked)
        ui.navigate.to(f"/compare?a={first}&b={second}")


def _line(line: RunLine, picked: bool, pick: object) -> None:
    assert callable(pick)
    with ui.element("li").classes("run"):
        ui.checkbox(value=picked, on_change=lambda event: pick(line.id, bool(event.value))).props(
            f'aria-label="compare {line.id}" size="lg"'
        )
        with ui.element("div").classes("what"):
            with ui.element("div").classes("line"):
                link(line.protocol.replace("_", " "), f"/runs/{line.id}").classes("protocol")
                badge(line.status, STATUS_KINDS.get(line.status, "neutral"))
            said = [
                line.bench or "no bench",
                _when(line),
                f"{line.seconds:.0f} s" if line.seconds else "",
                line.operator or "",
            ]
            text("div", " \u00b7 ".join(part for part in said if part)).classes("soft")
            if line.reason:
                text("div", line.reason.splitlines()[0][:200]).classes("reason")


def _when(line: RunLine) -> str:
    if line.start_utc is None:
        return line.id[:16]
    return f"{datetime.fromisoformat(line.start_utc):%Y-%m-%d %H:%M} UTC"
