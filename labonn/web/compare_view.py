"""Two runs beside each other: what differed in what they were told, and in what they found."""

import asyncio
from typing import Any

from nicegui import ui

from labonn.errors import LabonnError
from labonn.records.runs import RunRecord
from labonn.report import flatten, show
from labonn.web.shell import Visit, badge, card, link, table, text, view

_MOST = 200


async def compare_view(visit: Visit, first: str, second: str) -> None:
    """Show it."""
    with view(visit, "/runs", "Two runs compared"):
        try:
            a, b = [await asyncio.to_thread(visit.desk.run, run) for run in (first, second)]
        except LabonnError as error:
            text("p", str(error)).classes("alert").props('role="alert"')
            link("All runs", "/runs")
            return
        with ui.element("div").classes("cards"):
            for name, record in (("A", a), ("B", b)):
                with card(f"{name}: {record.protocol} on {record.bench}"):
                    badge(record.status)
                    text("p", f"{record.start_utc:%Y-%m-%d %H:%M} UTC, by {record.operator}").classes("soft")
                    link(record.id, f"/runs/{record.id}")
            _differences("What they found", a.result or {}, b.result or {}, same=True)
            _differences("What they were told", told(a), told(b))
            _differences("How the instruments were set", settings(a), settings(b))
            with card("Seconds", wide=True):
                steps = dict.fromkeys([*a.seconds, *b.seconds])
                rows = [[step, *(_seconds(one.seconds.get(step)) for one in (a, b))] for step in steps]
                table(["step", "A", "B"], rows, "Seconds of each step")
            _pictures(a, b)


def told(record: RunRecord) -> dict[str, Any]:
    """Give what a run was told, and with what it was carried out."""
    return {**record.parameters, "script": record.script_sha256, "git commit": record.git_commit, **record.versions}


def settings(record: RunRecord) -> dict[str, Any]:
    """Give the instruments' settings when the bench was opened."""
    return dict((record.instruments or {}).get("instruments", {}))


def differences(a: dict[str, Any], b: dict[str, Any], *, same: bool = False) -> list[list[str]]:
    """List what differs: name, first, second, and the difference of numbers; what is equal, too, if `same`."""
    flat_a, flat_b = flatten(a), flatten(b)
    rows = []
    for name in dict.fromkeys([*flat_a, *flat_b]):
        one, other = flat_a.get(name), flat_b.get(name)
        if isinstance(one, list) or isinstance(other, list) or (one == other and not same):
            continue
        rows.append([f" {name}", show(one), show(other), _difference(one, other)])
    return rows[:_MOST]


def _differences(title: str, a: dict[str, Any], b: dict[str, Any], *, same: bool = False) -> None:
    rows = differences(a, b, same=same)
    with card(title, wide=True):
        if rows:
            table(["", "A", "B", "B - A"], [[f" {cell}" for cell in row] for row in rows], title)
        else:
            text("p", "No difference.")


def _difference(one: Any, other: Any) -> str:
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in (one, other))
    return f"{other - one:+.4g}" if numbers and one != other else ""


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _pictures(a: RunRecord, b: RunRecord) -> None:
    names = [figure.name for figure in a.figures]
    both = [figure.name for figure in b.figures if figure.name in names]
    for name in both:
        with card(name, wide=True), ui.element("div").classes("side-by-side"):
            for record in (a, b):
                number = next(i for i, figure in enumerate(record.figures) if figure.name == name)
                picture = ui.element("img").props(f'src="/runs/{record.id}/figures/{number}" loading="lazy"')
                picture.props["alt"] = f"{name} of {record.id}"
