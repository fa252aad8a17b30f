"""What the benchmark of compensation measures on: which networks, on which benches, how many images.

MNIST's networks are trained where they are deployed. Those in colour go an operator's way: `labonn train`, an optic
that is made for the student (`python -m sim.mask_design`), `labonn run train_and_deploy` on the bench with that optic.
"""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from labonn.cli.demo import shipped_bench
from labonn.instruments import read_bench
from labonn.protocol import run_protocol
from labonn.records import newest_model
from sim.mask_design import main as make_optic
from tests.benchmarks import lens_benches, random_worlds

RANDOM_SEED = 100  # beyond the seeds of the others' worlds
DEPLOYED_ON = "100"  # test images that a deployment is looked at with


@dataclass(frozen=True)
class Task:
    """One data set, and the benches that it is measured on.

    Attributes
    ----------
    name
        As on the command line.
    data
        How its data set is called.
    measure
        What a cell is judged by.
    designs
        Bench -> design.
    shipped
        Bench -> the shipped bench that it is made from; for a lens, without that bench's optic.
    worlds
        Benches of random worlds -> the bench whose network stands there, and the number of the world.
    seeds, ceiling, test
        Of world and training; training images captured for the ceiling, in all; test images.
    chunk, tiles_kept
        Images in a file of captures; training images of which every tile is kept.
    """

    name: str
    data: str
    measure: str
    designs: dict[str, str]
    shipped: dict[str, str]
    worlds: dict[str, tuple[str, int]]
    seeds: tuple[int, ...]
    ceiling: int
    test: int
    chunk: int = 500
    tiles_kept: int = 1000

    @property
    def benches(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.designs, *self.worlds)


TASKS = {
    task.name: task
    for task in (
        Task(
            "mnist",
            "MNIST",
            "accuracy",
            {"mono": "mnist-mono", "hostile": "mnist-mono"},
            {"mono": "mono", "hostile": "hostile"},
            {f"random-{number}": ("mono", number) for number in (1, 2, 3)},
            seeds=(0, 1, 2, 3, 4),
            ceiling=20_000,
            test=10_000,
        ),
        Task(
            "cifar10",
            "CIFAR-10",
            "accuracy",
            {"poly": "cifar10-poly", "poly-random": "cifar10-random", "poly-lens": "cifar10-lens"},
            dict.fromkeys(("poly", "poly-random", "poly-lens"), "poly"),
            {f"poly-world-{number}": ("poly", number) for number in (1, 2)},
            seeds=(0, 1, 2),
            ceiling=20_000,
            test=10_000,
        ),
        Task(
            "carvana",
            "Carvana",
            "miou",
            {
                "segmentation": "carvana-poly",
                "segmentation-random": "carvana-random",
                "segmentation-lens": "carvana-lens",
            },
            dict.fromkeys(("segmentation", "segmentation-random", "segmentation-lens"), "segmentation"),
            {f"segmentation-world-{number}": ("segmentation", number) for number in (1, 2)},
            seeds=(0, 1, 2),
            ceiling=4064,
            test=512,
            chunk=32,
            tiles_kept=200,
        ),
    )
}


def task_of(bench: str) -> Task:
    """The task that a bench belongs to."""
    return next(task for task in TASKS.values() if bench in task.benches)


def trained(work: Path, seed: int, bench: str = "mono", design: str | None = None) -> tuple[Path, str]:
    """Train and deploy a seed, unless that is done; gives the laboratory and the model.

    `design` is trained in place of the task's, to try the benchmark out: a design file.
    """
    task = task_of(bench)
    if task.name == "mnist":
        lab = work / f"seed-{seed}"
        model = newest_model(lab)
        if model is None:
            settings = {"design": "mnist-mono", "seed": str(seed), "evaluation_images": DEPLOYED_ON}
            run("train_and_deploy", bench_file(work, "mono", seed), lab, settings, seed)
            model = newest_model(lab)
        assert model is not None
        return lab, model
    lab, standing = work / f"{task.name}-{seed}", task.worlds.get(bench, (bench, 0))[0]
    networks = lab / f"trained-{standing}"
    if not networks.exists():
        chosen = design or task.designs[standing]
        command = ["train", chosen, "--seed", str(seed), "--lab", str(lab), "--out", str(networks)]
        subprocess.run([sys.executable, "-m", "labonn", *command], check=True)
    file = bench_file(work, standing, seed)
    model = newest_model(lab, bench=read_bench(file).name)
    if model is None:
        settings = {"model": str(networks), "evaluation_images": DEPLOYED_ON}
        run("train_and_deploy", file, lab, settings, seed)
        model = newest_model(lab, bench=read_bench(file).name)
    assert model is not None
    return lab, model


def bench_file(work: Path, bench: str, seed: int) -> Path:
    """The bench file of a bench and seed, made when it is first asked for."""
    task = task_of(bench)
    if task.name == "mnist":
        if bench in task.worlds:
            return random_worlds.write(work / "benches-random", task.worlds[bench][1])
        return _copied(work / f"benches-{seed}", bench, seed)
    standing, number = task.worlds.get(bench, (bench, 0))
    folder = work / f"bench-{standing}-{seed}"
    file = folder / shipped_bench(task.shipped[standing]).name
    if standing.endswith("-lens"):
        lens_benches.write(shipped_bench(task.shipped[standing]), folder, f"{standing}-{seed}")
    elif not file.exists():
        networks = work / f"{task.name}-{seed}" / f"trained-{standing}"
        shutil.rmtree(folder, ignore_errors=True)
        arguments = [str(shipped_bench(task.shipped[standing])), "--model", str(networks), "--out", str(folder)]
        if make_optic(arguments):
            raise SystemExit(f"no optic was made for {networks}")
    return random_worlds.write_behind(file, work / f"bench-{bench}-{seed}", bench, number) if number else file


def run(script: str, bench: Path, lab: Path, settings: dict[str, str], seed: int) -> Path:
    """Run a protocol; gives the run's folder."""
    if "random" in bench.name or "world" in bench.parent.name:
        seed += RANDOM_SEED
    outcome = run_protocol(script, bench, lab, settings, world_seed=seed)
    if outcome.exit_code:
        raise SystemExit(f"{script} on {bench} ended with {outcome.exit_code}: {outcome.error}")
    return outcome.run_folder


def _copied(folder: Path, bench: str, seed: int) -> Path:
    """A shipped bench, with a name of the seed's own."""
    if not folder.exists():
        shutil.copytree(shipped_bench(bench).parent, folder)
    file = folder / f"{bench}.bench.toml"
    content = file.read_text(encoding="utf-8")
    file.write_text(content.replace(f'name = "{bench}"\n', f'name = "{bench}-{seed}"\n'), encoding="utf-8")
    return file
