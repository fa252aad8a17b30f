"""Every method of compensation, on many captures: ``python -m tests.benchmarks.compensation [TASK] --work DIR``.

TASK is mnist, cifar10 or carvana (`tests.benchmarks.compensation_tasks`). All test images, seeds of world and training
alike. A seed is trained and deployed, then its training and test images are captured once on each bench, into the work
folder (MNIST about 0.5 GB a seed and bench, CIFAR-10 1.5 GB, Carvana 5 GB); then every cell of the table (bench, seed,
method, captures) is a fit and an evaluation on them. Finished cells are kept in docs/results/ and not measured again;
the most important come first. Options cut it into pieces:

    python -m tests.benchmarks.compensation --work DIR --bench mono --seeds 0 --methods twin+kd twin+ntkd --captures 32

One is remade with `--again`, and compared with what is kept; `--ceiling 32` then captures no more than it needs.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

from labonn.compensation import Answers, AnyTwin, Captured, Lecture, Material, answers_of, rematch
from labonn.compensation import twin_of as fitted_twin
from labonn.compensation.material import LARGEST_BYTES
from labonn.compensation.methods import RECIPES
from labonn.protocol.deployment import Deployment, load_deployment
from labonn.training import logits_of, score_percent
from tests.benchmarks.compensation_pictures import draw_captures, draw_optics
from tests.benchmarks.compensation_table import table
from tests.benchmarks.compensation_tasks import TASKS, Task, bench_file, run, task_of, trained
from tests.benchmarks.results import RESULTS, cells_file, keep_cell, read_cells, write_section

SCRIPT = Path(__file__).parent / "protocols" / "capture_sets.py"
CAPTURES = (8, 16, 32, 64, 200, 1000, 5000)
METHODS = ("e2e", "kd", "ntkd", "map", "twin+ce", "twin+kd", "twin+ntkd")
HEADLINE = ("twin+kd", "twin+ntkd")
IN_COLOUR = ("e2e", "kd", "ntkd")  # what is compared with the headline there


@dataclass(frozen=True)
class Sets:
    """The captures of one seed on one bench, and the network they are of."""

    network: Deployment
    lecture: Lecture
    indices: torch.Tensor  # (20000,) of the training set
    maps: torch.Tensor  # (20000, M, H, W)
    tiles: torch.Tensor  # (1000, T, [C,] H, W) of the first of them
    test_images: torch.Tensor  # (10000, C, H, W)
    test_maps: torch.Tensor  # (10000, M, H, W)
    test_labels: NDArray[np.int64]  # (10000,), or masks (10000, H, W)

    def captured(self, count: int) -> Captured:
        """The first captures."""
        return Captured(self.indices[:count], self.maps[:count])


def capture(work: Path, bench: str, seed: int, train: int, test: int | None = None) -> Path:
    """Capture a seed's training and test images on a bench, those that are missing; gives their folder."""
    task = task_of(bench)
    test = task.test if test is None else test
    lab, model = trained(work, seed, bench)
    folder = work / f"captures-{bench}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {"test": -(-test // task.chunk), "train": -(-train // task.chunk)}
    settings = {"model": model, "folder": str(folder), "seed": str(seed), "train": str(train), "test": str(test)}
    settings |= {"chunk_images": str(task.chunk), "tiles_kept": str(task.tiles_kept)}
    while any(len(list(folder.glob(f"{part}-*.npz"))) < files for part, files in wanted.items()):
        run_folder = run(str(SCRIPT), bench_file(work, bench, seed), lab, settings, seed)
        for file in run_folder.glob("frames.h5*"):
            file.unlink()  # what is measured on lies in the folder
    return folder


