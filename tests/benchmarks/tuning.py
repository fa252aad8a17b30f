"""Steps and rate of the methods on captures: ``python -m tests.benchmarks.tuning --work DIR``.

The same small grid for cross-entropy, KD and NTKD, so that what ours is compared with is as good as it can be. Judged
on captured training images that no fit saw, never on test images. Uses the captures that the benchmark of compensation
made.
"""

import argparse
from dataclasses import replace
from datetime import UTC, datetime
from math import log
from pathlib import Path
from statistics import fmean
from typing import Any, cast
from unittest.mock import patch

import torch

from labonn.compensation import Material, rematch
from labonn.compensation.methods import RECIPES, Method, Recipe
from labonn.training import accuracy_percent
from tests.benchmarks.compensation import sets
from tests.benchmarks.results import cells_file, keep_cell, read_cells, write_section

CELLS = cells_file("tuning")
METHODS = ("e2e", "kd", "ntkd")
CAPTURES = (8, 32, 200, 1000)
STEPS = (30, 100, 300, 1000, 3000)
RATES = (1e-4, 3e-4, 1e-3, 3e-3)
JUDGED_BY = slice(-3000, None)  # of the captured training images


def measure(work: Path, bench: str, seed: int, method: str, count: int, steps: int, rate: float) -> float:
    """Accuracy in per cent on captured training images that the fit did not see."""
    ours = sets(work, bench, seed)
    material = Material(ours.network.student.backend, ours.captured(count), None, ours.lecture, seed=seed)
    recipes = {**RECIPES, method: replace(RECIPES[method], steps=steps, learning_rate=rate)}
    with patch.dict(RECIPES, recipes):  # type: ignore[arg-type]
        backend = rematch(ours.network.student.backend, method, material, seed=seed)
    labels = torch.from_numpy(ours.network.data.train.labels)[ours.indices[JUDGED_BY]]
    return accuracy_percent(backend, ours.maps[JUDGED_BY], labels.numpy())


def tuned(method: str, count: int) -> Recipe:
    """The method's recipe with the steps and rate that were best at the number of captures nearest to this.

    What is compared with is not to be tuned on a part of the grid: without all of it this ends.
    """
    found: dict[tuple[int, float], list[float]] = {}
    cells = read_cells(CELLS)
    nearest = min(CAPTURES, key=lambda known: abs(log(known / count)))
    for name, cell in cells.items():
        _, _, which, known, steps, rate = name.split("/")
        if (which, int(known)) == (method, nearest):
            found.setdefault((int(steps), float(rate)), []).append(cell["accuracy"])
    if len(found) < len(STEPS) * len(RATES):
        raise SystemExit(f"{method} is not tuned at {nearest} captures yet: python -m tests.benchmarks.tuning first")
    steps, rate = max(found, key=lambda place: fmean(found[place]))
    return replace(RECIPES[cast(Method, method)], steps=steps, learning_rate=rate)


def table(cells: dict[str, dict[str, Any]]) -> str:
    """Write the section."""
    lines = [
        "## Steps and rate of the methods on captures",
        "",
        f"`python -m tests.benchmarks.tuning --work DIR`, {max(cell['date'] for cell in cells.values())}; MNIST, per"
        " cent of 3,000 captured training images that no fit saw. Steps of batches of at most 128, highest rate of the"
        " cycle; the best of a row in bold.",
        "",
        f"| | {' | '.join(f'{steps} x {rate:g}' for steps in STEPS for rate in RATES)} |",
        "|---" * (len(STEPS) * len(RATES) + 1) + "|",
    ]
    for row in dict.fromkeys(name.rsplit("/", 2)[0] for name in cells):
        found = [cells.get(f"{row}/{steps}/{rate:g}", {}).get("accuracy") for steps in STEPS for rate in RATES]
        best = max(value for value in found if value is not None)
        said = ["" if v is None else f"**{v:.1f}**" if v == best else f"{v:.1f}" for v in found]
        bench, seed, method, count = row.split("/")
        lines.append(f"| {bench} (seed {seed}), {method}, {int(count):,} captures | {' | '.join(said)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure the cells that are not measured yet, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--bench", default="mono")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--captures", type=int, nargs="+", default=CAPTURES)
    arguments = parser.parse_args()
    cells = read_cells(CELLS)
    grid = [(steps, rate) for steps in STEPS for rate in RATES]
    for method, count in [(method, count) for count in arguments.captures for method in arguments.methods]:
        for steps, rate in grid:
            name = f"{arguments.bench}/{arguments.seed}/{method}/{count}/{steps}/{rate:g}"
            if name not in cells:
                found = measure(arguments.work.absolute(), arguments.bench, arguments.seed, method, count, steps, rate)
                cells = keep_cell(CELLS, name, {"accuracy": found, "date": f"{datetime.now(UTC):%Y-%m-%d}"})
                print(name, found, flush=True)
    write_section("tuning", table(cells))


if __name__ == "__main__":
    main()
