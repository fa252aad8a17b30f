"""Captures that are killed at random moments, and go on at the next start: ``python -m tests.benchmarks.kills``.

On the simulated bench in virtual time, about 15 minutes on 2 cores that have nothing else to do. A capture of numbered
images is started, killed with ``kill -9``, and started again with the same words until one start was not killed. Which
image a frame is of is read from a number in the scene of the raw frame. In the end every image must be there once, with
its own frame, and what a killed process had called acknowledged must have been taken over, not captured again.
"""

import argparse
import json
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from labonn.capture import Calibration
from labonn.capture.light import light
from labonn.errors import RecordError
from labonn.instruments import open_bench
from labonn.records import frame_counts, read_frames, read_run
from tests.bench.conftest import Simulated, bench_of, simulated
from tests.bench.counter import BITS, Reader
from tests.benchmarks.protocols.capture_numbers import GROUP
from tests.benchmarks.results import write_section
from tests.benchmarks.soak import calibrated

SCRIPT = Path(__file__).parent / "protocols" / "capture_numbers.py"
MOST_KILLS = 3  # of one capture
LOOK_FRAMES = 12  # that a start records when it looks whether the bench is the same
LONGEST_DELAY_S = 0.3


@dataclass(frozen=True)
class Start:
    """One start of a capture."""

    killed: bool
    acknowledged: int
    """Frames that the process had said are safe."""
    found: int
    """Frames that its file says are valid."""
    wrong: int
    """Of those, frames that are not of their image, or stand twice."""
    dark_after_s: float
    status: str
    """Of its run, once the next start had looked."""


@dataclass(frozen=True)
class Capture:
    """One capture, with every start it took."""

    starts: tuple[Start, ...]
    images: int
    """In the last start's file, each counted once."""
    continued: int
    """Starts that took captures over, of those that could."""
    could_continue: int
    recaptured: int
    """Images that were captured again although a killed start had acknowledged them."""


@dataclass(frozen=True)
class Ran:
    """What was seen of a start while it ran."""

    killed: bool
    acknowledged: int
    dark_after_s: float


@dataclass(frozen=True)
class Kill:
    """When a start is killed: so long after it has recorded so many frames, those of its look at the bench included."""

    frames: int
    delay_s: float


def start(world: Simulated, calibration: Path, lab: Path, images: int, kill_at: Kill | None) -> Ran:
    """Start the capture, and kill it, if it is to be killed."""
    command = [sys.executable, "-m", "labonn", "run", str(SCRIPT), str(world.file), "--lab", str(lab)]
    command += ["--set", f"calibration={calibration}", "--set", f"images={images}"]
    acknowledged, killed_s = 0, []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None

        def kill() -> None:
            if process.poll() is None:
                process.kill()
                killed_s.append(time.time())

        timer = threading.Timer(kill_at.delay_s if kill_at else 0.0, kill)
        for said, line in enumerate(process.stdout):
            if kill_at is not None and said == kill_at.frames:
                timer.start()
            if line.startswith("acknowledged") and line.endswith("\n"):
                acknowledged = int(line.split()[1])
        complaints = process.stderr.read()
    timer.cancel()
    if process.returncode not in (0, -9):
        raise SystemExit(f"a start ended with {process.returncode}: {complaints}")
    if process.returncode == 0 or read_run(run_folders(lab)[-1]).status == "done":
        return Ran(False, acknowledged, 0.0)
    while world.truth()["lit"] and time.time() - killed_s[0] < 10:
        time.sleep(0.02)
    return Ran(True, acknowledged, max(0.0, float(world.truth()["dark_since_unix_s"]) - killed_s[0]))


def run_folders(lab: Path) -> list[Path]:
    """Folders of the runs, in the order in which they began."""
    folders = [folder for folder in (lab / "runs").iterdir() if folder.is_dir()]
    return sorted(folders, key=lambda folder: read_run(folder).start_utc)


def wrong_frames(folder: Path, reader: Reader) -> tuple[int, int]:
    """Frames of a run, and how many of them are not of their image, or of one that came before."""
    file = folder / "frames.h5"
    try:
        found = frame_counts(file).get(GROUP, 0)
    except RecordError:
        return 0, 0
    wrong, seen = 0, set[int]()
    for first in range(0, found, 8):
        rows = read_frames(file, GROUP, ["frame", "image"], start=first, stop=min(found, first + 8))
        for frame, image in zip(rows["frame"], rows["image"].tolist(), strict=True):
            wrong += int(image in seen or reader.number(frame) != image % 2**BITS)
            seen.add(image)
    return found, wrong


