"""The table of the benchmark of training, as Markdown."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from labonn.design import load_design
from tests.benchmarks.training_settings import DESIGNS, METHODS

PAPER = {  # arXiv:2508.08421, in simulation; random kernels with a single layer
    ("mnist", "mnist-mono", "none"): 91.4,
    ("mnist", "mnist-mono", "kd"): 95.9,
    ("mnist", "mnist-mono", "ntkd"): 97.3,
    ("mnist", "mnist-random-500", "ntkd"): 96.8,
    ("mnist", "mnist-random-1000", "ntkd"): 97.2,
    ("cifar10", "cifar10-poly", "none"): 56.4,
    ("cifar10", "cifar10-poly", "kd"): 72.5,
    ("cifar10", "cifar10-poly", "ntkd"): 75.6,
    ("cifar10", "cifar10-random-500", "ntkd"): 49.3,
    ("cifar10", "cifar10-random-1000", "ntkd"): 56.2,
    ("carvana", "carvana-poly", "none"): 74.3,
    ("carvana", "carvana-poly", "kd"): 86.7,
    ("carvana", "carvana-poly", "ntkd"): 91.5,
    ("carvana", "carvana-random-500", "ntkd"): 64.1,
    ("carvana", "carvana-random-1000", "ntkd"): 69.9,
}
EXPLAINED = (
    "Of the simulated student on the whole test set, in per cent, mean +- standard deviation over seeds, in brackets"
    " how many: its accuracy, or of masks the mean over images of the car's IoU, and behind the stroke that of both"
    " classes. Settings are those of the search below where it is at its end, else as shipped. Digital operations are"
    " multiply-accumulates of the backend's layers and, after the plus, subtractions of the halves, sums over colours,"
    " rectifications and additions of the pooling. Where a student is told some labels only, the teacher, which was"
    " told all, still says what it thinks of every image; without a teacher, as many steps are taken on the labelled"
    " images alone. The teachers of CIFAR-10 and Carvana were trained with `labonn train DESIGN --teacher --precision"
    " bf16-mixed` or without that option, the students in single precision."
)
COMPARED = {"none": "without a teacher", "ntkd": "NTKD alone"}
"""What the best method is compared with."""
MUST = {"mnist": (98.8, 99.2), "cifar10": (78.0, 80.0), "carvana": (94.0, 95.0)}


def score(cell: Mapping[str, Any]) -> Mapping[str, float]:
    """What a cell is judged by, per cent: accuracy, or of masks mIoU; validation, simulated, teacher."""
    judged: Mapping[str, float] = cell["accuracy"] if "accuracy" in cell else cell["miou"]
    return judged


def table(cells: Mapping[str, Mapping[str, Any]]) -> str:
    """Write the section of all cells."""
    rows: dict[tuple[str, str, str, str], list[Mapping[str, Any]]] = {}
    for name, cell in sorted(cells.items(), key=lambda item: _place(item[0])):
        task, design, method, _, *few = name.split("/")
        rows.setdefault((task, design, method, few[0] if few else "all"), []).append(cell)
    lines = ["## Training in simulation", "", EXPLAINED, ""]
    for task in dict.fromkeys(key[0] for key in rows):
        ours = {key: found for key, found in rows.items() if key[0] == task}
        must, try_for = MUST[task]
        teachers = {score(cell)["teacher"] for found in ours.values() for cell in found if cell["teacher"]}
        known = f" Teacher: {', '.join(f'{value:.2f}' for value in sorted(teachers))}." if teachers else ""
        dates = sorted({cell["date"] for found in ours.values() for cell in found})
        lines += [
            f"### {task}",
            "",
            f"`python -m tests.benchmarks.training {task} --work DIR`, {dates[0]} to {dates[-1]}; a row of it with"
            " `--designs`, `--methods`, `--seeds` and `--labels`. Must: the best method on trained optics reaches"
            f" {must}, try for: {try_for}.{known}",
            "",
            "| design | method | labels | result | paper | parameters | digital operations | images/s | s |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        for (_, design, method, labels), found in ours.items():
            paper = PAPER.get((task, design, method)) if labels == "all" else None
            lines.append(_row((design, method, labels), found, paper))
        lines += ["", *_findings(ours), "", *_made_again(task, cells)]
    return "\n".join(lines)


def _findings(ours: Mapping[tuple[str, str, str, str], list[Mapping[str, Any]]]) -> list[str]:
    """Say of one task where NTKD stands, and what trained optics are worth."""
    result = {
        (design, method): _result(found) for (_, design, method, labels), found in ours.items() if labels == "all"
    }
    kinds = {design: load_design(design).optic.kind for design, _ in result}
    best = {
        kind: max((cell for cell in result if kinds[cell[0]] == kind), key=lambda cell: result[cell][0])
        for kind in dict.fromkeys(kinds.values())
    }
    if "trained" not in best:
        return []
    first = best["trained"]
    said = [f"Best on trained optics: {first[1]} ({first[0]}), {_said(result[first])}."]
    for method, name in COMPARED.items():
        if method != first[1] and (other := result.get((first[0], method))):
            said.append(f"The same {name}: {_said(other)}, {_apart(result[first], other)}.")
    for kind, name in (("lens", "a lens"), ("random", "random kernels")):
        if kind in best:
            other = result[best[kind]]
            said.append(
                f"Best behind {name}: {best[kind][1]} ({best[kind][0]}), {_said(other)}: trained optics are worth"
                f" {result[first][0] - other[0]:+.2f} points."
            )
    return [" ".join(said + _few_labels(first[0], ours))]


def _made_again(task: str, cells: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say which cells were made twice, and what both came to."""
    told = [
        f"{name.split('/', 1)[1]} {cell['again']['value']:.2f} (in the table: {score(cell)['simulated']:.2f})"
        for name, cell in cells.items()
        if name.startswith(f"{task}/") and "again" in cell
    ]
    return [f"Made once more, with `--again`: {'; '.join(told)}.", ""] if told else []


