"""Estimates against trainings: ``python -m tests.benchmarks.estimates mnist cifar10``.

Of each task 24 designs (kernels, taps, pooling, noise, width of the backend; groups of equal parameter count) are
foretold and then trained, without a teacher. A cell is one design with one seed, a line of
docs/results/estimates.jsonl, made once: kill it and call it again, or share the designs out with ``--only``. A
correction is fitted on three quarters of the designs and judged on the fourth, in turn. ``--random`` makes up five more
designs by chance, foretold by what was fitted on all others. ``--table`` writes the section of what is there.
``--kernels`` makes the table of random kernels. ``--foretell`` foretells again what is trained already.
"""

import argparse
import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labonn.data import DataSet, load
from labonn.design import Design, load_design
from labonn.errors import TrainingError
from labonn.networks import Student
from labonn.ntk import fit_kernel_ridge, one_hot
from labonn.records.disk import write_atomically
from labonn.sweeps.varying import vary
from labonn.training import Teaching, train_student
from labonn.training.accuracy import accuracy_percent
from labonn.training.estimate import Settings, predict
from labonn.training.estimate.references import drawn_features
from tests.benchmarks.estimates_table import CELLS, draw, read_cells, section
from tests.benchmarks.results import RESULTS, write_section

TASKS = {"mnist": "mnist-mono", "cifar10": "cifar10-poly", "digits": "digits-mono"}
KERNELS_FILE = RESULTS.parent / "results" / "random-kernels.jsonl"
RANDOM_KERNELS = {"mnist": (8, 500, 1000, 4000), "cifar10": (8, 500, 1000, 4000)}
DRAWN_TOGETHER = 100  # kernels
# kernels, taps, pooling, hidden widths, read noise in electrons; mnist has maps of 28 x 28, cifar10 of 32 x 32.
SMALL = [
    (1, 7, 14, (8,), 5), (1, 7, 7, (16,), 5), (1, 7, 4, (120,), 5), (2, 7, 14, (8,), 5),
    (2, 7, 7, (32,), 5), (2, 7, 4, (120,), 5), (4, 7, 14, (16,), 5), (4, 7, 7, (64,), 5),
    (4, 3, 4, (120,), 5), (4, 7, 4, (120,), 5), (8, 7, 14, (16,), 5), (8, 7, 7, (120,), 5),
    (8, 3, 4, (120,), 5), (8, 7, 4, (120,), 5), (8, 7, 4, (16,), 5), (8, 7, 4, (), 5),
    (16, 7, 7, (120,), 5), (16, 7, 4, (64,), 5),
    # of equal parameter count: with (8, 7, 4, (120,), 5), and with each other
    (8, 7, 4, (120,), 20_000), (8, 7, 4, (120,), 60_000), (8, 7, 4, (120,), 150_000),
    (2, 7, 2, (120,), 5), (2, 7, 2, (120,), 60_000), (32, 7, 7, (73,), 5),
]  # fmt: skip
LARGE = [
    (1, 7, 16, (16,), 5), (1, 7, 8, (64,), 5), (1, 7, 4, (128,), 5), (2, 7, 8, (64,), 5),
    (2, 7, 4, (128,), 5), (2, 7, 2, (128,), 5), (4, 7, 16, (32,), 5), (4, 7, 8, (128,), 5),
    (4, 3, 4, (128,), 5), (4, 7, 4, (128,), 5), (8, 7, 8, (128,), 5), (8, 3, 4, (128,), 5),
    (8, 7, 4, (128,), 5), (8, 7, 4, (), 5), (8, 7, 2, (128,), 5), (16, 7, 8, (128,), 5),
    (16, 7, 4, (128,), 5), (16, 7, 4, (32,), 5), (16, 7, 2, (128,), 5),
    # of equal parameter count
    (16, 7, 4, (128,), 2_000), (16, 7, 4, (128,), 10_000), (4, 7, 2, (128,), 5), (4, 7, 2, (128,), 5_000),
    (32, 3, 4, (64,), 5),
]  # fmt: skip
SHARE = {"mnist": SMALL, "cifar10": LARGE, "digits": SMALL}


def designs(task: str) -> list[Design]:
    """The designs of a task, each with a name that says what it is."""
    return [made(task, *row) for row in SHARE[task]]


