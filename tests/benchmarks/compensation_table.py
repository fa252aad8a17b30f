"""The tables of the compensation benchmark, from its cells."""

import statistics
from collections.abc import Mapping
from math import isnan
from typing import Any

from tests.benchmarks.compensation_tasks import Task
from tests.benchmarks.random_worlds import switched_on

# (bench, captures) -> most points below the ceiling: what is asked for, what is tried for.
MUST = {("mono", 32): (0.3, 0.1), ("mono", 8): (0.6, 0.3), ("hostile", 32): (0.5, 0.2)}
MUST |= {("poly", 32): (1.0, 0.5), ("segmentation", 32): (1.0, 0.5)}
ABSOLUTE = {"poly": (76.0, 78.0), "segmentation": (90.0, 93.0)}
WORLD_MUST = {"mnist": 0.5, "cifar10": 1.0, "carvana": 1.0}
WORLD_METHOD = {"mnist": "twin+ntkd", "cifar10": "twin+kd", "carvana": "twin+kd"}
DROPS = {"poly": "25 to 30", "segmentation": "35 to 45"}  # points from simulation to the bench: what is asked for
LEAST_DROP = 1.0  # points; of less, a part says nothing
OPTICS = {"": "trained kernels", "-random": "drawn kernels", "-lens": "a plain lens"}
SOLVED = {"cifar10": ", and that first layers are solved for,", "carvana": ""}
NAMES = {
    "e2e": "e2e: cross-entropy, labelled captures",
    "kd": "kd: the same and the teacher's answers",
    "ntkd": "ntkd: cross-entropy and NTK match on captures",
    "map": "map: ridge, captured to simulated, no labels",
    "twin+ce": "twin+ce",
    "twin+kd": "twin+kd",
    "twin+ntkd": "twin+ntkd",
}
HAS_NOT = {"mnist": "what the mono bench has not"} | dict.fromkeys(("cifar10", "carvana"), "what the bench has not")
TOLD = {
    "accuracy": "Accuracy, per cent.",
    "miou": "mIoU: mean over images of the overlap of the car, per cent; of 64 x 96 pixels, and of our own split.",
}
Cells = Mapping[str, Mapping[str, Any]]


def table(task: Task, cells: Cells) -> str:
    """Write the section: the headline against what was asked for, then every method and number of captures."""
    last = max(cell["date"] for cell in cells.values())
    if task.name != "mnist":
        lines = [
            f"## Compensation, {task.data}, in colour",
            "",
            f"`python -m tests.benchmarks.compensation {task.name} --work DIR`, {last}; all {task.test:,} test images"
            " as captured in virtual time; seeds of world and training alike; mean +- standard deviation, in brackets"
            f" over how many seeds. {TOLD[task.measure]} The ceiling is a backend trained with KD on as many labelled"
            " captures as are said, by the recipe of twin+kd. Twin methods use no labels of captures; e2e, kd and ntkd"
            f" do. No fit saw a test image; but the strengths of the worlds{SOLVED[task.name]} were"
            " chosen while looking at test images of seed 0. `-random` is the same bench with an optic for drawn"
            " kernels, `-lens` with one plain lens.",
            "",
            *_optics(task, cells),
        ]
        for bench in dict.fromkeys(name.split("/")[0] for name in cells):
            if bench not in task.worlds:
                lines += _bench(bench, cells)
        lines += _worlds(task, [bench for bench in task.worlds if _of(cells, bench)], cells)
        return "\n".join(lines + _made_again(cells)).rstrip()
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
    lines += _worlds(task, [bench for bench in benches if bench.startswith("random")], cells)
    return "\n".join(lines).rstrip()


def _of(cells: Cells, bench: str) -> dict[str, float]:
    """What a bench's cells are judged by, by method and captures."""
    return {name.split("/", 2)[2]: _judged(cell) for name, cell in cells.items() if name.startswith(f"{bench}/")}


def _judged(cell: Mapping[str, Any]) -> float:
    return float(cell["accuracy"] if "accuracy" in cell else cell["miou"])


def _worlds(task: Task, worlds: list[str], cells: Cells) -> list[str]:
    if not worlds:
        return []
    lines = [
        "### Worlds drawn at random (`tests/benchmarks/random_worlds.py`), which nothing was developed on",
        "",
        f"| world | {HAS_NOT[task.name]} | simulated | not compensated | ceiling | {WORLD_METHOD[task.name]}, 32"
        f" captures, below it (must: {WORLD_MUST[task.name]:g}) | 8 captures |",
        "|---|---|---|---|---|---|---|",
    ]
    for world in worlds:
        one = _of(cells, world)
        ceiling = next((value for name, value in one.items() if name.startswith("ceiling/")), float("nan"))
        shown = [one.get(name, float("nan")) for name in ("simulated/0", "none/0")]
        below = [ceiling - one.get(f"{WORLD_METHOD[task.name]}/{count}", float("nan")) for count in (32, 8)]
        number = task.worlds[world][1]
        on = ", ".join(name.replace("_", " ") for name in switched_on(number)) if task.name == "mnist" else "none"
        figures = " | ".join("" if isnan(value) else f"{value:.2f}" for value in (*shown, ceiling, *below))
        lines.append(f"| {world} | {on} | {figures} |")
    return [*lines, ""]