def capture_once(
    world: Simulated, reader: Reader, calibration: Path, lab: Path, images: int, chance: random.Random
) -> Capture:
    """Start a capture until a start is not killed, and look at what every start left."""
    kills = chance.randint(1, MOST_KILLS)
    seen: list[Ran] = []
    while not seen or seen[-1].killed:
        known = max((ran.acknowledged for ran in seen), default=0)
        most = images - known + (LOOK_FRAMES if known else 0)
        kill_at = Kill(chance.randint(0, most), chance.uniform(0, LONGEST_DELAY_S)) if len(seen) < kills else None
        seen.append(start(world, calibration, lab, images, kill_at))
    folders = run_folders(lab)
    starts, safe, recaptured, continued, could = [], set[int](), 0, 0, 0
    for ran, folder in zip(seen, folders, strict=True):
        found, wrong = wrong_frames(folder, reader)
        starts.append(Start(ran.killed, ran.acknowledged, found, wrong, ran.dark_after_s, read_run(folder).status))
        if found:
            rows = read_frames(folder / "frames.h5", GROUP, ["image", "from_run"])
            own = {int(image) for image in rows["image"][rows["from_run"] == 0]}
            recaptured += len(own & safe)
            if safe:
                could += 1
                continued += int(bool((rows["from_run"] > 0).any()))
            safe |= set(rows["image"].tolist())
    last = read_frames(folders[-1] / "frames.h5", GROUP, ["image"])["image"]
    return Capture(tuple(starts), len(np.unique(last)), continued, could, recaptured)


def table(captures: list[Capture], images: int, seed: int) -> str:
    """Write the section."""
    every = [start for capture in captures for start in capture.starts]
    killed = [start for start in every if start.killed]
    last = [capture.starts[-1] for capture in captures]
    whole = sum(
        capture.images == images == capture.starts[-1].found and not capture.starts[-1].wrong for capture in captures
    )
    dark = [one.dark_after_s for one in killed]
    acknowledged = sum(one.acknowledged for one in killed)
    missing = sum(max(0, one.acknowledged - one.found) for one in killed)
    lost, done = sum(one.status == "lost" for one in killed), sum(one.status == "done" for one in last)
    continued, could = sum(one.continued for one in captures), sum(one.could_continue for one in captures)
    return "\n".join(
        [
            "## Captures killed at random moments",
            "",
            f"`python -m tests.benchmarks.kills --kills {len(killed)} --images {images} --seed {seed}`,"
            f" {datetime.now(UTC):%Y-%m-%d}; the simulated mono bench in virtual time, {platform.machine()}."
            f" {len(captures)} captures of {images} numbered images, each killed with `kill -9` up to {MOST_KILLS}"
            " times, up to 0.3 s after any of the frames that it records, and started again with the same words. Which"
            " image a frame is of is read from a number in the scene of the raw frame.",
            "",
            f"* kills: {len(killed)}; frames that the killed had called acknowledged: {acknowledged}, of which missing"
            f" from their files: **{missing}**",
            f"* frames in all files: {sum(one.found for one in every)}, of which not of their image, or twice:"
            f" **{sum(one.wrong for one in every)}**",
            f"* runs of the killed that the next start closed as lost: {lost} of {len(killed)}; last starts that were"
            f" done: {done} of {len(last)}",
            f"* starts that found captures of a lost run, and took them over: {continued} of {could}; images that were"
            f" captured again although they were on disk: **{sum(one.recaptured for one in captures)}**",
            f"* captures that in the end have every image once, with its own frame: **{whole} of {len(captures)}**",
            f"* dark after the kill: median {statistics.median(dark):.2f} s, worst {max(dark):.2f} s",
        ]
    )


def measured(file: Path) -> list[Capture]:
    """Read what was measured already."""
    if not file.is_file():
        return []
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [Capture(**{**line, "starts": tuple(Start(**start) for start in line["starts"])}) for line in lines]


def measure(arguments: argparse.Namespace, before: list[Capture]) -> Iterator[Capture]:
    """Go on until there were enough kills, or it is time to stop."""
    end_s = time.monotonic() + arguments.seconds
    done = list(before)
    with tempfile.TemporaryDirectory() as name, simulated(bench_of(Path(name) / "bench", "kills")) as world:
        folder = Path(name)
        kept = arguments.into.with_suffix(".calibration.h5") if arguments.into else folder / "calibration.h5"
        reader = learned(world, kept)
        while kills_of(done) < arguments.kills and time.monotonic() < end_s:
            chance = random.Random(f"{arguments.seed} {len(done)}")
            lab = folder / "lab"
            done.append(capture_once(world, reader, kept, lab, arguments.images, chance))
            shutil.rmtree(lab)
            yield done[-1]


def learned(world: Simulated, file: Path) -> Reader:
    """Learn to read numbers; the calibration is made unless it is kept: the world is the same at every start."""
    with open_bench(world.file) as bench:
        if not file.is_file():
            calibration, reader = calibrated(bench)
            calibration.save(file)
            return reader
        bench.slm.show(np.zeros(bench.slm.shape, np.float32))
        bench.camera.exposure_ms = Calibration.load(file).exposure_ms
        with light(bench):
            return Reader(bench)


def kills_of(captures: list[Capture]) -> int:
    """Count kills."""
    return sum(start.killed for capture in captures for start in capture.starts)


def main() -> None:
    """Kill, look, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after so long; the next start goes on")
    parser.add_argument("--into", type=Path, help="file of what was measured, which a next start goes on with")
    arguments = parser.parse_args()
    captures = measured(arguments.into) if arguments.into else []
    for capture in measure(arguments, captures) if kills_of(captures) < arguments.kills else ():
        captures.append(capture)
        print(kills_of(captures), capture, flush=True)
        if arguments.into:
            with arguments.into.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(capture)) + "\n")
    if kills_of(captures) < arguments.kills:
        raise SystemExit(f"{kills_of(captures)} of {arguments.kills} kills so far")
    write_section("kills", table(captures, arguments.images, arguments.seed))


if __name__ == "__main__":
    main()
