"""Five hundred random faults, and what became of every frame: ``python -m tests.benchmarks.soak``.

Captures on the simulated bench in virtual time, while its camera drops, repeats, cuts and delays frames and its laser,
meter and thermometer answer late, wrongly, in pieces or not at all; about 15 minutes on 2 cores. Each image holds a
number, which is read from the raw frame by nothing of labonn's. A capture ends with every frame right, or in a named
error; then the next one begins.
"""

import argparse
import logging
import platform
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from labonn.capture import Calibration, CaptureCounts, Registration, capture
from labonn.capture.light import light
from labonn.design import lay_out, load_design
from labonn.errors import LabonnError
from labonn.instruments import Bench, open_bench
from tests.bench.calibrating import calibrate
from tests.bench.conftest import AS_A_REAL_BENCH, Simulated, bench_of, patience, simulated
from tests.bench.counter import BITS, Reader, counter_images
from tests.benchmarks.results import write_section

CAMERA = ("dropped", "duplicated", "stale", "truncated")
LINE = ("timeout", "garbled", "late", "split", "error", "gone")
RATES = {
    **{f"camera.{kind}": 0.025 for kind in CAMERA},
    **{f"{door}.{kind}": 0.004 for door in ("laser", "meter", "thermometer") for kind in LINE},
}
IMAGES = 40  # a capture


@dataclass
class Tally:
    """What was asked, and what became of it."""

    counts: CaptureCounts = field(default_factory=CaptureCounts)
    captures: int = 0
    right: int = 0
    wrong: int = 0
    ended: int = 0
    """Captures that an error ended."""
    named: Counter[str] = field(default_factory=Counter)
    still_lit: int = 0


def soak(world: Simulated, faults: int, seed: int, tally: Tally) -> Counter[str]:
    """Capture until so many faults have happened; give how many of which kind."""
    with open_bench(world.file) as bench:
        calibration, reader = calibrated(bench)
        pattern = np.zeros(bench.slm.shape, np.float32)
    number = 0
    world.ask(op="faults", plan={"seed": seed, "rates": RATES, "gone_s": 1.0})
    try:
        while (injected := _injected(world)).total() < faults:
            try:
                with open_bench(world.file) as bench:
                    bench.slm.show(pattern)
                    for _ in range(10):
                        _capture(bench, calibration, reader, number, tally)
                        number += IMAGES
                        _ = bench.meter.power_mw if bench.meter else None
                        if _injected(world).total() >= faults:
                            break
            except LabonnError as error:
                tally.named[type(error).__name__] += 1
                logging.info("%s", error)
            tally.still_lit += int(world.truth()["lit"])
            print(f"{_injected(world).total()} faults, {tally.right} frames right, {dict(tally.named)}", flush=True)
    finally:
        world.ask(op="faults", plan={})
    return injected


def _capture(bench: Bench, calibration: Calibration, reader: Reader, first: int, tally: Tally) -> None:
    numbers, registration = range(first, first + IMAGES), Registration(calibration)
    tally.captures += 1
    tally.ended += 1
    for shot in capture(bench, counter_images(numbers), registration, keep_frames=True, counts=tally.counts):
        assert shot.frame is not None
        if reader.number(shot.frame) == numbers[shot.index] % 2**BITS:
            tally.right += 1
        else:
            tally.wrong += 1
    tally.ended -= 1


def calibrated(bench: Bench) -> tuple[Calibration, Reader]:
    images = counter_images(range(8))
    flat = np.zeros(bench.slm.shape, np.float32)
    layout = lay_out(load_design("mnist-mono").optic)
    with tempfile.TemporaryDirectory() as lab:
        calibration = calibrate(bench, Path(lab), layout, flat, images, np.repeat(images[:, None], 16, axis=1))
    bench.camera.exposure_ms = calibration.exposure_ms
    with light(bench):
        return calibration, Reader(bench)


def _injected(world: Simulated) -> Counter[str]:
    return Counter(world.truth()["faults"]["counts"])


def table(injected: Counter[str], tally: Tally, faults: int, seed: int, seconds: float) -> str:
    """Write what was injected and what became of it, as a section of docs/results.md."""
    doors = ("camera", "laser", "meter", "thermometer")
    of_door = {door: sum(count for name, count in injected.items() if name.startswith(f"{door}.")) for door in doors}
    named = ", ".join(f"{name} {count}" for name, count in sorted(tally.named.items())) or "none"
    delivered = tally.right + tally.wrong
    lines = [
        "## Random faults during captures",
        "",
        f"`python -m tests.benchmarks.soak --faults {faults} --seed {seed}`, {datetime.now(UTC):%Y-%m-%d}; the"
        f" simulated mono bench in virtual time, {platform.machine()}, {seconds / 60:.0f} minutes. Which image a frame"
        " is of is read from a number in the scene, from the raw frame. A frame that is found wanting is taken again.",
        "",
        "| fault | camera | taken again | laser | meter | thermometer |",
        "|---|---|---|---|---|---|",
    ]
    for kind in (*CAMERA, *LINE):
        cells = {door: str(injected[f"{door}.{kind}"] or "") for door in doors}
        again = str(tally.counts.retaken[kind]) if kind in CAMERA else ""
        lines.append(f"| {kind} | {cells.pop('camera')} | {again} | {' | '.join(cells.values())} |")
    camera, *lines_of_doors = of_door.values()
    lines += [
        f"| in all {injected.total()} | {camera} | {tally.counts.retaken.total()} | "
        f"{' | '.join(map(str, lines_of_doors))} |",
        "",
        f"* captures of {IMAGES} images: {tally.captures}, of which {tally.captures - tally.ended} whole",
        f"* named errors: {tally.named.total()} ({named}), of which {tally.ended} ended a capture; the others came when"
        " the bench was opened",
        f"* frames that were delivered: {delivered}; right: {tally.right}; **silently wrong: {tally.wrong}**",
        f"* times that the bench was lit after a capture had ended: {tally.still_lit}",
    ]
    return "\n".join(lines)


def main() -> None:
    """Soak, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dry-run", action="store_true", help="print the section, and write nothing")
    parser.add_argument("--log", type=Path, help="write what labonn says into this file")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, filename=arguments.log, format="%(asctime)s %(name)s %(message)s")
    if arguments.log is None:
        logging.disable(logging.CRITICAL)
    tally, began_s = Tally(), time.monotonic()
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        file = bench_of(folder, "soak-benchmark", AS_A_REAL_BENCH)
        patience(file, 1000)  # which a dropped frame costs
        world = held.enter_context(simulated(file))
        injected = soak(world, arguments.faults, arguments.seed, tally)
    section = table(injected, tally, arguments.faults, arguments.seed, time.monotonic() - began_s)
    if arguments.dry_run:
        print(section)
    else:
        write_section("soak", section)
    if tally.wrong or tally.still_lit:
        raise SystemExit(f"{tally.wrong} frames were silently wrong, {tally.still_lit} times the bench was left lit")


if __name__ == "__main__":
    main()