def _made_again(cells: Cells) -> list[str]:
    """Say which cells were measured twice, and what both came to."""
    told = [
        f"{name} {cell['again']['value']:.2f} (in the table: {_judged(cell):.2f})"
        for name, cell in cells.items()
        if "again" in cell
    ]
    later = [name for name, cell in cells.items() if cell.get("after_again")]
    sentences = [f"Measured once more, with `--again`: {'; '.join(told)}."] if told else []
    if later:
        sentences.append(f"First measured after that, in a folder that may hold newer captures: {', '.join(later)}.")
    return [" ".join(sentences), ""] if sentences else []


def _optics(task: Task, cells: Cells) -> list[str]:
    """What designed optics are worth once their errors are compensated for."""
    bench = next(iter(task.designs))
    method = WORLD_METHOD[task.name]
    lines = [
        "### What a designed optic is worth after compensation",
        "",
        f"| optic | simulated | on the bench | ceiling | {method}, 32 captures |",
        "|---|---|---|---|---|",
    ]
    for ending, optic in OPTICS.items():
        named = f"{bench}{ending}"
        if not _of(cells, named):
            continue
        columns = [by_seed(cells, named, which) for which in ("simulated", "none", "ceiling")]
        shown = [_said(column) for column in (*columns, by_seed(cells, named, method, 32))]
        lines.append(f"| {optic} | {' | '.join(shown)} |")
    return [*lines, ""]


def _bench(bench: str, cells: Cells) -> list[str]:
    said = "accuracy" if any("accuracy" in cell for cell in cells.values()) else "mIoU"
    simulated, none = (by_seed(cells, bench, method) for method in ("simulated", "none"))
    most = max((int(n.split("/")[3]) for n in cells if n.startswith(f"{bench}/") and "/ceiling/" in n), default=0)
    ceiling = by_seed(cells, bench, "ceiling", most)
    lines = [
        f"### `{bench}`",
        "",
        f"| | {said}, % | |",
        "|---|---|---|",
        f"| student, simulated | {_said(simulated)} | |",
        f"| on the bench, calibrated, not compensated | {_said(none)} | {_drop(bench, simulated, none)} |",
    ]
    if ceiling:
        below = f"{_said(_minus(simulated, ceiling))} points below the simulated student"
        lines.append(f"| ceiling, {most:,} captures | {_said(ceiling)} | {below} |")
    lines.append("")
    if any(of == bench for of, _ in MUST):
        lines += ["| points below the ceiling | must | try for | twin+ntkd | twin+kd |", "|---|---|---|---|---|"]
    for (of, count), (must, wish) in MUST.items():
        if of == bench:
            apart = [_said(_minus(ceiling, by_seed(cells, bench, m, count)), 2) for m in ("twin+ntkd", "twin+kd")]
            lines.append(f"| {count} captures | <= {must} | {wish} | {' | '.join(apart)} |")
    if bench in ABSOLUTE:
        reached = [_said(by_seed(cells, bench, m, 32), 2) for m in ("twin+ntkd", "twin+kd")]
        must, wish = ABSOLUTE[bench]
        lines.append(f"| 32 captures, absolute | >= {must:g} | {wish:g} | {' | '.join(reached)} |")
    counts = sorted({int(n.split("/")[3]) for n in cells if n.split("/")[0] == bench and n.split("/")[2] in NAMES})
    has_parts = bool(_returned(none, none, simulated))
    parts = ", and in the line below per cent of the drop from simulation that returned" if has_parts else ""
    lines += [
        *([""] if lines[-1] else []),
        f"By captures, {said} (%){parts}:",
        "",
        f"| captures | {' | '.join(f'{count:,}' for count in counts)} |",
        "|---" * (len(counts) + 1) + "|",
    ]
    for method, name in NAMES.items():
        columns = [by_seed(cells, bench, method, count) for count in counts]
        if not any(columns):
            continue
        lines.append(f"| {name} | {' | '.join(_said(column) for column in columns)} |")
        if has_parts:
            lines.append(f"| | {' | '.join(_returned(column, none, simulated) for column in columns)} |")
    return [*lines, ""]


def _drop(bench: str, simulated: Mapping[int, float], none: Mapping[int, float]) -> str:
    """By how much accuracy drops on a bench, for each seed, where so much is asked for."""
    if bench not in DROPS:
        return ""
    drops = _minus(simulated, none)
    each = ", ".join(f"{drop:.1f}" for _, drop in sorted(drops.items()))
    return f"a drop of {_said(drops)}, seed by seed {each}; asked for: {DROPS[bench]}"


def by_seed(cells: Cells, bench: str, method: str, count: int | None = None) -> dict[int, float]:
    """What cells are judged by, by seed: per cent."""
    found = {}
    for name, cell in cells.items():
        of, seed, which, captures = name.split("/")
        if (of, which) == (bench, method) and count in (None, int(captures)):
            found[int(seed)] = _judged(cell)
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
    if drop < LEAST_DROP:
        return ""
    back = statistics.mean(column[seed] - none[seed] for seed in seeds)
    return f"{100 * back / drop:.0f} %"
