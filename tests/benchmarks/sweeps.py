"""Sweeps: ``python -m tests.benchmarks.sweeps ray|plot --work DIR``.

``ray`` measures Ray on this computer: 64 short trials on one worker and on two, the overhead of a trial that does
nothing, and what a worker costs that is killed half-way. ``plot`` sweeps more than a hundred designs by estimate and
draws accuracy against energy. Both write their section.
"""

import argparse
import os
import shutil
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from labonn.report import figures
from labonn.sweeps import Order, Outcome, read_sweep, run_sweep
from labonn.sweeps.local import LocalEngine
from labonn.sweeps.on_ray import RayEngine
from labonn.sweeps.sweep import Resources
from tests.benchmarks.results import RESULTS, write_section

TRIALS = 64
BUSY_S = 0.5  # of the processor, that a short trial takes
KILLED = 20  # the trial whose worker is killed, half-way through it
PLOTTED = """schema = 1
name = "trade-off"
design = "TASK-mono"
search = "random"
trials = 120
seed = 1
fit_optic = true
images = 4000
[keys]
design.optic.kernels = { low = 1, high = 16, step = 1 }
design.optic.taps = [3, 5, 7, 9]
design.backend.pool = [2, 4, 7, 14]
design.backend.hidden = [[], [16], [32], [64], [120]]
design.sensor.read_noise_e = { low = 2, high = 50000, log = true }
design.max_parameters = [1000000]
"""


def nothing(order: Order) -> Outcome:
    """A trial that does nothing."""
    return Outcome(order.number, order.settings, "done", {"accuracy": 1.0})


def short(order: Order) -> Outcome:
    """A trial that keeps a processor busy for a while."""
    until_s = time.process_time() + BUSY_S
    while time.process_time() < until_s:
        pass
    return nothing(order)


def short_once_killed(order: Order) -> Outcome:
    """The same; but one of them takes its worker down half-way, the first time."""
    mark = Path(order.lab) / "killed"
    if order.number == KILLED and not mark.exists():
        until_s = time.process_time() + BUSY_S / 2
        while time.process_time() < until_s:
            pass
        mark.touch()
        os._exit(9)
    return short(order)


def seconds(workers: int, work: Callable[[Order], Outcome], folder: Path) -> float:
    """How long the trials take on so many workers, which have done one before."""
    engine = RayEngine(Resources(), workers=workers, work=work)
    try:
        engine.run(_orders(folder, range(100, 100 + 2 * workers)), lambda outcome: None)
        began_s = time.perf_counter()
        found: list[Outcome] = []
        engine.run(_orders(folder, range(TRIALS)), found.append)
        taken_s = time.perf_counter() - began_s
    finally:
        engine.close()
    if sorted(one.number for one in found) != list(range(TRIALS)) or any(one.status != "done" for one in found):
        raise SystemExit(f"not all trials came to their end: {[one.error for one in found if one.error]}")
    return taken_s


def _orders(folder: Path, numbers: Sequence[int]) -> list[Order]:
    return [Order(number, {"seed": number}, {}, {}, str(folder)) for number in numbers]


def measure_ray(work: Path) -> str:
    """Measure, and write the table."""
    work.mkdir(parents=True, exist_ok=True)
    (work / "killed").unlink(missing_ok=True)
    one, two = seconds(1, short, work), seconds(2, short, work)
    idle = seconds(1, nothing, work)
    killed = seconds(2, short_once_killed, work)
    rows = [
        (f"{TRIALS} trials of {BUSY_S:g} s, on 1 worker", "", f"{one:.1f} s"),
        ("the same on 2 workers, as part of it", "<= 0.6", f"**{two / one:.2f}** ({two:.1f} s)"),
        ("overhead of a trial", "<= 150 ms", f"**{1e3 * idle / TRIALS:.1f} ms**"),
        ("a worker killed half-way costs", f"its trial's time, {BUSY_S:g} s", f"**{killed - two:+.1f} s** in all"),
    ]
    return "\n".join(
        [
            "## Sweeps on Ray",
            "",
            f"`python -m tests.benchmarks.sweeps ray --work DIR`, {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()}"
            " processors of one computer, which does nothing else.",
            "",
            "| | must | measured |",
            "|---|---|---|",
            *(f"| {' | '.join(row)} |" for row in rows),
        ]
    )


def measure_trade_off(work: Path, task: str, workers: int) -> str:
    """Sweep, draw, and write the section; a sweep that was killed goes on."""
    work.mkdir(parents=True, exist_ok=True)
    file = work / "trade-off.sweep.toml"
    file.write_text(PLOTTED.replace("TASK", task), encoding="utf-8")
    read, began_s = read_sweep(file), time.perf_counter()
    swept = run_sweep(work / "lab", read, LocalEngine(workers, read.sweep.trial))
    taken_s = time.perf_counter() - began_s
    done = [one for one in swept.outcomes if one.status == "done"]
    best = {one.number for one in swept.front}
    picture = RESULTS.parent / "pictures" / "trade-off.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    points = [(one.figures["energy_mj"], one.figures["accuracy"], one.number in best) for one in done]
    figures.trade_off(points, names=("energy of an image (mJ)", "estimated accuracy (%)")).savefig(picture, dpi=144)
    shutil.copy(swept.results, work / "trade-off.parquet")
    front = "\n".join(
        f"| {one.settings['design.optic.kernels']} | {one.settings['design.backend.pool']} |"
        f" {one.settings['design.backend.hidden']} | {one.figures['accuracy']:.1f} | {one.figures['energy_mj']:.2f} |"
        f" {one.figures['optic_mm2']:.1f} |"
        for one in swept.front
    )
    return "\n".join(
        [
            "## A hundred designs",
            "",
            f"`python -m tests.benchmarks.sweeps plot --work DIR --task {task}`, {datetime.now(UTC):%Y-%m-%d}:"
            f" {len(done)} designs drawn at random and estimated, {len(swept.outcomes) - len(done)} refused or failed,"
            f" {len(swept.outcomes) - swept.made_before} of them in {taken_s:.0f} s on {workers} processes.",
            "",
            "![Estimated accuracy against energy](pictures/trade-off.png)",
            "",
            "What nothing beats in accuracy, energy and optic size:",
            "",
            "| kernels | pooling | hidden | accuracy, estimated | energy, mJ | optic, mm2 |",
            "|---|---|---|---|---|---|",
            front,
        ]
    )


def main() -> None:
    """Measure what is asked for, and write its section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("ray", "plot"))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--task", choices=("digits", "mnist"), default="mnist")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--try", dest="tried", action="store_true", help="print the section; write nothing")
    arguments = parser.parse_args()
    if arguments.what == "ray":
        name, text = "sweeps-ray", measure_ray(arguments.work.absolute())
    else:
        name, text = "trade-off", measure_trade_off(arguments.work.absolute(), arguments.task, arguments.workers)
    print(text)
    if not arguments.tried:
        write_section(name, text)


if __name__ == "__main__":
    main()
