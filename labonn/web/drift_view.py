"""How the bench drifts: the control chart of the release in use, readings over the month, what is due next."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from nicegui import ui

from labonn.errors import LabonnError
from labonn.jobs.due import Look, look, look_for_watch
from labonn.jobs.history import Attempt, read_history
from labonn.records.calibrations import StoredCalibration, calibration_history
from labonn.records.disk import utc_now
from labonn.records.in_use import release_in_use
from labonn.records.watches import PROTOCOL, Watch, watches_of
from labonn.report import show
from labonn.web.charts import BLUE, GREEN, ORANGE, VERMILLION, series_over_time
from labonn.web.shell import Visit, at, badge, button, card, chosen_bench, facts, link, table, text, view

_MONTH = timedelta(days=30)


@dataclass(frozen=True)
class Drift:
    """What is known of a bench's drift."""

    watches: tuple[Watch, ...]
    """Of the last month, the latest first."""
    release: str | None
    recalibration: Look
    watch: Look
    attempts: tuple[Attempt, ...]
    calibrations: tuple[StoredCalibration, ...]


def find_drift(visit: Visit) -> Drift:
    """Read it.

    Raises
    ------
    RecordError
        If the records cannot be read.
    """
    lab, bench, now = visit.desk.place.lab, visit.bench or "", utc_now()
    config = visit.desk.bench(bench).config
    schedule = None if config is None else config.schedule
    history = read_history(lab, bench)
    return Drift(
        tuple(watch for watch in watches_of(lab, bench, most=1_000) if watch.begun > now - _MONTH),
        release_in_use(lab, bench),
        look(schedule, history, now),
        look_for_watch(schedule, history, now),
        tuple(attempt for attempt in history.attempts if attempt.begun > now - _MONTH),
        tuple(one for one in calibration_history(lab, bench) if one.made.astimezone(UTC) > now - _MONTH),
    )


async def drift_view(visit: Visit) -> None:
    """Show it."""
    with view(visit, "/drift", "Drift"):
        if chosen_bench(visit) is None:
            return
        try:
            found = await asyncio.to_thread(find_drift, visit)
        except LabonnError as error:
            text("p", str(error)).classes("alert").props('role="alert"')
            return
        with ui.element("div").classes("cards"):
            _next(visit, found)
            _latest(visit, found)
            _chart(found)
            _recalibrations(found)
            _calibrations(found.calibrations)


def _next(visit: Visit, found: Drift) -> None:
    with card("Next"):
        due = found.recalibration
        if due.due:
            badge("a recalibration is due", "warn")
        facts(
            {"recalibration": _when(due), "why": due.why, "watch for drift": _when(found.watch), "by": found.watch.why}
        )
        if visit.may_move:
            with ui.element("div").classes("line"):
                kind = "main" if due.due else ""
                recalibrate, watch = (visit.to("/run", protocol=one) for one in ("recalibrate", PROTOCOL))
                button("Recalibrate", lambda: ui.navigate.to(recalibrate), icon="tune", kind=kind)
                button("Watch now", lambda: ui.navigate.to(watch), icon="visibility")


def _latest(visit: Visit, found: Drift) -> None:
    with card("Latest watch"):
        if not found.watches:
            text("p", "The bench was not watched in the last month: a watch shows a few images, and needs no labels.")
            return
        watch = found.watches[0]
        sign = (
            ("recalibrate", "bad") if watch.due else ("has changed", "warn") if watch.alarm else ("in control", "good")
        )
        badge(*sign)
        facts(
            {
                "predicted loss": f"{watch.predicted_loss_points:.2f} points",
                "control limit": f"{watch.control_limit_points:.2f} points",
                "at": f"{watch.begun:%Y-%m-%d %H:%M} UTC",
            }
        )
        if watch.release != found.release:
            text("p", "It looked at an earlier release than the one in use, and says nothing of this one.").classes(
                "remark"
            )
        link("its run", f"/runs/{watch.run}")


