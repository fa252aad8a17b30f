"""The tables of the compensation benchmark, and its picture, from its cells."""

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from labonn.report.style import BLUE, GREEN, GREY, ORANGE, VERMILLION
from tests.benchmarks.random_worlds import switched_on

MUST = {("mono", 32): (0.3, 0.1), ("mono", 8): (0.6, 0.3), ("hostile", 32): (0.5, 0.2)}
WORLD_MUST = 0.5
NAMES = {
    "e2e": "e2e: cross-entropy, labelled captures",
    "kd": "kd: the same and the teacher's answers",
    "ntkd": "ntkd: cross-entropy and NTK match on captures",
    "map": "map: ridge, captured to simulated, no labels",
    "twin+ce": "twin+ce",
    "twin+kd": "twin+kd",
    "twin+ntkd": "twin+ntkd",
}
DRAWN = {  # method -> colour, and how it is called beside its line
    "twin+ntkd": (BLUE, "twin+ntkd, no labels"),
    "kd": (VERMILLION, "kd"),
    "ntkd": (ORANGE, "ntkd, as published"),
    "map": (GREEN, "map, no labels"),
    "e2e": (GREY, "e2e"),
}
Cells = Mapping[str, Mapping[str, Any]]


def table(cells: Cells) -> str:
    """Write the section: the headline against what was asked for, then every method and number of captures."""
    last = max(cell["date"] for cell in cells.values())
    lines = [
        "## Compensation, MNIST, benches `mono` and `hostile`",
        "",
        f"`python -m tests.benchmarks.compensation --work DIR`, {last}; all 10,000 test images as captured in virtual"
        " time; seeds of world and training alike; mean +- standard deviation, in brackets over how many seeds. The"
        " ceiling is a backend trained for 6,000 steps, with KD, on as many labelled captures as are said. Twin methods"
        " use no labels of captures; e2e, kd and ntkd do. No fit saw a test image; but the number of steps of the"
        " twin's methods was chosen on the first 1,000 of them, of one seed, and those of e2e, kd and ntkd on captured"
        ' training images of one seed, in the nearest row of "Steps and rate of the methods on captures".',
        "",
    ]
    benches = list(dict.fromkeys(name.split("/")[0] for name in cells))
    for bench in benches:
        if not bench.startswith("random"):
            lines += _bench(bench, cells)
    lines += _worlds([bench for bench in benches if bench.startswith("random")], cells)
    return "\n".join(lines).rstrip()


def draw(cells: Cells, bench: str, path: Path) -> None:
    """Draw accuracy against the number of captures, means over seeds with their spread."""
    figure = Figure(figsize=(8, 4.2), layout="constrained", facecolor="white")
    axes = figure.subplots()
    counts = sorted({int(n.split("/")[3]) for n in cells if n.split("/")[0] == bench and n.split("/")[2] in DRAWN})
    for method, (colour, called) in DRAWN.items():
        columns = {count: list(_column(cells, bench, method, count).values()) for count in counts}
        columns = {count: column for count, column in columns.items() if column}
        means = [statistics.mean(column) for column in columns.values()]
        spread = [statistics.stdev(column) if len(column) > 1 else 0.0 for column in columns.values()]
        axes.errorbar(list(columns), means, spread, fmt="o-", color=colour, capsize=2, lw=1.6, ms=4, label=called)
    most = max((int(n.split("/")[3]) for n in cells if n.startswith(f"{bench}/") and "/ceiling/" in n), default=0)
    for method, said, style in (("ceiling", f"ceiling: {most:,} labelled captures", "--"), ("none", "none", ":")):
        if found := list(_column(cells, bench, method).values()):
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


