"""Recalibrations that are killed at random moments: ``python -m tests.benchmarks.kills_of_recalibrations --work DIR``.

On the simulated mono bench in virtual time, the digits. `labonn recalibrate` is started again and again with the same
words, each killed with ``kill -9`` after a random time, until there were enough kills; a start that comes to its end is
one as well, and the next is a new one. After each, the release in use must be there and intact, and be the one that the
last start that ended had left or one that a killed start had released; every frame that a killed start had acknowledged
must be readable; the world must have become dark; and the next start, to be killed as well, must begin its run and
close the killed one as lost.

One line a kill goes into a file; the same command goes on where it was stopped, with the same seed.
"""

import argparse
import json
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import h5py

from labonn.errors import RecordError
from labonn.protocol import run_protocol
from labonn.records import current_release, frame_counts, list_releases, read_frames, read_run, release_in_use
from tests.bench.conftest import Simulated, bench_of, simulated
from tests.benchmarks.results import write_section

NAME = "killed"
SETTINGS = {"methods": "none", "captures": "16", "validation_captures": "60", "most_validation_captures": "120"}
LIT_LIMIT_S = 10.0
WHOLE_S = 600.0
ENDINGS = (0, 4, -9)  # of one that came to its end: released, refused, or killed when it had closed its run
KEPT_RUNS = 6


@dataclass(frozen=True)
class Kill:
    """One start that was killed, and what was found after it."""

    number: int
    after_s: float
    step: str
    """In which the run was."""
    frames: int
    """That its file acknowledges."""
    unreadable: int
    """Of those, that cannot be read or are not finite."""
    release_right: bool
    """Whether the release in use is intact, and one that may be in use."""
    released: bool
    """Whether the killed start had released already."""
    dark_after_s: float
    lit_before: bool
    clean_start: bool
    """Whether the next start began its run, and closed this one as lost."""


def folders(lab: Path) -> list[Path]:
    """Folders of the recalibrations, in the order in which they began."""
    runs = [folder for folder in (lab / "runs").glob("*-recalibrate-*") if (folder / "run.json").is_file()]
    return sorted(runs, key=lambda folder: read_run(folder).start_utc)


def frames_of(folder: Path) -> tuple[int, int]:
    """Frames that a run's file acknowledges, and how many of them cannot be read."""
    file = folder / "frames.h5"
    try:
        counts = frame_counts(file)
    except RecordError:
        there = file.exists() or file.with_name("frames.h5.partial").exists()
        return (0, int(there and not _begun(file)))
    total = unreadable = 0
    for group, count in counts.items():
        total += count
        try:
            tiles = read_frames(file, group, ["tiles", "image", "shown"])["tiles"]
            unreadable += int(count - len(tiles))
        except RecordError:
            unreadable += count
    return total, unreadable


def _begun(file: Path) -> bool:
    """Whether what there is was only being made: nothing was acknowledged in it yet."""
    partial = file.with_name("frames.h5.partial")
    try:
        with h5py.File(partial, "r") as found:
            return not len(found)
    except OSError:
        return partial.exists() and partial.stat().st_size < 4096


def kill_once(world: Simulated, lab: Path, start: "Start", releases: set[str], allowed: str | None) -> Kill | None:
    """Wait for the moment, kill, look; None where the start had ended before."""
    process, folder = start.process, start.folder
    while process.poll() is None and time.monotonic() - start.begin_s < start.after_s:
        time.sleep(0.01)
    lit = bool(world.truth()["lit"])
    process.kill()
    killed_s = time.time()
    process.wait()
    record = read_run(folder)
    if record.status != "running":
        assert process.returncode in ENDINGS, f"a start that closed its run ended with {process.returncode}"
        assert not world.truth()["lit"], "a start that was not killed left the bench lit"
        return None
    while world.truth()["lit"] and time.time() - killed_s < LIT_LIMIT_S:
        time.sleep(0.02)
    truth = world.truth()
    dark_s = max(0.0, float(truth["dark_since_unix_s"]) - killed_s) if not truth["lit"] else LIT_LIMIT_S
    total, unreadable = frames_of(folder)
    made = set(list_releases(lab)) - releases
    in_use = release_in_use(lab, NAME)
    try:
        intact = current_release(lab, NAME) is not None
    except RecordError:
        intact = False
    steps = list(record.seconds)
    return Kill(
        number=start.number, after_s=round(start.after_s, 3), step=steps[-1] if steps else "before the first",
        frames=total, unreadable=unreadable, release_right=intact and in_use in {allowed, *made},
        released=in_use != allowed, dark_after_s=round(dark_s, 3), lit_before=lit, clean_start=False,
    )  # fmt: skip


@dataclass(frozen=True)
class Start:
    """One start that has made its run."""

    number: int
    after_s: float
    begin_s: float
    process: "subprocess.Popen[str]"
    folder: Path


