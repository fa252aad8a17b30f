"""The pictures of the compensation benchmark, from its cells."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labonn.report.style import BLUE, GREEN, GREY, ORANGE, VERMILLION
from tests.benchmarks.compensation_table import OPTICS, WORLD_METHOD, Cells, by_seed
from tests.benchmarks.compensation_tasks import Task

_LINES = {  # method -> colour, and how it is called beside its line
    "twin+ntkd": (BLUE, "twin+ntkd, no labels"),
    "kd": (VERMILLION, "kd"),
    "ntkd": (ORANGE, "ntkd, as published"),
    "map": (GREEN, "map, no labels"),
    "e2e": (GREY, "e2e"),
}
_MEASURED = {"accuracy": "accuracy (%)", "miou": "mIoU of the car (%)"}


def draw_captures(cells: Cells, bench: str, path: Path) -> None:
    """Draw accuracy against the number of captures, means over seeds with their spread."""
    figure = Figure(figsize=(8, 4.2), layout="constrained", facecolor="white")
    axes = figure.subplots()
    counts = sorted({int(n.split("/")[3]) for n in cells if n.split("/")[0] == bench and n.split("/")[2] in _LINES})
    for method, (colour, called) in _LINES.items():
        columns = {count: list(by_seed(cells, bench, method, count).values()) for count in counts}
        columns = {count: column for count, column in columns.items() if column}
        means = [statistics.mean(column) for column in columns.values()]
        spread = [_spread(column) for column in columns.values()]
        axes.errorbar(list(columns), means, spread, fmt="o-", color=colour, capsize=2, lw=1.6, ms=4, label=called)
    most = max((int(n.split("/")[3]) for n in cells if n.startswith(f"{bench}/") and "/ceiling/" in n), default=0)
    for method, said, style in (("ceiling", f"ceiling: {most:,} labelled captures", "--"), ("none", "none", ":")):
        if found := list(by_seed(cells, bench, method).values()):
            axes.axhline(statistics.mean(found), color="black", lw=0.9, ls=style, label=said)
    axes.set_xscale("log")
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.minorticks_off()
    axes.set_xlabel("images captured for the fit")
    axes.set_ylabel("accuracy on 10,000 test images (%)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e3e6ea", lw=0.6)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    figure.savefig(path, dpi=110)


def draw_optics(measured: Sequence[tuple[Task, Cells]], path: Path) -> None:
    """Draw for each task and optic what the bench makes of it, and what 32 captures bring back."""
    figure = Figure(figsize=(9, 2.6), layout="constrained", facecolor="white")
    for axes, (task, cells) in zip(figure.subplots(1, len(measured), squeeze=False)[0], measured, strict=True):
        _draw_optics_of(axes, task, cells)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)


def _draw_optics_of(axes: Axes, task: Task, cells: Cells) -> None:
    bench, method = next(iter(task.designs)), WORLD_METHOD[task.name]
    shown = (  # method, captures -> how it is drawn, how called
        ("none", 0, VERMILLION, "o", "on the bench, calibrated"),
        (method, 32, BLUE, "o", f"{method}, 32 captures, no labels"),
        ("ceiling", task.ceiling, "black", "|", "ceiling: thousands of captures"),
        ("simulated", 0, GREY, "x", "simulated, before the optic was made"),
    )
    for place, ending in enumerate(OPTICS):
        found = [by_seed(cells, f"{bench}{ending}", which, count) for which, count, *_ in shown]
        if not all(found[:2]):
            continue
        axes.plot([statistics.mean(column.values()) for column in found[:2]], [place, place], color="#c3c8ce", lw=2.5)
        for column, (_, _, colour, marker, called) in zip(found, shown, strict=True):
            if values := list(column.values()):
                axes.errorbar(
                    statistics.mean(values),
                    place,
                    xerr=_spread(values) or None,
                    color=colour,
                    marker=marker,
                    ms=13 if marker == "|" else 6,
                    capsize=2,
                    ls="",
                    label="" if place else called,
                )
    axes.set_yticks(range(len(OPTICS)), list(OPTICS.values()))
    axes.set_ylim(len(OPTICS) - 0.5, -0.5)
    axes.set_xlabel(f"{task.data}, {_MEASURED[task.measure]}")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#e3e6ea", lw=0.6)
    axes.set_axisbelow(True)


def _spread(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0
