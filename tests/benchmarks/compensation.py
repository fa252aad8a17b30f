"""Every method of compensation, on many captures: ``python -m tests.benchmarks.compensation --work DIR``.

MNIST, all 10,000 test images, seeds of world and training alike. A seed is trained and deployed, then 20,000 training
and 10,000 test images are captured once on each bench, into the work folder (about 0.5 GB a seed and bench); then every
cell of the table (bench, seed, method, captures) is a fit and an evaluation on them. Finished cells are kept in
docs/results/ and not measured again; the most important come first. Options cut it into pieces:

    python -m tests.benchmarks.compensation --work DIR --bench mono --seeds 0 --methods twin+kd twin+ntkd --captures 32
"""

import argparse
import json
import shutil
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

from labonn.cli.demo import shipped_bench
from labonn.compensation import Answers, Captured, Lecture, Material, Twin, answers_of, fit_twin, rematch
from labonn.compensation.methods import RECIPES
from labonn.protocol import run_protocol
from labonn.protocol.deployment import Deployment, load_deployment
from labonn.records import newest_model
from labonn.training import accuracy_percent, logits_of
from tests.benchmarks import random_worlds
from tests.benchmarks.compensation_table import draw, table
from tests.benchmarks.results import RESULTS, write_section

CELLS = RESULTS.parent / "results" / "compensation.json"
SCRIPT = Path(__file__).parent / "protocols" / "capture_sets.py"
BENCHES = ("mono", "hostile")
RANDOM = tuple(f"random-{number}" for number in (1, 2, 3))
"""Worlds of `tests.benchmarks.random_worlds`, with the networks of seed 0."""
RANDOM_SEED = 100  # beyond the seeds of the others' worlds
SEEDS = (0, 1, 2, 3, 4)
CAPTURES = (8, 16, 32, 64, 200, 1000, 5000)
CEILING = 20_000
TEST = 10_000
CHUNK = 500  # images in a file of captures
METHODS = ("e2e", "kd", "ntkd", "map", "twin+ce", "twin+kd", "twin+ntkd")
HEADLINE = ("twin+kd", "twin+ntkd")
TWIN_CAPTURES = 1000  # whose tiles are kept


@dataclass(frozen=True)
class Sets:
    """The captures of one seed on one bench, and the network they are of."""

    network: Deployment
    lecture: Lecture
    indices: torch.Tensor  # (20000,) of the training set
    maps: torch.Tensor  # (20000, K, H, W)
    tiles: torch.Tensor  # (1000, T, H, W) of the first of them
    test_images: torch.Tensor  # (10000, 1, H, W)
    test_maps: torch.Tensor  # (10000, K, H, W)
    test_labels: NDArray[np.int64]  # (10000,)

    def captured(self, count: int) -> Captured:
        """The first captures."""
        return Captured(self.indices[:count], self.maps[:count])


def trained(work: Path, seed: int) -> tuple[Path, str]:
    """Train and deploy a seed on its own mono bench, unless that is done; gives the laboratory and the model."""
    lab = work / f"seed-{seed}"
    model = newest_model(lab)
    if model is None:
        settings = {"design": "mnist-mono", "seed": str(seed), "evaluation_images": "100"}
        _run("train_and_deploy", _bench(work, "mono", seed), lab, settings, seed)
        model = newest_model(lab)
    assert model is not None
    return lab, model


def capture(work: Path, bench: str, seed: int, train: int) -> Path:
    """Capture a seed's training and test images on a bench, those that are missing; gives their folder."""
    lab, model = trained(work, seed)
    folder = work / f"captures-{bench}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    if len(list(folder.glob("test-*.npz"))) < TEST // CHUNK or len(list(folder.glob("train-*.npz"))) < train // CHUNK:
        settings = {"model": model, "folder": str(folder), "seed": str(seed), "train": str(train), "test": str(TEST)}
        run_folder = _run(str(SCRIPT), _bench(work, bench, seed), lab, settings, seed)
        for file in run_folder.glob("frames.h5*"):
            file.unlink()  # what is measured on lies in the folder
    return folder


