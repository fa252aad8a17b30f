"""The bench: is it dark, who holds it, what its instruments say, what its interlocks watch."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nicegui import ui

from labonn.errors import LabonnError
from labonn.instruments.bench_config import BenchConfig
from labonn.records.catalogue import Catalogue
from labonn.records.in_use import release_in_use
from labonn.records.runs import RunRecord, read_run
from labonn.report import readable_checks, readable_instruments, show
from labonn.web.desk import Desk
from labonn.web.run_control import run_control
from labonn.web.shell import STATUS_KINDS, Visit, badge, button, card, facts, link, table, text, view
from labonn.web.states import PERIOD_S

CHECK = "check_bench"
_COLUMNS = ("check", "state", "measured", "must be", "remark")
_UNITS = {"power_mw": "mW", "celsius": "\u00b0C", "wavelength_nm": "nm", "position_um": "\u00b5m"}


@dataclass(frozen=True)
class LastCheck:
    """What the latest check of a bench found, and who its instruments said they are."""

    record: RunRecord | None = None
    instruments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    checks: tuple[Mapping[str, str], ...] = ()
    identities: Mapping[str, str] = field(default_factory=dict)
    release: str | None = None
    remark: str | None = None


def last_check(desk: Desk, bench: str) -> LastCheck:
    """Read the latest check of a bench, and what its latest run knew of its instruments."""
    lab = desk.place.lab
    try:
        with Catalogue(lab) as catalogue:
            checked = catalogue.find(protocol=CHECK, bench=bench, limit=1)[0]
            latest = catalogue.find(bench=bench, limit=5)[0]
        record = read_run(desk.place.runs / checked[0].id) if checked else None
        known = [read_run(desk.place.runs / line.id) for line in latest]
        release = release_in_use(lab, bench)
    except LabonnError as error:
        return LastCheck(remark=str(error))
    settings = next((one.instruments for one in known if one.instruments), {}).get("instruments", {})
    identities = {name: str(one.get("identity", "")) for name, one in settings.items()}
    result = (record.result or {}) if record else {}
    rows = readable_instruments(result.get("instruments", []))
    checks = tuple(readable_checks(result.get("checks", [])))
    return LastCheck(record, {row["instrument"]: row for row in rows}, checks, identities, release)


async def bench_view(visit: Visit) -> None:
    """Show it."""
    with view(visit, "/", "Bench"):
        if visit.bench is None:
            _first_steps(visit)
            return
        bench = visit.desk.bench(visit.bench)
        found = await asyncio.to_thread(last_check, visit.desk, bench.name)
        if bench.error is not None:
            text("p", bench.error).classes("alert").props('role="alert"')
        if found.remark is not None:
            text("p", found.remark).classes("alert").props('role="alert"')
        with ui.element("div").classes("cards"):
            run_control(visit)
            if bench.config is not None:
                _interlocks(visit, bench.config)
                _instruments(visit, bench.config, found)
            _check(visit, found)
            with card("In use"):
                facts({"release": found.release or "none yet", "bench file": str(bench.path)})
                if found.release is None:
                    text("p", "Nothing is released on this bench yet: run train_and_deploy.")
                    link("Run a protocol", visit.to("/run", protocol="train_and_deploy"))


def _interlocks(visit: Visit, config: BenchConfig) -> None:
    if config.interlocks is None:
        with card("Interlocks"):
            text("p", "The bench file has none.")
        return
    conditions = config.interlocks.conditions
    with card("Interlocks"):
        rows = []
        with ui.element("ul").classes("interlocks"):
            for _ in conditions:
                with ui.element("li") as row:
                    sign, said, reads = (text("span", "").classes(kind) for kind in ("sign", "said", "reads"))
                    sign.props('aria-hidden="true"')
                    rows.append((row, sign, said, reads))
        foot = text("p", "").classes("soft")

    def update() -> None:
        state = visit.state
        readings = {} if state is None else state.told.get("readings", {})
        for condition, (row, sign, said, reads) in zip(conditions, rows, strict=True):
            value = readings.get(f"{condition.instrument}.{condition.reading}")
            holds = None if value is None else condition.allows(value)
            said.text = str(condition)
            reads.text = "" if value is None else _reading(condition.reading, value)
            sign.text = {None: "\u2013", True: "\u2713", False: "\u2717"}[holds]
            row.classes(remove="good bad neutral", add={None: "neutral", True: "good", False: "bad"}[holds])
        tripped = None if state is None else state.told.get("tripped")
        period_ms = config.interlocks.period_ms if config.interlocks else 0
        foot.text = str(tripped) if tripped else (
            f"watched every {period_ms:g} ms" if readings else "watched while a run holds the bench"
        )  # fmt: skip

    update()
    ui.timer(PERIOD_S, update)


def _instruments(visit: Visit, config: BenchConfig, found: LastCheck) -> None:
    with card("Instruments", wide=True), ui.element("ul").classes("instruments"):
        cells = {}
        for role, name in config.roles.named().items():
            with ui.element("li"):
                with ui.element("div").classes("head"):
                    text("span", name).classes("name")
                    text("span", role if role != name else "").classes("soft")
                    checked = found.instruments.get(name)
                    if checked is not None:
                        badge(checked["state"])
                cells[name] = text("div", "").classes("reads")
                who = found.identities.get(name) or (checked or {}).get("says that it is", "")
                text("div", who or f"driver {config.instruments[name].driver}").classes("soft who")
                if checked is not None and checked["remark"]:
                    text("div", checked["remark"]).classes("warn-text")

    def update() -> None:
        state = visit.state
        told = {} if state is None else state.told
        said: dict[str, list[str]] = {name: [] for name in cells}
        for key, value in told.get("readings", {}).items():
            instrument, _, reading = key.partition(".")
            if reading != "obeys" and instrument in said:
                said[instrument].append(_reading(reading, value))
        if told and "lit" in told:
            said[config.roles.shutter].append("told to be open" if told["lit"] else "closed")
        if camera := told.get("camera"):
            height, width = camera["shape"]
            said[config.roles.camera].append(f"{camera['exposure_ms']:.4g} ms, {height} x {width} px")
        for name, cell in cells.items():
            cell.text = ", ".join(said[name])

    update()
    ui.timer(PERIOD_S, update)


def _check(visit: Visit, found: LastCheck) -> None:
    with card("Last check", wide=True):
        if found.record is None:
            text("p", "This bench was not checked yet: a check opens every instrument and says what is wrong.")
        else:
            with ui.element("div").classes("line"):
                badge(found.record.status)
                link(f"{found.record.start_utc:%Y-%m-%d %H:%M} UTC", f"/runs/{found.record.id}")
                text("span", f"by {found.record.operator}").classes("soft")
            if found.record.reason:
                text("p", found.record.reason)
            if found.checks:
                rows = [[_plain(column, one[column]) for column in _COLUMNS] for one in found.checks]
                table(list(_COLUMNS), rows, "The last check")
        if visit.may_move:
            button("Check the bench", lambda: ui.navigate.to(visit.to("/run", protocol=CHECK)), icon="fact_check")


def _plain(column: str, value: str) -> str:
    return f":{STATUS_KINDS.get(value, 'neutral')}:{value}" if column == "state" else f" {value}"


def _reading(name: str, value: Any) -> str:
    if name == "interlock_closed":
        return "interlock closed" if value else "interlock OPEN"
    if name == "obeys":
        return "obeys" if value else "does NOT obey"
    return f"{show(value)} {_UNITS.get(name, '')}".strip()


def _first_steps(visit: Visit) -> None:
    lab = visit.desk.place.lab
    with card("Begin here", wide=True):
        text("p", f"The laboratory in {lab} has no bench and no runs yet. On the computer of the bench:")
        steps = (
            ("Look round first, without instruments", f"labonn demo --lab {lab}"),
            ("Or begin with your own bench", f"labonn init {lab.parent} --lab {lab}"),
            ("List what this computer can open", f"labonn bench discover --write {lab.parent}/NAME.bench.toml"),
            (
                "Open every instrument, and see what is wrong",
                f"labonn bench check {lab.parent}/NAME.bench.toml --lab {lab}",
            ),
        )
        with ui.element("ol").classes("steps"):
            for what, command in steps:
                with ui.element("li"):
                    text("span", what)
                    text("code", command)
        text(
            "p", "Benches appear here by themselves: those in this folder and beside it, and those of its runs."
        ).classes("soft")