def drawn_designs(task: str, count: int = 5) -> list[Design]:
    """Designs that chance makes up."""
    chance = np.random.default_rng([2026, 11, len(task)])
    pools = (4, 7, 14) if task != "cifar10" else (4, 8, 16)
    return [
        made(
            task, int(chance.integers(1, 17)), int(chance.choice([3, 5, 7, 9])), int(chance.choice(pools)),
            (int(chance.integers(8, 160)),), float(round(10 ** chance.uniform(0.5, 4.5))),
        )
        for _ in range(count)
    ]  # fmt: skip


def made(task: str, kernels: int, taps: int, pool: int, hidden: tuple[int, ...], noise_e: float) -> Design:
    """A design of a task."""
    words = "x".join(map(str, hidden)) or "0"
    settings = {
        "design.optic.kernels": kernels, "design.optic.taps": taps, "design.backend.pool": pool,
        "design.backend.hidden": hidden, "design.sensor.read_noise_e": noise_e, "design.max_parameters": None,
        "design.training.method": "none",
    }  # fmt: skip
    name = f"{task}-k{kernels}-t{taps}-p{pool}-h{words}-n{noise_e:g}"
    return vary(load_design(TASKS[task]), settings, name=name, fit_optic=True)


def cell(design: Design, data: DataSet, seed: int, epochs: int | None, images: int) -> dict[str, Any]:
    """Foretell a design, then train it."""
    predictors = predict(design, data, Settings(images=images, seed=seed))
    training = design.training.model_copy(update={"epochs": epochs or design.training.epochs})
    trained = design.model_copy(update={"training": training})
    shown, labels = torch.from_numpy(data.train.images), torch.from_numpy(data.train.labels)
    teaching = Teaching(None, shown, labels, batch=training.batch, cache=None)
    began_s = time.process_time()
    accuracy = 100 / design.classes
    student: Student | None = None
    try:
        student = train_student(trained, data.train, design.classes, teaching, seed=seed).student
    except TrainingError as error:
        print(f"{design.name}: {error}")
    seconds = time.process_time() - began_s
    if student is not None:
        accuracy = accuracy_percent(student, torch.from_numpy(data.test.images), data.test.labels)
    return {
        "task": design.task,
        "design": design.name,
        "seed": seed,
        "epochs": training.epochs,
        "train": len(data.train),
        "accuracy": accuracy,
        "training_s": round(seconds, 2),
        "predictors": asdict(predictors),
        "threads": torch.get_num_threads(),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
    }


def foretell_again(cells: Path, task: str, data: DataSet, images: int) -> None:
    """Foretell the designs of a task again and leave what they reached as it was."""
    known = {design.name: design for design in (*designs(task), *drawn_designs(task))}
    lines = read_cells(cells)
    predict(designs(task)[0], data, Settings(images=64, initialisations=1))  # what torch does once is nobody's cost
    for line in lines:
        if line["task"] == task and line["design"] in known:
            predictors = predict(known[line["design"]], data, Settings(images=images, seed=line["seed"]))
            line["predictors"] = asdict(predictors)
            print(f"{line['design']}: foretold {predictors.ntk:.2f}, trained {line['accuracy']:.2f}", flush=True)
            write_atomically(cells, "".join(json.dumps(line) + "\n" for line in lines).encode())


def random_kernels(task: str, kernels: int, data: DataSet, images: int, tested: int) -> dict[str, Any]:
    """Ridge of a single layer on drawn kernels, whose Gram matrix is added up some kernels at a time."""
    train, test = data.train.first(images), data.test.first(tested)
    both = torch.from_numpy(np.concatenate([train.images, test.images]))
    design = made(task, min(kernels, DRAWN_TOGETHER), 7, 4, (), 5)
    design = design.model_copy(update={"optic": design.optic.model_copy(update={"kind": "random"})})
    product = torch.zeros(len(both), len(train), dtype=torch.float64)
    for first in range(0, kernels, DRAWN_TOGETHER):
        some = min(DRAWN_TOGETHER, kernels - first)
        features = drawn_features(design, both, some, seed=first)
        product += (features @ features[: len(train)].T).double()
    kernel = product.numpy()
    count = len(train)
    kernel = kernel / np.mean(np.diagonal(kernel)) + 1.0
    ridge = fit_kernel_ridge(kernel[:count], one_hot(train.labels, design.classes))
    right = ridge.predict(kernel[count:]).argmax(1) == test.labels
    return {
        "task": task, "kernels": kernels, "images": count, "tested": len(test), "accuracy": 100 * float(right.mean()),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
    }  # fmt: skip