def _few_labels(design: str, ours: Mapping[tuple[str, str, str, str], list[Mapping[str, Any]]]) -> list[str]:
    """Say what teachers are worth where there are some labels only."""
    said = []
    for labels in dict.fromkeys(key[3] for key in ours if key[1] == design and key[3] != "all"):
        results = {key[2]: _result(found) for key, found in ours.items() if (key[1], key[3]) == (design, labels)}
        best = max(results, key=lambda method: results[method][0])
        others = [(name, results[m]) for m, name in COMPARED.items() if m in results and m != best]
        told = "".join(f"; {name} {_said(other)}" for name, other in others)
        said.append(f"With {int(labels):,} labels, best: {best}, {_said(results[best])}{told}.")
    return said


def _result(found: list[Mapping[str, Any]]) -> tuple[float, float | None]:
    """Mean and standard deviation over seeds; of one seed there is none."""
    values = [score(cell)["simulated"] for cell in found]
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None


def _said(result: tuple[float, float | None]) -> str:
    return f"{result[0]:.2f}" if result[1] is None else f"{result[0]:.2f} +- {result[1]:.2f}"


def _apart(first: tuple[float, float | None], other: tuple[float, float | None]) -> str:
    """How far one is below the other, and whether that is more than the seeds make."""
    below = f"{first[0] - other[0]:.2f} below"
    if first[1] is None or other[1] is None:
        return f"{below} (of one seed)"
    within = first[0] - other[0] <= max(first[1], other[1])
    return f"{below}, within a standard deviation" if within else below


def _place(name: str) -> tuple[int, ...]:
    """Where a cell stands among all, whenever it was made: few labels behind all of them."""
    task, design, method, seed, *few = name.split("/")
    return (
        tuple(DESIGNS).index(task),
        DESIGNS[task].index(design),
        len(few),
        METHODS.index(method),
        int(seed),
    )


def _row(key: tuple[str, str, str], found: list[Mapping[str, Any]], paper: float | None) -> str:
    macs, published = found[0]["macs"], "" if paper is None else paper
    both = f" / {np.mean([cell['miou_of_all_classes'] for cell in found]):.2f}" if "miou" in found[0] else ""
    rate = float(np.median([cell["images_per_s"] for cell in found]))
    seconds = float(np.median([cell["seconds"]["student"] for cell in found]))
    return (
        f"| {' | '.join(key)} | {_said(_result(found))} ({len(found)}){both} | {published} |"
        f" {found[0]['parameters']:,} | {macs['digital']:,} + {macs['elementwise']:,} | {rate:,.0f} | {seconds:.0f} |"
    )