def _worlds(worlds: list[str], cells: Cells) -> list[str]:
    if not worlds:
        return []
    lines = [
        "### Worlds drawn at random (`tests/benchmarks/random_worlds.py`), which nothing was developed on",
        "",
        "| world | what the mono bench has not | simulated | not compensated | ceiling | 32 captures, below it"
        f" (must: {WORLD_MUST:g}) | 8 captures |",
        "|---|---|---|---|---|---|---|",
    ]
    for world in worlds:
        one = {
            name.split("/", 2)[2]: float(cell["accuracy"])
            for name, cell in cells.items()
            if name.startswith(f"{world}/")
        }
        ceiling = next((value for name, value in one.items() if name.startswith("ceiling/")), float("nan"))
        shown = [one.get(name, float("nan")) for name in ("simulated/0", "none/0")]
        below = [ceiling - one.get(f"twin+ntkd/{count}", float("nan")) for count in (32, 8)]
        on = ", ".join(name.replace("_", " ") for name in switched_on(int(world.removeprefix("random-"))))
        figures = " | ".join(f"{value:.2f}" for value in (*shown, ceiling, *below))
        lines.append(f"| {world} | {on} | {figures} |")
    return [*lines, ""]


def _bench(bench: str, cells: Cells) -> list[str]:
    simulated, none = (_column(cells, bench, method) for method in ("simulated", "none"))
    most = max((int(n.split("/")[3]) for n in cells if n.startswith(bench) and "/ceiling/" in n), default=0)
    ceiling = _column(cells, bench, "ceiling", most)
    lines = [
        f"### `{bench}`",
        "",
        "| | accuracy, % | |",
        "|---|---|---|",
        f"| student, simulated | {_said(simulated)} | |",
        f"| on the bench, calibrated, not compensated | {_said(none)} | |",
        f"| ceiling, {most:,} captures | {_said(ceiling)} | {_said(_minus(simulated, ceiling))} points below the"
        " simulated student |",
        "",
        "| points below the ceiling | must | try for | twin+ntkd | twin+kd |",
        "|---|---|---|---|---|",
    ]
    for (of, count), (must, wish) in MUST.items():
        if of == bench:
            below = [_said(_minus(ceiling, _column(cells, bench, m, count)), 2) for m in ("twin+ntkd", "twin+kd")]
            lines.append(f"| {count} captures | <= {must} | {wish} | {' | '.join(below)} |")
    counts = sorted({int(n.split("/")[3]) for n in cells if n.split("/")[0] == bench and n.split("/")[2] in NAMES})
    lines += [
        "",
        "Accuracy, and in the line below per cent of the drop from simulation that returned:",
        "",
        f"| captures | {' | '.join(f'{count:,}' for count in counts)} |",
        "|---" * (len(counts) + 1) + "|",
    ]
    for method, name in NAMES.items():
        columns = [_column(cells, bench, method, count) for count in counts]
        lines.append(f"| {name} | {' | '.join(_said(column) for column in columns)} |")
        lines.append(f"| | {' | '.join(_returned(column, none, simulated) for column in columns)} |")
    return [*lines, ""]


def _column(cells: Cells, bench: str, method: str, count: int | None = None) -> dict[int, float]:
    """Accuracy by seed."""
    found = {}
    for name, cell in cells.items():
        of, seed, which, captures = name.split("/")
        if (of, which) == (bench, method) and count in (None, int(captures)):
            found[int(seed)] = float(cell["accuracy"])
    return found


def _minus(first: Mapping[int, float], second: Mapping[int, float]) -> dict[int, float]:
    return {seed: first[seed] - second[seed] for seed in first if seed in second}


def _said(column: Mapping[int, float], digits: int = 2) -> str:
    values = list(column.values())
    if not values:
        return ""
    spread = f" +- {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread} ({len(values)})"


def _returned(column: Mapping[int, float], none: Mapping[int, float], simulated: Mapping[int, float]) -> str:
    seeds = [seed for seed in column if seed in none and seed in simulated]
    if not seeds:
        return ""
    drop = statistics.mean(simulated[seed] - none[seed] for seed in seeds)
    back = statistics.mean(column[seed] - none[seed] for seed in seeds)
    return f"{100 * back / drop:.0f} %"
