"""Writers of frames, killed while HDF5 changes its tables: ``python -m tests.benchmarks.kills_of_files``.

Half a second a writer. A writer appends numbered rows to a file of frames, of two kinds, every tenth with a raw frame,
and says which are acknowledged. It is killed with ``kill -9`` at a random moment, up to 12 ms after a row at which the
tables change: where they double, where the second kind of capture begins, where the file is closed. Then every row that
was acknowledged must be in the file, and be the one with its number, with its raw frame if one was kept.
"""

import argparse
import multiprocessing
import platform
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from labonn.errors import RecordError
from labonn.records import read_frames, read_kept
from labonn.records.frames import FrameFile
from tests.benchmarks.results import write_section

ROWS = {"first": 90, "second": 41}  # of each kind of capture, one after the other
SELDOM_ROWS = 10  # a raw frame is kept of every tenth
AIMS = (0, 7, 15, 31, 63, 79, 89, 97, 105, 121, 130)  # rows after which tables are doubled, begun or closed
LONGEST_DELAY_S = 0.012
TILES, FRAME = (90, 100), (120, 130)


@dataclass(frozen=True)
class Group:
    """What a killed writer left of one kind of capture."""

    acknowledged: int
    readable: int
    wrong: int
    """Of the readable, those that are not the row with their number."""
    frames: int
    """Raw frames that were kept of acknowledged rows."""
    frames_missing: int
    """Of these, what is not in the file, or another row's."""


def write(file: Path, said: Connection) -> None:
    """Append the rows and close the file; says after each its kind and how many of that are acknowledged."""
    with FrameFile(file) as record:
        for group, rows in ROWS.items():
            for row in range(rows):
                seldom = {} if row % SELDOM_ROWS else {"frame": np.full(FRAME, row, np.uint16)}
                tiles = np.full(TILES, row, np.float32)
                said.send((group, record.append(group, seldom, tiles=tiles, image=row)))
    said.send(None)
    time.sleep(60)  # to be killed


def killed(file: Path, aim: int, delay_s: float) -> dict[str, int]:
    """Start a writer and kill it so long after so many rows; gives what it had called acknowledged."""
    context = multiprocessing.get_context("spawn")
    heard, said = context.Pipe(duplex=False)
    process = context.Process(target=write, args=(file, said))
    process.start()
    said.close()
    acknowledged: dict[str, int] = {}
    with heard:
        for _ in range(aim + 1):
            acknowledged.update([heard.recv()])
        time.sleep(delay_s)
        process.kill()
        process.join()
        while (late := _received(heard)) is not None:
            acknowledged.update([late])
    return acknowledged


def _received(heard: Connection) -> tuple[str, int] | None:
    try:
        return heard.recv()  # type: ignore[no-any-return]
    except (EOFError, OSError):  # an end in the middle of a word, on Windows
        return None


def left(file: Path, group: str, acknowledged: int) -> Group:
    """Read what is there of a kind of capture."""
    wanted = set(range(0, acknowledged, SELDOM_ROWS))
    try:
        rows = read_frames(file, group)
        numbers = np.arange(len(rows["image"]))
        good = (rows["image"] == numbers) & (rows["tiles"] == numbers[:, None, None]).all((1, 2))
        of, frames = read_kept(file, group) if wanted else (np.empty(0, np.int64), np.empty((0, *FRAME)))
    except RecordError:
        return Group(acknowledged, 0, 0, len(wanted), len(wanted))
    whole = set(of[(frames == of[:, None, None]).all((1, 2))].tolist())
    return Group(acknowledged, len(numbers), int((~good).sum()), len(wanted), len(wanted - whole))


def measure(writers: int, seed: int) -> Iterable[Group]:
    """Kill them one after another."""
    for number in range(writers):
        chance = random.Random(f"{seed} {number}")
        with tempfile.TemporaryDirectory() as name:
            file = Path(name) / "frames.h5"
            acknowledged = killed(file, chance.choice(AIMS), chance.uniform(0, LONGEST_DELAY_S))
            for group, rows in acknowledged.items():
                yield left(file, group, rows)


def table(groups: Counter[Group], writers: int, seed: int) -> str:
    """Write the section."""
    acknowledged = sum(group.acknowledged * count for group, count in groups.items())
    lost = sum(count for group, count in groups.items() if group.readable < group.acknowledged)
    missing = sum(max(0, group.acknowledged - group.readable) * count for group, count in groups.items())
    wrong = sum(group.wrong * count for group, count in groups.items())
    frames = sum(group.frames * count for group, count in groups.items())
    frames_missing = sum(group.frames_missing * count for group, count in groups.items())
    return "\n".join(
        [
            "## Files of frames whose writers are killed while tables change",
            "",
            f"`python -m tests.benchmarks.kills_of_files --writers {writers} --seed {seed}`,"
            f" {datetime.now(UTC):%Y-%m-%d}, {platform.machine()}. Each is killed with `kill -9` up to"
            f" {1000 * LONGEST_DELAY_S:.0f} ms after a row at which HDF5 doubles its tables, begins others, or closes"
            " the file.",
            "",
            f"* writers: {writers}; groups of captures in their files: {sum(groups.values())}, of which had"
            f" acknowledged rows that cannot be read: **{lost}**",
            f"* rows that were acknowledged: {acknowledged}, of which missing: **{missing}**; readable rows that are"
            f" not the one with their number: **{wrong}**",
            f"* raw frames of acknowledged rows: {frames}, of which missing, or another row's: **{frames_missing}**",
        ]
    )


def main() -> None:
    """Kill, look, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writers", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    groups = Counter(measure(arguments.writers, arguments.seed))
    write_section("kills-of-files", table(groups, arguments.writers, arguments.seed))


if __name__ == "__main__":
    main()
