"""The report of a sweep: its front, all trials side by side, the best designs as files that can be used."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from labonn.design.writing import design_toml
from labonn.records.disk import write_atomically
from labonn.report import Page, figures
from labonn.sweeps.proposing import trials_of
from labonn.sweeps.sweep import ReadSweep
from labonn.sweeps.trial import Outcome
from labonn.sweeps.varying import vary

BEST = 10  # designs that are written
SHOWN = 200  # trials in the report's table; the Parquet file has all


def write_report(
    folder: Path, read: ReadSweep, outcomes: Sequence[Outcome], front: Sequence[Outcome]
) -> tuple[Path, tuple[Path, ...]]:
    """Write ``report.html``, and ``designs/`` with the front's; gives their paths.

    Raises
    ------
    RecordError
        If the disk refuses.
    """
    sweep, goals = read.sweep, read.sweep.goals
    designs = [_write_design(folder, read, outcome) for outcome in front[:BEST]]
    counts = {status: sum(one.status == status for one in outcomes) for status in ("done", "refused", "failed")}
    page = Page(f"Sweep {sweep.name}: {sweep.does} {read.design.name}")
    said = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    page.banner("good" if counts["done"] else "bad", f"{len(outcomes)} of {trials_of(sweep)} trials: {said or 'none'}")
    page.heading("What nothing beats")
    goal_text = ", ".join(f"{name} {'high' if goal == 'max' else 'low'}" for name, goal in goals.items())
    page.text(f"No trial is as good in every goal and better in one. Goals: {goal_text}.")
    page.table([{"trial": one.number, **one.figures, **_words(one)} for one in front])
    done = [one for one in outcomes if one.status == "done" and goals.keys() <= one.figures.keys()]
    if done:
        best = {one.number for one in front}
        names = list(goals)
        for name in names[1:]:
            drawn = figures.trade_off(
                [(one.figures[name], one.figures[names[0]], one.number in best) for one in done],
                names=(name, names[0]),
            )
            page.figure(_png(drawn), f"{names[0]} against {name}", "Filled: what nothing beats in all goals together.")
        keys = [key for key in sweep.keys if all(isinstance(one.settings.get(key), (int, float)) for one in done)]
        columns = [*keys, *names]
        rows = [[float(one.settings[key]) for key in keys] + [one.figures[name] for name in names] for one in done]
        if len(columns) > 1:
            drawn = figures.parallel_coordinates(rows, columns, [one.number in best for one in done])
            page.figure(_png(drawn), "Keys and goals", "A line a trial; coloured: what nothing beats.")
    if designs:
        page.heading("The best designs, as files")
        for path in designs:
            page.command(str(path))
    missed = [one for one in outcomes if one.status != "done"]
    if missed:
        page.heading("Refused and failed")
        page.table([{"trial": one.number, "status": one.status, **_words(one), "said": one.error} for one in missed])
    page.heading("Trials")
    page.table([{"trial": one.number, "status": one.status, **_words(one), **one.figures} for one in outcomes[:SHOWN]])
    if len(outcomes) > SHOWN:
        page.text(f"The first {SHOWN}; results.parquet has all {len(outcomes)}.")
    page.folded("The sweep", sweep.model_dump(mode="json", by_alias=True))
    path = folder / "report.html"
    write_atomically(path, page.html().encode("utf-8"))
    return path, tuple(designs)


def _write_design(folder: Path, read: ReadSweep, outcome: Outcome) -> Path:
    name = f"{read.sweep.name}-{outcome.number}"
    design = vary(read.design, outcome.settings, name=name, fit_optic=read.sweep.fit_optic)
    said = ", ".join(f"{figure} {value:.4g}" for figure, value in outcome.figures.items())
    path = folder / "designs" / f"{name}.design.toml"
    text = design_toml(design, f"Trial {outcome.number} of sweep {read.sweep.name}: {said}.")
    write_atomically(path, text.encode("utf-8"))
    return path


def _words(outcome: Outcome) -> dict[str, Any]:
    return dict(outcome.settings)


def _png(figure: Figure) -> bytes:
    content = BytesIO()
    figure.savefig(content, format="png", dpi=144)
    return content.getvalue()
