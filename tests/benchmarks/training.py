"""Every method of training in simulation: ``python -m tests.benchmarks.training TASK --work DIR``.

TASK is ``mnist``, ``cifar10`` or ``carvana``. A cell is a design, a method, a seed, and whether the student is told all
labels or 1,000: what one ``labonn train`` gives, judged on the whole test set. Its teacher is that of seed 0, trained
once, with all labels. Its settings are those that `tests.benchmarks.training_search` found for its design and method,
and as shipped where no search is at its end. Finished cells are kept in docs/results/training.json and not made again
unless their settings are others now, and one that was killed goes on where it was; the most important come first. One
cell alone:

    python -m tests.benchmarks.training mnist --work DIR --designs mnist-mono --methods ntkd --seeds 0 --labels all
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labonn.cli.answer import Answer
from labonn.errors import ConfigError
from tests.benchmarks.results import cells_file, keep_cell, read_cells, write_section
from tests.benchmarks.training_settings import DESIGNS, METHODS, best_settings, methods_of, with_settings
from tests.benchmarks.training_table import score, table

CELLS = cells_file("training")
SEEDS = {"mnist": (0, 1, 2, 3, 4), "cifar10": (0, 1, 2), "carvana": (0, 1, 2)}
FEW_LABELS = 1000
FEW_LABELLED = ("mnist-mono", "cifar10-poly", "carvana-poly")
"""Designs that are trained with few labels, too."""


@dataclass(frozen=True)
class Cell:
    """One training of the table."""

    task: str
    design: str
    method: str
    seed: int
    labelled: int | None = None  # all labels if not given

    @property
    def name(self) -> str:
        """What it is kept by."""
        few = "" if self.labelled is None else f"/{self.labelled}"
        return f"{self.task}/{self.design}/{self.method}/{self.seed}{few}"


def cells_in_order(task: str) -> Iterator[Cell]:
    """All cells of a task: the first seed of everything first, and few labels after all of them."""
    for seed in SEEDS[task]:
        for design in DESIGNS[task]:
            for method in methods_of(design):
                yield Cell(task, design, method, seed)
        for design in DESIGNS[task]:
            if design in FEW_LABELLED:
                yield from (Cell(task, design, method, seed, FEW_LABELS) for method in METHODS)


def measure(work: Path, cell: Cell, device: str) -> dict[str, Any]:
    """Make one cell, by the command that a user has."""
    from labonn.cli.training import train_command

    settings = best_settings(cell.design, cell.method)

    def train(*, fresh: bool) -> Answer:
        return train_command(
            with_settings(cell.design, settings),
            work / "lab",
            method=cell.method,
            seed=cell.seed,
            teacher_seed=0,
            out=None,
            device=device,
            precision="32-true",
            labelled=cell.labelled,
            only_teacher=False,
            fresh=fresh,
        )

    try:
        answer = train(fresh=False)
    except ConfigError as error:  # one that was killed, with other settings
        print(f"{error}: it is begun anew")
        answer = train(fresh=True)
    kept = ("parameters", "macs", "images_per_s", "seconds", "final_loss", "model", "teacher", "design_sha256")
    judged = ("accuracy", "miou", "miou_of_all_classes")
    made = {key: answer.content[key] for key in (*kept, *judged) if key in answer.content}
    return made | {
        "settings": settings,
        "device": answer.content["environment"]["device"],
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
    }


def main() -> None:
    """Make the cells that are not made yet, and write the section after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=tuple(DESIGNS))
    parser.add_argument("--work", type=Path, required=True, help="folder for teachers, models and checkpoints")
    parser.add_argument("--designs", nargs="+")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--labels", choices=("all", str(FEW_LABELS)), help="only cells with so many labels")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no cell later than that")
    parser.add_argument("--again", action="store_true", help="make cells that are there again, and compare")
    arguments = parser.parse_args()
    if unknown := set(arguments.designs or ()) - set(DESIGNS[arguments.task]):
        parser.error(f"--designs {unknown.pop()}: {arguments.task} has {', '.join(DESIGNS[arguments.task])}")
    began_s = time.monotonic()
    cells = read_cells(CELLS)
    for cell in cells_in_order(arguments.task):
        chosen = (
            cell.design in (arguments.designs or DESIGNS[arguments.task])
            and cell.method in arguments.methods
            and cell.seed in (arguments.seeds or SEEDS[arguments.task])
            and arguments.labels in (None, str(cell.labelled or "all"))
        )
        known = cells.get(cell.name)
        fitting = known is not None and known["settings"] == best_settings(cell.design, cell.method)
        if not chosen or (fitting and not arguments.again):
            continue
        if time.monotonic() - began_s > 60 * arguments.minutes:
            break
        made = measure(arguments.work.absolute(), cell, arguments.device)
        if known is not None and fitting:
            again = {"value": score(made)["simulated"], "date": made["date"]}
            print(f"{cell.name}: {again['value']:.2f}, was {score(known)['simulated']:.2f}")
            made = known | {"again": again}
        cells = keep_cell(CELLS, cell.name, made)
        print(cell.name, score(made), flush=True)
        write_section("training", table(cells))
    if cells:
        write_section("training", table(cells))


if __name__ == "__main__":
    main()
