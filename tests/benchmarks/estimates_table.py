"""The table of the benchmark of estimates: who foretells best, by how much, and whether intervals cover."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest, rankdata

from labonn.report import figures
from labonn.training.estimate import Correction, Known, predictors_of
from labonn.training.estimate.correction import Term
from tests.benchmarks.results import RESULTS

CELLS = RESULTS.parent / "results" / "estimates.jsonl"
FOLDS = 4
RESAMPLES = 2000
CANDIDATES: dict[str, tuple[Term, ...]] = {
    "NTK of the finite student": ("ntk",),
    "random kernels, single layer": ("drawn",),
    "a training that has just begun": ("short",),
    "NTK and random kernels": ("ntk", "drawn"),
    "these and one that has just begun: shipped": ("ntk", "drawn", "short"),
    "these three and parameters": ("ntk", "drawn", "short", "parameters"),
    "these three and the narrowest place": ("ntk", "drawn", "short", "bottleneck"),
    "NTK and parameters": ("ntk", "parameters"),
    "NTK and KARE": ("ntk", "kare"),
    "NTK and label alignment": ("ntk", "alignment"),
    "parameters alone": ("parameters",),
}
SHIPPED = "these and one that has just begun: shipped"
RAW = {
    "ntk": "NTK of the finite student",
    "ntk_of_all": "the same, as if its parameters could learn from every image",
    "infinite_width": "infinite-width NTK",
    "random_kernels": "random kernels, single layer",
    "short": "a training that has just begun",
    "infinite_kernels": "infinitely many random kernels",
    "lens": "behind a lens",
    "parameters": "parameters",
    "bottleneck": "narrowest place of the backend",
    "alignment": "label alignment",
    "kare": "KARE (turned)",
}


def read_cells(file: Path = CELLS) -> list[dict[str, Any]]:
    """All cells that are made."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def known_of(cells: Sequence[Mapping[str, Any]]) -> dict[str, Known]:
    """What is known of each design: its first cell's predictors, and its accuracy's mean over seeds."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for one in cells:
        found.setdefault(one["design"], []).append(one)
    return {
        name: Known(predictors_of(own[0]["predictors"]), float(np.mean([one["accuracy"] for one in own])))
        for name, own in found.items()
    }


def judged(known: Sequence[Known], terms: Sequence[Term]) -> list[tuple[float, float, float, float]]:
    """(trained, foretold, low, high) of each design, foretold by a correction that was fitted without its fold."""
    order = np.random.default_rng(0).permutation(len(known))
    fold = {int(place): number % FOLDS for number, place in enumerate(order)}
    found = []
    for place, one in enumerate(known):
        others = [other for number, other in enumerate(known) if fold[number] != fold[place]]
        said = Correction(others, terms).predict(one.predictors)
        found.append((one.accuracy, said.value, said.low, said.high))
    return found


def advantage(trained: Sequence[float], ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """By how much our ranks are nearer to the trained ones: Spearman's difference, and its 95 % bootstrap interval."""
    values = np.array([trained, ours, theirs])
    some = values[:, np.random.default_rng(0).integers(0, values.shape[1], (RESAMPLES, values.shape[1]))]
    found = _rank(some[0], some[1]) - _rank(some[0], some[2])
    low, high = np.percentile(found, [2.5, 97.5])
    return float(_rank(values[0], values[1]) - _rank(values[0], values[2])), float(low), float(high)


def _rank(a: Any, b: Any) -> Any:
    """Spearman's correlation along the last axis; 0 where all values are the same."""
    ranks = [rankdata(values, axis=-1) for values in (a, b)]
    a, b = (rank - rank.mean(axis=-1, keepdims=True) for rank in ranks)
    norm = np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))
    return (a * b).sum(axis=-1) / np.where(norm > 0, norm, 1.0)


