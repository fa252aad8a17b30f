"""The releases of a bench: their accuracy over time, what each changed, and the way back."""

import asyncio
from dataclasses import dataclass
from typing import Any

from nicegui import ui

from labonn.errors import LabonnError
from labonn.records.in_use import release_in_use
from labonn.records.releases import Release, last_good_release, list_releases, read_release
from labonn.report import show
from labonn.web.charts import BLUE, GREEN, series_over_time
from labonn.web.launching import SLOW
from labonn.web.shell import Visit, at, badge, button, card, chosen_bench, facts, link, tell, text, view

_MOST = 200


@dataclass(frozen=True)
class Row:
    """A release, or what is wrong with one."""

    id: str
    release: Release | None
    damage: str | None = None


@dataclass(frozen=True)
class Found:
    """The releases of a bench, the latest first."""

    rows: tuple[Row, ...]
    in_use: str | None
    back_to: str | None
    """Where a rollback leads; None where it cannot."""
    why_not: str | None
    passed_over: tuple[str, ...] = ()


def find_releases(visit: Visit) -> Found:
    """Read the releases of a bench.

    Raises
    ------
    RecordError
        If it cannot be read which one is in use.
    """
    lab, bench = visit.desk.place.lab, visit.bench or ""
    rows = []
    for name in reversed(list_releases(lab)[-_MOST:]):
        try:
            release = read_release(lab, name)
        except LabonnError as error:
            rows.append(Row(name, None, str(error)))
            continue
        if release.bench == bench:
            rows.append(Row(name, release))
    in_use = release_in_use(lab, bench)
    try:
        back_to, damaged = last_good_release(lab, bench)
    except LabonnError as error:
        return Found(tuple(rows), in_use, None, str(error))
    return Found(tuple(rows), in_use, back_to.id, None, tuple(damaged))


def accuracy_of(release: Release) -> tuple[float | None, float | None]:
    """Give what the release before it reached on the captures that released this one, and what it reached itself."""
    accuracy = release.figures.get("accuracy") or release.figures.get("miou") or {}
    numbers = {name: float(value) for name, value in accuracy.items() if isinstance(value, (int, float))}
    before = numbers.pop("none", None)
    chosen = str(release.figures.get("gate", "")).partition(":")[0]
    return before, numbers.get(chosen, max(numbers.values(), default=before))


async def releases_view(visit: Visit) -> None:
    """Show it."""
    with view(visit, "/releases", "Releases"):
        if chosen_bench(visit) is None:
            return
        try:
            found = await asyncio.to_thread(find_releases, visit)
        except LabonnError as error:
            text("p", str(error)).classes("alert").props('role="alert"')
            return
        if not found.rows:
            with card("Nothing is released yet", wide=True):
                text("p", "A network is trained, put on the bench and released by train_and_deploy.")
                link("Run it", visit.to("/run", protocol="train_and_deploy"))
            return
        with ui.element("div").classes("cards"):
            _in_use(visit, found)
            _over_time(found)
            for row in found.rows:
                _release(row, found)


def _in_use(visit: Visit, found: Found) -> None:
    with card("In use"):
        text("p", found.in_use or "nothing").classes("now")
        row = next((row for row in found.rows if row.id == found.in_use), None)
        if row is not None and row.release is not None:
            facts({"made": at(row.release.made_utc), "model": row.release.model})
        if row is not None and row.damage:
            text("p", row.damage).classes("alert")
        if not visit.may_move:
            return
        if found.back_to is None:
            text("p", found.why_not or "").classes("soft")
        else:
            button("Roll back \u2026", lambda: _ask(visit, found), icon="undo", kind="grave")


def _ask(visit: Visit, found: Found) -> None:
    """Say what will happen, and ask."""
    with ui.dialog(value=True).props('aria-labelledby="roll-back"') as dialog, ui.element("div").classes("card"):
        text("h2", "Roll back this bench?").props('id="roll-back"')
        text("p", f"Bench {visit.bench} goes back from {found.in_use} to {found.back_to}.")
        for damage in found.passed_over:
            text("p", f"Passed over: {damage}").classes("remark")
        text(
            "p",
            "The run opens the bench, calibrates, and captures 100 labelled images. If they show that the release in"
            " use is better, it stands, unless you go back whatever they show. The pointer moves at the end of the run;"
            " a bench that is in use refuses.",
        )
        force = ui.checkbox("go back even if the captures show that the release in use is better")
        with ui.element("div").classes("line"):

            async def go() -> None:
                dialog.close()
                await _roll_back(visit, force=bool(force.value))

            button("Roll back", go, icon="undo", kind="grave")
            button("Leave it", dialog.close)


async def _roll_back(visit: Visit, *, force: bool) -> None:
    try:
        launch = visit.desk.roll_back(visit.session, visit.bench or "", force=force)
        tell("the rollback starts \u2026")
        begun = await visit.desk.launcher.run_begins(launch)
    except LabonnError as error:
        tell(str(error), "negative")
        return
    if begun:
        ui.navigate.to(f"/runs/{launch.run}")
    else:
        tell(SLOW, "warning")


def _over_time(found: Found) -> None:
    before, after = [], []
    for row in reversed(found.rows):
        if row.release is not None:
            was, is_now = accuracy_of(row.release)
            before.append([row.release.made_utc, was])
            after.append([row.release.made_utc, is_now])
    options: dict[str, Any] = series_over_time(
        {"the one before, on the same captures": (before, GREEN, "triangle"), "release": (after, BLUE, "circle")},
        "%",
    )
    options["yAxis"]["max"] = 100
    with card("Accuracy on the captures that released each"):
        chart = ui.echart(options, renderer="svg").classes("chart")
        chart.props('role="img" aria-label="Accuracy of each release, over time; the numbers stand below"')


def _release(row: Row, found: Found) -> None:
    with card(row.id):
        if row.id == found.in_use:
            badge("in use", "good")
        if row.release is None:
            badge("damaged", "bad")
            text("p", row.damage or "")
            return
        release = row.release
        before, after = accuracy_of(release)
        rows = {"accuracy": f"{show(after)} %"}
        if before is not None and after is not None and before != after:
            rows["gained"] = f"{after - before:+.2f} points"
        facts({**rows, "made": at(release.made_utc), "model": release.model})
        if gate := release.figures.get("gate"):
            text("p", str(gate)).classes("soft")
        link("its run", f"/runs/{release.run}")