def _chart(found: Drift) -> None:
    with card("Control chart: predicted loss at each watch of the last month", wide=True):
        if not found.watches:
            text("p", "There are no watches.")
            return
        watches = list(reversed(found.watches))
        moments = [watch.begun.isoformat() for watch in watches]
        losses = [[moment, watch.predicted_loss_points] for moment, watch in zip(moments, watches, strict=True)]
        limits = [[moment, watch.control_limit_points] for moment, watch in zip(moments, watches, strict=True)]
        options = series_over_time(
            {"predicted loss": (losses, BLUE, "circle"), "control limit": (limits, ORANGE, "none")}, "points"
        )
        options["series"][1]["lineStyle"] = {"color": ORANGE, "type": "dashed", "width": 2}
        options["series"][0]["markLine"] = _releases_between(watches)
        chart = ui.echart(options, renderer="svg").classes("chart")
        chart.props('role="img" aria-label="Predicted loss and control limit of each watch; the numbers stand below"')
        rows = [
            [
                f"/runs/{watch.run}|{watch.begun:%m-%d %H:%M}",
                f"{watch.predicted_loss_points:.3f}",
                f"{watch.control_limit_points:.3f}",
                ":bad:due" if watch.due else ":warn:alarm" if watch.alarm else ":good:in control",
                watch.release,
            ]
            for watch in found.watches[:20]
        ]
        table(["watch (UTC)", "loss, points", "limit, points", "state", "release"], rows, "The latest watches")


def _releases_between(watches: Sequence[Watch]) -> dict[str, Any]:
    """Mark where another release came into use."""
    marks = [
        {"xAxis": later.begun.isoformat(), "label": {"formatter": "release", "color": GREEN}}
        for earlier, later in pairwise(watches)
        if earlier.release != later.release
    ]
    return {"symbol": "none", "lineStyle": {"color": GREEN, "type": "dotted"}, "data": marks}


def _recalibrations(found: Drift) -> None:
    with card("Recalibrations of the last month"):
        if not found.attempts:
            text("p", "There was none.")
            return
        rows = [
            [
                f"/runs/{attempt.run}|{attempt.begun:%m-%d %H:%M}" if attempt.run else f"{attempt.begun:%m-%d %H:%M}",
                f":{_KINDS.get(attempt.status, 'neutral')}:{attempt.status}",
                f"{(attempt.ended - attempt.begun).total_seconds():.0f} s",
            ]
            for attempt in found.attempts[:30]
        ]
        table(["begun (UTC)", "ended as", "took"], rows, "Recalibrations")


_KINDS = {"done": "good", "refused": "warn", "failed": "bad", "aborted": "warn", "lost": "bad"}


def _calibrations(made: Sequence[StoredCalibration]) -> None:
    """Show how well each kind of calibration fitted, over the month."""
    kinds = dict.fromkeys(one.kind for one in made)
    for kind in kinds:
        of_kind = [one for one in made if one.kind == kind]
        fits = [[one.made_utc, one.fit_error] for one in of_kind if one.fit_error is not None and one.good]
        failed = [one for one in of_kind if not one.good]
        if len(fits) < 2 and not failed:
            continue
        with card(f"Calibration: {kind.replace('_', ' ')}"):
            if len(fits) >= 2:
                options = series_over_time({"fit error": (fits, VERMILLION, "diamond")}, "")
                options.pop("legend")
                chart = ui.echart(options, renderer="svg").classes("chart").style("height: 12rem")
                last = show(fits[-1][1])
                chart.props(f'role="img" aria-label="Fit error of each calibration; the last is {last}"')
                text("p", of_kind[-1].fit_error_of).classes("soft")
            for one in failed[-3:]:
                text("p", f"{at(one.made_utc)}: {one.reason}").classes("remark")


def _when(found: Look) -> str:
    if found.due:
        return "now"
    if found.next is None:
        return "nothing is planned"
    return f"{found.next.astimezone():%Y-%m-%d %H:%M}, in {_in_words(found.next - datetime.now(UTC))}"


def _in_words(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    if hours < 1:
        return f"{60 * hours:.0f} min"
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"