@lru_cache(maxsize=1)
def sets(work: Path, bench: str, seed: int) -> Sets:
    """Read the captures of a seed on a bench."""
    folder = work / f"captures-{bench}-{seed}"
    lab, model = trained(work, seed)
    network = load_deployment(lab, model)
    train, test = ([np.load(file) for file in sorted(folder.glob(f"{part}-*.npz"))] for part in ("train", "test"))

    def joined(parts: list[Any], name: str) -> torch.Tensor:
        return torch.from_numpy(np.concatenate([part[name] for part in parts if name in part.files]))

    tested = joined(test, "indices").numpy()
    return Sets(
        network=network,
        lecture=network.lecture(lab / "cache"),
        indices=joined(train, "indices"),
        maps=joined(train, "maps").float(),
        tiles=joined(train, "tiles"),
        test_images=torch.from_numpy(network.data.test.images[tested]),
        test_maps=joined(test, "maps").float(),
        test_labels=network.data.test.labels[tested],
    )


@lru_cache(maxsize=1)
def twin_of(work: Path, bench: str, seed: int, count: int) -> tuple[Twin, float]:
    """The twin of the first captures, and the seconds its fit took."""
    ours = sets(work, bench, seed)
    count = min(count, TWIN_CAPTURES)
    begin_s = time.perf_counter()
    images = ours.lecture.images[ours.indices[:count]]
    twin = fit_twin(images, ours.tiles[:count], ours.network.student.frontend.kernels().detach())
    return twin, time.perf_counter() - begin_s


@lru_cache(maxsize=1)
def material_of(work: Path, bench: str, seed: int, count: int, *, with_twin: bool) -> Material:
    """What the methods share that train on the same captures."""
    ours = sets(work, bench, seed)
    twin = twin_of(work, bench, seed, count)[0] if with_twin else None
    return Material(ours.network.student.backend, ours.captured(count), twin, ours.lecture, seed=seed)


def measure(work: Path, bench: str, seed: int, method: str, count: int) -> dict[str, Any]:
    """One cell: accuracy (%), loss (nats) and calibration error (points) on all captured test images."""
    ours = sets(work, bench, seed)
    backend, labels = ours.network.student.backend, ours.test_labels
    begin_s = time.perf_counter()
    cell: dict[str, Any] = {}
    if method == "simulated":
        return {"accuracy": accuracy_percent(ours.network.student, ours.test_images, labels)} | _when(begin_s)
    if method != "none":
        from tests.benchmarks import tuning  # it measures on what this module captures

        material = material_of(work, bench, seed, count, with_twin=method.startswith("twin"))
        recipe = tuning.tuned(method, count) if method in tuning.METHODS else RECIPES.get(method)
        with patch.dict(RECIPES, {} if recipe is None else {method: recipe}):
            backend = rematch(backend, method, material, seed=seed)
        if method.startswith("twin"):
            twin, _ = twin_of(work, bench, seed, count)
            cell["twin_r2"] = float(twin.held_out_r2.median())
    answers = answers_of(backend, ours.test_maps, labels)
    error = calibration_error(torch.softmax(logits_of(backend, ours.test_maps), dim=1), answers)
    return cell | {"accuracy": answers.percent, "loss": float(answers.loss.mean()), "ece": error} | _when(begin_s)


def calibration_error(probabilities: torch.Tensor, answers: Answers, bins: int = 15) -> float:
    """Expected calibration error in points: how far confidence and accuracy are apart, in bins of confidence.

    Source: Guo et al., "On calibration of modern neural networks", ICML 2017, eq. 3.
    """
    confidence = probabilities.max(dim=1).values.numpy()
    places = np.minimum((confidence * bins).astype(int), bins - 1)
    apart = [abs(confidence[places == place].sum() - answers.right[places == place].sum()) for place in range(bins)]
    return 100 * float(sum(apart)) / len(confidence)