def lines_of(file: Path) -> list[dict[str, Any]]:
    """What a file of one cell a line holds."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def add(file: Path, line: Mapping[str, Any]) -> None:
    """Add a cell; it is on the disk when this returns."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8", newline="\n") as open_file:
        open_file.write(json.dumps(line) + "\n")
        open_file.flush()
        os.fsync(open_file.fileno())


def kernels_section(cells: Iterable[Mapping[str, Any]]) -> str:
    """The table of random kernels, beside the paper's."""
    paper = {("mnist", 8): 96.1, ("mnist", 500): 96.8, ("mnist", 1000): 97.2, ("mnist", 4000): 97.7}
    paper |= {("cifar10", 8): 36.7, ("cifar10", 500): 49.3, ("cifar10", 1000): 56.2, ("cifar10", 4000): 67.3}
    rows = [
        f"| {one['task']} | {one['kernels']:,} | {paper.get((one['task'], one['kernels']), '')} |"
        f" {one['accuracy']:.1f} | {one['images']:,} |"
        for one in cells
    ]
    return "\n".join(
        [
            "## Random kernels, before any training",
            "",
            "`python -m tests.benchmarks.estimates TASK --kernels`. Kernel ridge of a single layer on drawn kernels of"
            " 7 x 7 taps, pooled by 4, test images in per cent; the paper trains such a layer on all images. Its column"
            " of infinitely many stands beside our 4,000. With as few images as ours, kernels beyond some hundreds add"
            " nothing; what the paper gains by them takes all images.",
            "",
            "| task | kernels | paper | ours | training images |",
            "|---|---|---|---|---|",
            *rows,
        ]
    )


def main() -> None:
    """Make the cells that are not made yet, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="+", choices=tuple(TASKS))
    parser.add_argument("--only", type=int, nargs="+", help="places of the designs in their list")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, help="of each training; the shipped design's by default")
    parser.add_argument("--images", type=int, default=800, help="of the kernel regressions")
    parser.add_argument("--first", type=int, help="train on the first so many images only; to try the command")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no cell later than that")
    parser.add_argument("--random", action="store_true", help="five designs made up by chance instead")
    parser.add_argument("--foretell", action="store_true", help="foretell again what is trained, and train nothing")
    parser.add_argument("--kernels", action="store_true", help="the table of random kernels instead")
    parser.add_argument("--table", action="store_true", help="make no cell")
    parser.add_argument("--cells", type=Path, default=CELLS, help="where the cells are; another file writes no section")
    arguments = parser.parse_args()
    began_s = time.monotonic()

    def late() -> bool:
        return time.monotonic() - began_s > 60 * arguments.minutes

    for task in arguments.tasks if arguments.kernels else ():
        data = load(task)
        for kernels in RANDOM_KERNELS[task]:
            if not late() and (task, kernels) not in {(one["task"], one["kernels"]) for one in lines_of(KERNELS_FILE)}:
                add(KERNELS_FILE, random_kernels(task, kernels, data, 4000, 4000))
    if arguments.kernels:
        write_section("random-kernels", kernels_section(lines_of(KERNELS_FILE)))
        return
    for task in () if arguments.table else arguments.tasks:
        data = load(task)
        if arguments.first:
            data = DataSet(data.name, data.classes, data.train.first(arguments.first), data.validation, data.test)
        if arguments.foretell:
            foretell_again(arguments.cells, task, data, arguments.images)
            continue
        asked = drawn_designs(task) if arguments.random else designs(task)
        for place, design in enumerate(asked):
            for seed in arguments.seeds:
                known = {(one["design"], one["seed"]) for one in read_cells(arguments.cells)}
                wanted = arguments.only is None or place in arguments.only
                if not wanted or (design.name, seed) in known or late():
                    continue
                found = cell(design, data, seed, arguments.epochs, arguments.images) | {"drawn": arguments.random}
                add(arguments.cells, found)
                print(
                    f"{design.name} seed {seed}: foretold {found['predictors']['ntk']:.2f},"
                    f" trained {found['accuracy']:.2f}, {found['training_s']:.0f} s",
                    flush=True,
                )
    text = section(read_cells(arguments.cells))
    if arguments.cells == CELLS:
        write_section("estimates", text)
        draw(read_cells(arguments.cells), RESULTS.parent / "pictures" / "estimates.png")
    else:
        print(text)


if __name__ == "__main__":
    main()