@lru_cache(maxsize=1)
def sets(work: Path, bench: str, seed: int) -> Sets:
    """Read the captures of a seed on a bench."""
    folder = work / f"captures-{bench}-{seed}"
    lab, model = trained(work, seed, bench)
    network = load_deployment(lab, model)
    train, test = ([np.load(file) for file in sorted(folder.glob(f"{part}-*.npz"))] for part in ("train", "test"))

    def joined(parts: list[Any], name: str) -> torch.Tensor:
        return torch.from_numpy(np.concatenate([part[name] for part in parts if name in part.files]))

    tested, maps = joined(test, "indices").numpy(), joined(train, "maps")
    return Sets(
        network=network,
        lecture=network.lecture(lab / "cache"),
        indices=joined(train, "indices"),
        maps=maps if maps.numel() > LARGEST_BYTES // 4 else maps.float(),
        tiles=joined(train, "tiles"),
        test_images=torch.from_numpy(network.data.test.images[tested]),
        test_maps=joined(test, "maps").float(),
        test_labels=network.data.test.labels[tested],
    )


@lru_cache(maxsize=1)
def twin_of(work: Path, bench: str, seed: int, count: int) -> tuple[AnyTwin, float]:
    """The twin of the first captures, and the seconds its fit took."""
    ours = sets(work, bench, seed)
    count = min(count, len(ours.tiles))
    begin_s = time.perf_counter()
    images = ours.lecture.images[ours.indices[:count]]
    twin = fitted_twin(ours.network.student.frontend, images, ours.tiles[:count])
    return twin, time.perf_counter() - begin_s


@lru_cache(maxsize=1)
def material_of(work: Path, bench: str, seed: int, count: int, *, with_twin: bool) -> Material:
    """What the methods share that train on the same captures."""
    ours = sets(work, bench, seed)
    twin = twin_of(work, bench, seed, count)[0] if with_twin else None
    return Material(ours.network.student.backend, ours.captured(count), twin, ours.lecture, seed=seed)


def measure(work: Path, bench: str, seed: int, method: str, count: int) -> dict[str, Any]:
    """One cell: accuracy (%), loss (nats) and calibration error (points) on all captured test images."""
    ours, task = sets(work, bench, seed), task_of(bench)
    backend, labels = ours.network.student.backend, ours.test_labels
    begin_s = time.perf_counter()
    cell: dict[str, Any] = {}
    if method == "simulated":
        return {task.measure: score_percent(ours.network.student, ours.test_images, labels)} | _when(begin_s)
    if method != "none":
        from tests.benchmarks import tuning  # it measures on what this module captures

        material = material_of(work, bench, seed, count, with_twin=method.startswith("twin"))
        tuned = task.name == "mnist" and method in tuning.METHODS
        with patch.dict(RECIPES, {method: tuning.tuned(method, count)} if tuned else {}):
            backend = rematch(backend, method, material, seed=seed)
        if method.startswith("twin"):
            twin, _ = twin_of(work, bench, seed, count)
            cell["twin_r2"] = float(twin.held_out_r2.median())
    answers = answers_of(backend, ours.test_maps, labels)
    if labels.ndim == 1:
        cell["ece"] = calibration_error(torch.softmax(logits_of(backend, ours.test_maps), dim=1), answers)
    return cell | {task.measure: answers.percent, "loss": float(answers.loss.mean())} | _when(begin_s)


def calibration_error(probabilities: torch.Tensor, answers: Answers, bins: int = 15) -> float:
    """Expected calibration error in points: how far confidence and accuracy are apart, in bins of confidence.

    Source: Guo et al., "On calibration of modern neural networks", ICML 2017, eq. 3.
    """
    confidence = probabilities.max(dim=1).values.numpy()
    places = np.minimum((confidence * bins).astype(int), bins - 1)
    apart = [abs(confidence[places == place].sum() - answers.right[places == place].sum()) for place in range(bins)]
    return 100 * float(sum(apart)) / len(confidence)


def cells_in_order(task: Task, ceiling: int) -> Iterator[tuple[str, int, str, int]]:
    """All cells (bench, seed, method, captures), the most important first."""
    headline = [("none", 0), ("simulated", 0), *((method, n) for n in (32, 8) for method in HEADLINE)]
    headline.append(("ceiling", ceiling))
    for bench in task.designs:
        for seed in task.seeds:
            yield from ((bench, seed, method, count) for method, count in headline)
    for bench in task.worlds:
        yield from ((bench, 0, method, count) for method, count in headline)
    for bench in task.designs:
        for seed in task.seeds:
            if task.name != "mnist":
                yield from ((bench, seed, method, 32) for method in IN_COLOUR)
                yield from ((bench, seed, method, 200) for method in HEADLINE)
                continue
            for count in CAPTURES:
                yield from ((bench, seed, method, count) for method in METHODS)


