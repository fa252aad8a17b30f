"""Other forms of the NTK term beside KD: ``python -m tests.benchmarks.ntk_forms --work DIR``, 10 minutes.

In two regimes of `tests.benchmarks.ntk_term` in which there is most to gain: few labelled images, and an untrained
backend with little time. What changes is the term alone: its weight, the distance of the kernels, the layers of the
student whose kernel is matched, and the part of the training in which it counts. Same captures, same test images.
"""

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from torch import Tensor, nn

from labonn.compensation.methods import KD_WEIGHT
from labonn.ntk import empirical_ntk, matching_loss
from labonn.training import LossWeights, distillation_loss
from tests.benchmarks import ntk_term
from tests.benchmarks.results import cells_file, keep_cell, read_cells, write_section

CELLS = cells_file("ntk-forms")
REGIMES = (("trained", 1000, 400), ("untrained", 55_000, 400))
ALONE, BESIDE = LossWeights(task=1.0, kd=KD_WEIGHT), LossWeights(task=1.0, kd=KD_WEIGHT, ntkd=1.0)
FORMS: dict[str, LossWeights] = {
    "CE + KD": ALONE,
    "1 - CKA, weight 0.1": replace(BESIDE, ntkd=0.1),
    "1 - CKA, weight 1": BESIDE,
    "1 - CKA, weight 10": replace(BESIDE, ntkd=10.0),
    "distance of kernels of unit trace, weight 1": BESIDE,
    "distance of kernels of unit trace, weight 10": replace(BESIDE, ntkd=10.0),
    "kernel of the last layer": BESIDE,
    "kernel of all but the last layer": BESIDE,
    "in the first quarter alone, weight 10": replace(BESIDE, ntkd=10.0),
    "in the last quarter alone, weight 10": replace(BESIDE, ntkd=10.0),
}


@contextmanager
def form(name: str, steps: int) -> Iterator[None]:
    """Give the term a form, for the trainings within."""
    with ExitStack() as changes:
        if "unit trace" in name:
            other = partial(_distance, kind="frobenius")
            changes.enter_context(patch("labonn.training.lessons.matching_loss", other))
        if "layer" in name:
            changes.enter_context(
                patch("labonn.training.lessons.empirical_ntk", partial(_of_layers, "but" not in name))
            )
        if "quarter" in name:
            numbers, first = count(), "first" in name
            changes.enter_context(
                patch("labonn.compensation.rematch.distillation_loss", partial(_in_a_quarter, numbers, steps, first))
            )
        yield


def _distance(student: Tensor, teacher: Tensor, kind: Any) -> Tensor:
    return matching_loss(student, teacher, kind="frobenius")


def _of_layers(last: bool, backend: nn.Module, maps: Tensor, **options: Any) -> Tensor:
    names = [name for name, _ in backend.named_parameters()]
    of_last = {name for name in names if name.rsplit(".", 1)[0] == names[-1].rsplit(".", 1)[0]}
    chosen = [parameter for name, parameter in backend.named_parameters() if (name in of_last) == last]
    return empirical_ntk(backend, maps, parameters=chosen, **options)


def _in_a_quarter(
    numbers: Iterator[int], steps: int, first: bool, layers: nn.Module, maps: Tensor, lesson: Any, weights: LossWeights
) -> Tensor:
    done = next(numbers) / steps
    counts = done < 0.25 if first else done >= 0.75
    return distillation_loss(layers, maps, lesson, weights if counts else replace(weights, ntkd=0.0))


def table(cells: dict[str, dict[str, Any]]) -> str:
    """Write the section."""
    lines = [
        "## Other forms of the NTK term",
        "",
        f"`python -m tests.benchmarks.ntk_forms --work DIR`, {max(cell['date'] for cell in cells.values())}; as above,"
        " beside KD; means over so many seeds, and in brackets the difference from CE + KD of the same seeds.",
        "",
        "| start | taught on | steps | the term | accuracy | NLL | accuracy, drifted | seeds |",
        "|---" * 8 + "|",
    ]
    rows: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
    for name, cell in cells.items():
        _, seed, *regime = name.split("/")
        rows.setdefault(tuple(regime), {})[seed] = cell
    for (start, taught, steps, called), found in rows.items():
        said = []
        for key, digits in (("accuracy", 2), ("loss", 4), ("drifted", 2)):
            without = rows[start, taught, steps, "CE + KD"]
            apart = np.mean([cell[key] - without[seed][key] for seed, cell in found.items()])
            difference = "" if called == "CE + KD" else f" ({apart:+.{digits}f})"
            said.append(f"{np.mean([cell[key] for cell in found.values()]):.{digits}f}{difference}")
        lines.append(f"| {start} | {taught} | {steps} | {called} | {' | '.join(said)} | {len(found)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure the cells that are not measured yet, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--bench", default="mono")
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1))
    arguments = parser.parse_args()
    cells = read_cells(CELLS)
    where = arguments.work.absolute(), arguments.bench
    for seed, (start, taught, steps) in [(seed, regime) for seed in arguments.seeds for regime in REGIMES]:
        for called, weights in FORMS.items():
            name = f"{arguments.bench}/{seed}/{start}/{taught}/{steps}/{called}"
            if name not in cells:
                with form(called, steps), patch.dict(ntk_term.LOSSES, {called: weights}):
                    cells = keep_cell(CELLS, name, ntk_term.measure(*where, seed, start, taught, steps, called))
                print(name, cells[name], flush=True)
                write_section("ntk-forms", table(cells))


if __name__ == "__main__":
    main()
