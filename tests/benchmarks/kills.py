"""Captures that are killed at random moments, and what is left of them: ``python -m tests.benchmarks.kills``.

On the simulated bench in virtual time, about 10 minutes on 2 cores. Every frame that the killed process had called
acknowledged must be in its file, and be of its image, which a number in the scene says.
"""

import argparse
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from labonn.instruments import open_bench
from labonn.records import close_lost_runs, frame_counts, read_frames
from tests.bench.conftest import Simulated, bench_of, simulated
from tests.bench.counter import BITS, Reader
from tests.benchmarks.results import write_section
from tests.benchmarks.soak import calibrated

SCRIPT = Path(__file__).parent / "protocols" / "capture_numbers.py"
LONGEST_S = 6.0  # after the first acknowledged frame
GROUP = "numbers"


@dataclass(frozen=True)
class Killed:
    """What one kill left."""

    acknowledged: int
    """Frames that the process had said are safe."""
    found: int
    """Frames that its file says are valid."""
    wrong: int
    """Of those, frames that are not of their image."""
    dark_after_s: float


def kill_one(world: Simulated, reader: Reader, calibration: Path, lab: Path, after_s: float) -> Killed:
    """Run a capture, kill it `after_s` after its first acknowledged frame, and look at what there is."""
    command = [sys.executable, "-m", "labonn", "run", str(SCRIPT), str(world.file), "--lab", str(lab)]
    command += ["--set", f"calibration={calibration}"]
    acknowledged = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        kill_at = float("inf")
        for line in process.stdout:
            if line.startswith("acknowledged"):
                acknowledged = int(line.split()[1])
            if acknowledged and kill_at == float("inf"):
                kill_at = time.monotonic() + after_s
            if time.monotonic() >= kill_at:
                break
        killed_s = time.time()
        process.kill()
        for line in process.stdout:  # what it said before it was killed
            if line.startswith("acknowledged") and line.endswith("\n"):
                acknowledged = int(line.split()[1])
    while world.truth()["lit"] and time.time() - killed_s < 10:
        time.sleep(0.02)
    dark_s = max(0.0, float(world.truth()["dark_since_unix_s"]) - killed_s)
    [run] = [folder for folder in (lab / "runs").iterdir() if folder.is_dir()]
    file = run / "frames.h5"
    found = frame_counts(file).get(GROUP, 0)
    wrong = 0
    for first in range(0, found, 8):
        rows = read_frames(file, GROUP, ["frame", "image"], start=first, stop=min(found, first + 8))
        for place, (frame, image) in enumerate(zip(rows["frame"], rows["image"], strict=True)):
            wrong += int(image != first + place or reader.number(frame) != int(image) % 2**BITS)
    return Killed(acknowledged, found, wrong, dark_s)


def table(killed: list[Killed], seed: int, lost: int) -> str:
    """Write the section."""
    return "\n".join(
        [
            "## Captures killed at random moments",
            "",
            f"`python -m tests.benchmarks.kills --kills {len(killed)} --seed {seed}`, {datetime.now(UTC):%Y-%m-%d}; the"
            f" simulated mono bench in virtual time, {platform.machine()}; `kill -9` up to {LONGEST_S:g} s after the"
            " first acknowledged frame. Which image a frame is of is read from a number in the scene of the raw frame.",
            "",
            f"* kills: {len(killed)}; frames called acknowledged: {sum(one.acknowledged for one in killed)}, of which"
            f" missing from the files: **{sum(max(0, one.acknowledged - one.found) for one in killed)}**",
            f"* frames in the files: {sum(one.found for one in killed)}, of which not of their image:"
            f" **{sum(one.wrong for one in killed)}**",
            f"* dark after the kill: median {statistics.median(one.dark_after_s for one in killed):.2f} s, worst"
            f" {max(one.dark_after_s for one in killed):.2f} s",
            f"* runs that the next start closed as lost: {lost} of {len(killed)}",
        ]
    )


def main() -> None:
    """Kill, look, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    killed, lost = [], 0
    with tempfile.TemporaryDirectory() as name, simulated(bench_of(Path(name) / "bench", "kills")) as world:
        folder = Path(name)
        with open_bench(world.file) as bench:
            calibration, reader = calibrated(bench)
        calibration.save(folder / "calibration.h5")
        for number in range(arguments.kills):
            lab = folder / f"lab{number}"
            killed.append(kill_one(world, reader, folder / "calibration.h5", lab, chance.uniform(0, LONGEST_S)))
            lost += len(close_lost_runs(lab))
            print(number, killed[-1], flush=True)
    write_section("kills", table(killed, arguments.seed, lost))


if __name__ == "__main__":
    main()