def section(task: Task) -> str:
    """The name of its section."""
    return "compensation" if task.name == "mnist" else f"compensation-{task.name}"


def main() -> None:
    """Measure the cells that are not measured yet, and write the section after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", nargs="?", choices=TASKS, default="mnist")
    parser.add_argument("--work", type=Path, required=True, help="folder for what can be made again")
    parser.add_argument("--bench", nargs="+", help="all of the task's by default")
    parser.add_argument("--seeds", type=int, nargs="+", help="all of the task's by default")
    parser.add_argument("--methods", nargs="+", default=("none", "simulated", "ceiling", *METHODS))
    parser.add_argument("--captures", type=int, nargs="+", default=CAPTURES)
    parser.add_argument("--ceiling", type=int, help="training images to capture, in all")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no cell later than that")
    parser.add_argument("--only-capture", action="store_true", help="train and capture, and measure nothing")
    parser.add_argument("--again", action="store_true", help="measure cells that are there again, and compare")
    trial = parser.add_argument_group("a trial, whose cells are kept in the work folder and go into no document")
    trial.add_argument("--design", help="a design file to train in place of the task's")
    trial.add_argument("--test", type=int, help="test images to capture")
    arguments = parser.parse_args()
    task, work, begin_s = TASKS[arguments.task], arguments.work.absolute(), time.monotonic()
    if unknown := set(arguments.bench or ()) - set(task.benches):
        parser.error(f"--bench {unknown.pop()}: {task.name} has {', '.join(task.benches)}")
    benches, seeds, ceiling = arguments.bench or task.benches, arguments.seeds or task.seeds, arguments.ceiling
    ceiling = task.ceiling if ceiling is None else ceiling
    tried = arguments.design is not None or arguments.test is not None
    kept = work / f"{section(task)}.json" if tried else cells_file(section(task))
    cells = read_cells(kept)

    def said() -> None:
        if tried:
            (work / f"{section(task)}.md").write_text(table(task, cells) + "\n", encoding="utf-8")
        else:
            write_section(section(task), table(task, cells))

    for bench, seed, method, count in dict.fromkeys(cells_in_order(task, ceiling)):
        chosen = bench in benches and seed in seeds and method in arguments.methods
        name = f"{bench}/{seed}/{method}/{count}"
        if not chosen or (method in METHODS and count not in arguments.captures):
            continue
        if name in cells and not arguments.again:
            continue
        if time.monotonic() - begin_s > 60 * arguments.minutes or count > ceiling:
            continue
        trained(work, seed, bench, arguments.design)
        capture(work, bench, seed, ceiling, arguments.test)
        if arguments.only_capture:
            continue
        measured = measure(work, bench, seed, method, count)
        if name in cells:
            print(f"{name}: {measured[task.measure]:.2f}, was {cells[name][task.measure]:.2f}", flush=True)
            measured = cells[name] | {"again": {"value": measured[task.measure], "date": measured["date"]}}
        elif any("again" in cell for known, cell in cells.items() if known.startswith(f"{bench}/{seed}/")):
            measured["after_again"] = True
        cells = keep_cell(kept, name, measured)
        print(name, measured, flush=True)
        said()
    if cells:
        said()
    if cells and not tried:
        _draw(task, cells)


def _draw(task: Task, cells: dict[str, Any]) -> None:
    """Draw the picture that shows this task: MNIST's own, or that of both tasks in colour."""
    pictures = RESULTS.parent / "pictures"
    if task.name == "mnist":
        draw_captures(cells, "mono", pictures / "captures.png")
    else:
        in_colour = [other for other in TASKS.values() if other.name != "mnist"]
        draw_optics([(other, read_cells(cells_file(section(other)))) for other in in_colour], pictures / "optics.png")


def _when(begin_s: float) -> dict[str, Any]:
    return {"seconds": round(time.perf_counter() - begin_s, 1), "date": f"{datetime.now(UTC):%Y-%m-%d}"}


if __name__ == "__main__":
    main()