def started(world: Simulated, lab: Path, number: int, after_s: float) -> Start:
    """Start a recalibration, as an operator does, and wait until it has made its run."""
    command = [sys.executable, "-m", "labonn", "recalibrate", str(world.file), "--lab", str(lab), "--json"]
    for key, value in {**SETTINGS, "seed": str(number)}.items():
        command += ["--set", f"{key}={value}"]
    before = len(folders(lab))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
    while len(folders(lab)) == before:
        if process.poll() is not None:
            raise SystemExit(f"a start ended with {process.returncode} before it had begun a run")
        time.sleep(0.02)
    return Start(number, after_s, time.monotonic(), process, folders(lab)[-1])


def measure(arguments: argparse.Namespace, known: int) -> Iterator[Kill]:
    """Kill until there were enough, or it is time to stop: each start after a kill is the next to be killed."""
    end_s, lab = time.monotonic() + arguments.seconds, arguments.work.absolute() / "lab"
    with simulated(bench_of(arguments.work.absolute() / "bench", NAME)) as world:
        if not (lab / "releases" / "current" / NAME).is_file():
            quick = {"pattern_steps": "60", "evaluation_images": "60"}
            outcome = run_protocol("train_and_deploy", world.file, lab, quick, quiet=True)
            if outcome.exit_code:
                raise SystemExit(outcome.error)
        whole = run_protocol("recalibrate", world.file, lab, {**SETTINGS, "seed": "0"}, quiet=True)
        longest_s = 1.1 * whole.seconds["total"]
        number, chance = known, random.Random(f"{arguments.seed} {known}")
        kill: Kill | None = None
        killed = whole.run_folder
        going_on = True
        while going_on:
            going_on = number < arguments.kills and time.monotonic() < end_s
            releases, allowed = set(list_releases(lab)), release_in_use(lab, NAME)
            after_s = chance.uniform(0.0, longest_s) if going_on else WHOLE_S  # the last one comes to its end
            start = started(world, lab, number, after_s)
            if kill is not None:
                yield replace(kill, clean_start=read_run(killed).status == "lost")
            kill = kill_once(world, lab, start, releases, allowed)
            killed, number = start.folder, number + (kill is not None)
            for folder in folders(lab)[:-KEPT_RUNS]:
                if read_run(folder).status in ("lost", "aborted"):
                    shutil.rmtree(folder)


def table(kills: list[Kill], seed: int) -> str:
    """Write the section."""
    dark = [kill.dark_after_s for kill in kills if kill.lit_before]
    steps: dict[str, int] = {}
    for kill in kills:
        steps[kill.step] = steps.get(kill.step, 0) + 1
    where = ", ".join(f"{name} {count}" for name, count in sorted(steps.items(), key=lambda one: -one[1]))
    return "\n".join(
        [
            "## Recalibrations killed at random moments",
            "",
            f"`python -m tests.benchmarks.kills_of_recalibrations --work DIR --kills {len(kills)} --seed {seed}`,"
            f" {datetime.now(UTC):%Y-%m-%d}; digits, the simulated mono bench in virtual time. `labonn recalibrate` is"
            " killed with `kill -9` at a moment drawn evenly from the time that a whole one takes.",
            "",
            f"* kills: {len(kills)}, {len(dark)} of them while the bench was lit; after the step: {where}",
            f"* frames that files of the killed acknowledge: {sum(kill.frames for kill in kills)}, of which cannot be"
            f" read: **{sum(kill.unreadable for kill in kills)}**",
            "* releases in use that were missing, damaged or wrong:"
            f" **{sum(not kill.release_right for kill in kills)}**; kills after the release was made:"
            f" {sum(kill.released for kill in kills)}",
            f"* next starts that began cleanly and closed the killed run as lost: **{sum(k.clean_start for k in kills)}"
            f" of {len(kills)}**",
            f"* dark after the kill, where it was lit: median {statistics.median(dark) if dark else 0:.2f} s, worst"
            f" {max(dark, default=0):.2f} s (promised: 2 s)",
        ]
    )


def main() -> None:
    """Kill, look, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after so long; the next start goes on")
    parser.add_argument("--dry-run", action="store_true", help="print the section, and write nothing")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    file = arguments.work / f"kills-{arguments.seed}.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    kills = [Kill(**json.loads(line)) for line in lines]
    for kill in measure(arguments, len(kills)) if len(kills) < arguments.kills else ():
        kills.append(kill)
        print(kill, flush=True)
        with file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(asdict(kill)) + "\n")
    if len(kills) < arguments.kills:
        print(table(kills, arguments.seed))
        raise SystemExit(f"{len(kills)} of {arguments.kills} kills so far; the same command goes on")
    if arguments.dry_run:
        print(table(kills, arguments.seed))
    else:
        write_section("kills-of-recalibrations", table(kills, arguments.seed))


if __name__ == "__main__":
    main()
