"""The report of a sweep: its front, all trials side by side, the best designs as files that can be used."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labonn.design.writing import design_toml
from labonn.records.disk import write_atomically
from labonn.report import Page, figures, png_of
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
    page.text(f"Next: {_next_step(read, front, designs)}")
    done = [one for one in outcomes if one.status == "done" and goals.keys() <= one.figures.keys()]
    if done:
        page.heading("Pictures")
        _draw(page, read, done, front)
    page.heading("What nothing beats")
    goal_text = ", ".join(f"{name} {'high' if goal == 'max' else 'low'}" for name, goal in goals.items())
    page.text(f"No trial is as good in every goal and better in one. Goals: {goal_text}.")
    page.table([{"trial": one.number, **one.figures, **_words(one)} for one in front])
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
    page.heading("How to repeat it")
    page.command(f"labonn design sweep {shlex.quote(f'{sweep.name}.sweep.toml')}")
    page.folded("The sweep", sweep.model_dump(mode="json", by_alias=True))
    page.folded("The design that it varies", read.design.model_dump(mode="json", by_alias=True))
    path = folder / "report.html"
    write_atomically(path, page.html().encode("utf-8"))
    return path, tuple(designs)


def _next_step(read: ReadSweep, front: Sequence[Outcome], designs: Sequence[Path]) -> str:
    """Say what to do with the best, by the first goal; or with a sweep of which nothing came."""
    if not front:
        return "read below why the trials were refused or failed."
    name, goal = next(iter(read.sweep.goals.items()))
    best = (max if goal == "max" else min)(front, key=lambda one: one.figures[name])
    said = f"trial {best.number} has the best {name}, {best.figures[name]:.4g}"
    file = next((path for path in designs if path.name == _file_of(read, best)), None)
    if file is None:
        return f"{said}."
    return f"{said}: labonn {'design check' if read.sweep.does == 'fabricate' else 'train'} {shlex.quote(str(file))}"


def _draw(page: Page, read: ReadSweep, done: Sequence[Outcome], front: Sequence[Outcome]) -> None:
    best, names = {one.number for one in front}, list(read.sweep.goals)
    for name in names[1:]:
        drawn = figures.trade_off(
            [(one.figures[name], one.figures[names[0]], one.number in best) for one in done], names=(name, names[0])
        )
        page.figure(png_of(drawn), f"{names[0]} against {name}", "Filled: what nothing beats in all goals together.")
    keys = [key for key in read.sweep.keys if all(isinstance(one.settings.get(key), (int, float)) for one in done)]
    columns = [*keys, *names]
    rows = [[float(one.settings[key]) for key in keys] + [one.figures[name] for name in names] for one in done]
    if len(columns) > 1:
        drawn = figures.parallel_coordinates(rows, columns, [one.number in best for one in done])
        page.figure(png_of(drawn), "Keys and goals", "A line a trial; coloured: what nothing beats.")


def _file_of(read: ReadSweep, outcome: Outcome) -> str:
    return f"{read.sweep.name}-{outcome.number}.design.toml"


def _write_design(folder: Path, read: ReadSweep, outcome: Outcome) -> Path:
    name = f"{read.sweep.name}-{outcome.number}"
    design = vary(read.design, outcome.settings, name=name, fit_optic=read.sweep.fit_optic)
    said = ", ".join(f"{figure} {value:.4g}" for figure, value in outcome.figures.items())
    path = folder / "designs" / _file_of(read, outcome)
    text = design_toml(design, f"Trial {outcome.number} of sweep {read.sweep.name}: {said}.")
    write_atomically(path, text.encode("utf-8"))
    return path


def _words(outcome: Outcome) -> dict[str, Any]:
    return dict(outcome.settings)
