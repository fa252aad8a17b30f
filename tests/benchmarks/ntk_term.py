"""What the NTK term adds, by leaving it out: ``python -m tests.benchmarks.ntk_term --work DIR``.

The backend is re-matched on what the optical twin of 32 captures predicts, with and without KD, with and without the
NTK term, taught on 1,000 training images and on all; from the backend as it was trained, and from an untrained one.
Judged on the captured test images: accuracy, loss, calibration error, and accuracy after a further drift: maps moved by
half a tap down and right, with 10 % less light. Uses the captures that the benchmark of compensation made.
"""

import argparse
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from labonn.compensation import Captured, Lecture, Material, answers_of, rematch
from labonn.compensation.methods import KD_WEIGHT, RECIPES, Recipe
from labonn.networks import make_backend
from labonn.training import LossWeights, Teaching, logits_of
from tests.benchmarks.compensation import calibration_error, material_of, sets, twin_of
from tests.benchmarks.results import cells_file, keep_cell, read_cells, write_section

CELLS = cells_file("ntk-term")
CAPTURES = 32
TAUGHT = (1000, 55_000)
STEPS = (400, 2500)
LOSSES = {
    "CE": LossWeights(task=1.0),
    "CE + NTK": LossWeights(task=1.0, ntkd=1.0),
    "CE + KD": LossWeights(task=1.0, kd=KD_WEIGHT),
    "CE + KD + NTK": LossWeights(task=1.0, kd=KD_WEIGHT, ntkd=1.0),
}
STARTS = ("trained", "untrained")


def measure(work: Path, bench: str, seed: int, start: str, taught: int, steps: int, loss: str) -> dict[str, Any]:
    """One cell: accuracy, loss, calibration error, and accuracy after a further drift."""
    ours = sets(work, bench, seed)
    backend = ours.network.student.backend
    if start == "untrained":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            shape = ours.maps.shape[1:]
            backend = make_backend(ours.network.design.backend, (shape[0], shape[1], shape[2]), 10)
    begin_s = time.perf_counter()
    recipe = Recipe(True, LOSSES[loss], steps, 2e-3)
    with patch.dict(RECIPES, {"twin+ce": recipe}):  # type: ignore[dict-item]
        found = rematch(backend, "twin+ce", material_taught(work, bench, seed, taught), seed=seed)
    seconds = time.perf_counter() - begin_s
    labels = ours.test_labels
    answers = answers_of(found, ours.test_maps, labels)
    drifted = answers_of(found, moved(ours.test_maps), labels)
    probabilities = torch.softmax(logits_of(found, ours.test_maps), dim=1)
    return {
        "accuracy": answers.percent,
        "loss": float(np.mean(answers.loss)),
        "ece": calibration_error(probabilities, answers),
        "drifted": drifted.percent,
        "seconds": round(seconds, 1),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
    }


def moved(maps: Tensor) -> Tensor:
    """Maps (N, K, H, W) half a tap further down and right, and 10 % darker."""
    padded = nn.functional.pad(maps, (1, 0, 1, 0))
    return 0.9 * nn.functional.avg_pool2d(padded, 2, stride=1)


def material_taught(work: Path, bench: str, seed: int, taught: int) -> Material:
    ours, whole = sets(work, bench, seed), material_of(work, bench, seed, CAPTURES, with_twin=True)
    if taught >= len(ours.lecture.images):
        return whole
    few = torch.cat([ours.indices[:CAPTURES], ours.indices[CAPTURES:taught]])
    images, labels = ours.lecture.images[few], torch.from_numpy(ours.network.data.train.labels)[few]
    teaching = Teaching(ours.network.teacher, images, labels, batch=ours.network.design.training.batch, cache=None)
    captured = Captured(torch.arange(CAPTURES), ours.maps[:CAPTURES])
    twin = twin_of(work, bench, seed, CAPTURES)[0]
    lecture = Lecture(images, teaching, ours.network.student)
    return Material(ours.network.student.backend, captured, twin, lecture, seed=seed)


def table(cells: dict[str, dict[str, Any]]) -> str:
    """Write the section: one line a regime, the mean over seeds, and what the term changed."""
    lines = [
        "## What the NTK term adds",
        "",
        f"`python -m tests.benchmarks.ntk_term --work DIR`, {max(cell['date'] for cell in cells.values())}; MNIST, twin"
        f" of {CAPTURES} captures, 10,000 captured test images; means over so many seeds. Drifted: moved by"
        " half a tap down and right, 10 % less light. 1 - CKA of the kernels, weight 1.",
        "",
        "| bench | start | taught on | steps | losses | accuracy | NLL | ECE, points | accuracy, drifted | s | seeds |",
        "|---" * 11 + "|",
    ]
    rows: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for name, cell in cells.items():
        bench, _, *regime = name.split("/")
        rows.setdefault((bench, *regime), []).append(cell)
    for regime, found in rows.items():
        mean = {key: float(np.mean([cell[key] for cell in found])) for key in found[0] if key != "date"}
        lines.append(
            f"| {' | '.join(regime)} | {mean['accuracy']:.2f} | {mean['loss']:.4f} | {mean['ece']:.2f} |"
            f" {mean['drifted']:.2f} | {mean['seconds']:.0f} | {len(found)} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure the cells that are not measured yet, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--bench", default="mono")
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2))
    arguments = parser.parse_args()
    cells = read_cells(CELLS)
    for seed in arguments.seeds:
        for start, taught, steps in [(s, t, n) for t in TAUGHT for n in STEPS for s in STARTS]:
            for loss in LOSSES:
                name = f"{arguments.bench}/{seed}/{start}/{taught}/{steps}/{loss}"
                if name not in cells:
                    where = (arguments.work.absolute(), arguments.bench, seed)
                    cells = keep_cell(CELLS, name, measure(*where, start, taught, steps, loss))
                    print(name, cells[name], flush=True)
                    write_section("ntk-term", table(cells))


if __name__ == "__main__":
    main()