def section(cells: Sequence[Mapping[str, Any]]) -> str:
    """Write what was found, a task after the other."""
    lines = ["## Estimates before training", ""]
    for task in dict.fromkeys(one["task"] for one in cells):
        own = [one for one in cells if one["task"] == task and not one.get("drawn")]
        known = list(known_of(own).values())
        if len(known) < FOLDS:
            lines += [f"{task}: {len(known)} designs so far, too few to judge", ""]
            continue
        lines += _task(task, own, known)
        drawn = [one for one in cells if one["task"] == task and one.get("drawn")]
        if drawn:
            lines += _drawn(known, drawn)
    return "\n".join(lines)


def _task(task: str, own: Sequence[Mapping[str, Any]], known: Sequence[Known]) -> list[str]:
    trained = [one.accuracy for one in known]
    dates = sorted({one["date"] for one in own})
    cost = [one["predictors"]["seconds"]["own"] / max(one["training_s"], 1e-9) for one in own]
    lines = [
        f"### {task}",
        "",
        f"`python -m tests.benchmarks.estimates {task} --epochs {own[0]['epochs']}`, {dates[0]} to"
        f" {dates[-1]}, {len(known)} designs,"
        f" {own[0]['epochs']} epochs of {own[0]['train']:,} images, seeds {sorted({one['seed'] for one in own})}, no"
        f" teacher; trained accuracies from {min(trained):.1f} to {max(trained):.1f} %. Each is foretold by a"
        f" correction that was fitted on the other {FOLDS - 1} of {FOLDS} parts. Cost, as part of the training's"
        f" processor time: median {100 * float(np.median(cost)):.1f} %, at most {100 * max(cost):.1f} % (must: 10).",
        "",
        "| corrected predictor | mean absolute error, points | Spearman | inside the 90 % interval | binomial test |",
        "|---|---|---|---|---|",
    ]
    for name, terms in CANDIDATES.items():
        found = judged(known, terms)
        error = float(np.mean([abs(a - b) for a, b, _, _ in found]))
        inside = sum(low <= a <= high for a, _, low, high in found)
        p = binomtest(inside, len(found), 0.9).pvalue
        rank = _rank([a for a, _, _, _ in found], [b for _, b, _, _ in found])
        lines.append(f"| {name} | {error:.2f} | {rank:.3f} | {inside} of {len(found)} | p = {p:.2f} |")
    lines += ["", "| as it is | Spearman | the shipped one's is higher by (95 %) |", "|---|---|---|"]
    ours = [value for _, value, _, _ in judged(known, CANDIDATES[SHIPPED])]
    for name, text in RAW.items():
        values = [getattr(one.predictors, name) for one in known]
        if any(value is None for value in values):
            continue
        turned = [-value for value in values] if name == "kare" else values
        more, low, high = advantage(trained, ours, turned)
        lines.append(f"| {text} | {_rank(trained, turned):.3f} | {more:+.3f} ({low:+.3f} to {high:+.3f}) |")
    return [*lines, ""]


def _drawn(known: Sequence[Known], cells: Sequence[Mapping[str, Any]]) -> list[str]:
    correction = Correction(known, CANDIDATES[SHIPPED])
    lines = [
        "Made up by chance, foretold, then trained (the same with `--random`):",
        "",
        "| design | foretold | 90 % | trained |",
        "|---|---|---|---|",
    ]
    said_of = {name: (one, correction.predict(one.predictors)) for name, one in known_of(cells).items()}
    for name, (one, said) in said_of.items():
        lines.append(f"| {name} | {said.value:.1f} | {said.low:.1f} to {said.high:.1f} | {one.accuracy:.1f} |")
    inside = sum(said.low <= one.accuracy <= said.high for one, said in said_of.values())
    missed = float(np.mean([abs(said.value - one.accuracy) for one, said in said_of.values()]))
    return [*lines, "", f"{inside} of {len(said_of)} inside their interval; {missed:.1f} points off on average.", ""]


def draw(cells: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw trained against foretold, each task in its colour."""
    points = {}
    for task in dict.fromkeys(one["task"] for one in cells):
        known = list(known_of([one for one in cells if one["task"] == task and not one.get("drawn")]).values())
        if len(known) >= FOLDS:
            points[task] = judged(known, CANDIDATES[SHIPPED])
    if points:
        path.parent.mkdir(parents=True, exist_ok=True)
        figures.foretold(points).savefig(path, dpi=144)