def cells_in_order(ceiling: int) -> Iterator[tuple[str, int, str, int]]:
    """All cells (bench, seed, method, captures), the most important first."""
    headline = [("none", 0), ("simulated", 0), *((method, n) for n in (32, 8) for method in HEADLINE)]
    headline.append(("ceiling", ceiling))
    for bench in BENCHES:
        for seed in SEEDS:
            yield from ((bench, seed, method, count) for method, count in headline)
    for bench in RANDOM:
        yield from ((bench, 0, method, count) for method, count in headline)
    for bench in BENCHES:
        for seed in SEEDS:
            for count in CAPTURES:
                yield from ((bench, seed, method, count) for method in METHODS)


def main() -> None:
    """Measure the cells that are not measured yet, and write the section after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for what can be made again")
    parser.add_argument("--bench", nargs="+", choices=(*BENCHES, *RANDOM), default=(*BENCHES, *RANDOM))
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--methods", nargs="+", default=("none", "simulated", "ceiling", *METHODS))
    parser.add_argument("--captures", type=int, nargs="+", default=CAPTURES)
    parser.add_argument("--ceiling", type=int, default=CEILING, help="training images to capture, in all")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no cell later than that")
    parser.add_argument("--only-capture", action="store_true", help="train and capture, and measure nothing")
    arguments = parser.parse_args()
    work, begin_s = arguments.work.absolute(), time.monotonic()
    cells: dict[str, dict[str, Any]] = json.loads(CELLS.read_text(encoding="utf-8")) if CELLS.exists() else {}
    for bench, seed, method, count in dict.fromkeys(cells_in_order(arguments.ceiling)):
        chosen = bench in arguments.bench and seed in arguments.seeds and method in arguments.methods
        name = f"{bench}/{seed}/{method}/{count}"
        if not chosen or name in cells or (method in METHODS and count not in arguments.captures):
            continue
        if time.monotonic() - begin_s > 60 * arguments.minutes or count > arguments.ceiling:
            continue
        capture(work, bench, seed, arguments.ceiling)
        if arguments.only_capture:
            continue
        cells[name] = measure(work, bench, seed, method, count)
        print(name, cells[name], flush=True)
        CELLS.parent.mkdir(parents=True, exist_ok=True)
        CELLS.write_text(json.dumps(cells, indent=1) + "\n", encoding="utf-8")
        write_section("compensation", table(cells))
    if cells:
        write_section("compensation", table(cells))
        draw(cells, "mono", RESULTS.parent / "pictures" / "captures.png")


def _bench(work: Path, bench: str, seed: int) -> Path:
    if bench in RANDOM:
        return random_worlds.write(work / "benches-random", int(bench.removeprefix("random-")))
    folder = work / f"benches-{seed}"
    if not folder.exists():
        shutil.copytree(shipped_bench(bench).parent, folder)
    file = folder / f"{bench}.bench.toml"
    content = file.read_text(encoding="utf-8")
    file.write_text(content.replace(f'name = "{bench}"\n', f'name = "{bench}-{seed}"\n'), encoding="utf-8")
    return file


def _run(script: str, bench: Path, lab: Path, settings: dict[str, str], seed: int) -> Path:
    if bench.name.startswith("random"):
        seed += RANDOM_SEED
    outcome = run_protocol(script, bench, lab, settings, world_seed=seed)
    if outcome.exit_code:
        raise SystemExit(f"{script} on {bench} ended with {outcome.exit_code}: {outcome.error}")
    return outcome.run_folder


def _when(begin_s: float) -> dict[str, Any]:
    return {"seconds": round(time.perf_counter() - begin_s, 1), "date": f"{datetime.now(UTC):%Y-%m-%d}"}


if __name__ == "__main__":
    main()
