"""What recording costs: ``python -m tests.benchmarks.recording``, about a minute.

Frames of 512 x 512 with noise, as a camera delivers them, are handed to the recorder at 200 a second, with their maps,
and as fast as it takes them. And what HDF5's own filters would save and cost.
"""

import argparse
import platform
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from labonn.records import Recorder
from tests.benchmarks.results import write_section

SIDE_PX = 512
RATE_HZ = 200.0
TILES = (16, 28, 28)
FILTERS: dict[str, dict[str, object]] = {
    "none": {},
    "lzf": {"compression": "lzf"},
    "shuffle + lzf": {"compression": "lzf", "shuffle": True},
    "shuffle + gzip 1": {"compression": "gzip", "compression_opts": 1, "shuffle": True},
}


@dataclass(frozen=True)
class Cost:
    """What recording cost the thread that captures."""

    images: int
    seconds: float
    mean_ms: float
    worst_ms: float
    writer_share: float
    """Of one core, the writer's thread."""
    acknowledged_s: float
    """From the last image to its acknowledgement."""


def frames(count: int) -> NDArray[np.uint16]:
    """Give dark frames with lit tiles, shot and read noise: 12 bits."""
    chance = np.random.default_rng(0)
    lit = np.zeros((SIDE_PX, SIDE_PX))
    for tile in range(16):
        top, left = 12 + tile // 4 * 124, 12 + tile % 4 * 124
        lit[top : top + 104, left : left + 104] = 400 + 300 * np.sin(np.arange(104) / 9)
    noisy = 60 + chance.poisson(2.6 * lit, (count, *lit.shape)) / 2.6 + chance.normal(0, 1.0, (count, *lit.shape))
    return np.clip(np.rint(noisy), 0, 4095).astype(np.uint16)


def record(folder: Path, images: int, rate_hz: float | None) -> Cost:
    """Record images, at a rate or as fast as it goes."""
    pictures = frames(32)
    tiles = np.zeros(TILES, np.float32)
    shown = np.zeros(TILES[1:], np.float32)
    handing_s = np.zeros(images)
    name = "paced" if rate_hz else "flat-out"
    with Recorder(folder / f"{name}.h5") as recorder:
        recorder.append("warm", frame=pictures[0], tiles=tiles)
        recorder.flush()
        begin_s, writer_s = time.perf_counter(), _writer_cpu_s()
        for index in range(images):
            if rate_hz:
                time.sleep(max(0.0, begin_s + index / rate_hz - time.perf_counter()))
            frame = pictures[index % len(pictures)].copy()
            before_s = time.perf_counter()
            recorder.append("fit", frame=frame, tiles=tiles.copy(), shown=shown, image=index, taken_s=before_s)
            handing_s[index] = time.perf_counter() - before_s
        last_s = time.perf_counter()
        recorder.flush()
        end_s = time.perf_counter()
        share = (_writer_cpu_s() - writer_s) / (end_s - begin_s)
        assert recorder.counts["fit"] == images
    return Cost(images, end_s - begin_s, 1e3 * handing_s.mean(), 1e3 * handing_s.max(), share, end_s - last_s)


def _writer_cpu_s() -> float:
    import psutil

    ids = {thread.native_id for thread in threading.enumerate() if thread.name == "recorder"}
    return sum(one.user_time + one.system_time for one in psutil.Process().threads() if one.id in ids)


def compress(folder: Path) -> list[tuple[str, float, float]]:
    """Write frames through each filter: name, ms a frame, size against none."""
    pictures = frames(64)
    rows = []
    for name, options in FILTERS.items():
        path = folder / "filtered.h5"
        with h5py.File(path, "w") as file:
            data = file.create_dataset("frame", pictures.shape, "u2", chunks=(1, SIDE_PX, SIDE_PX), **options)
            begin_s = time.perf_counter()
            for index, picture in enumerate(pictures):
                data[index] = picture
            file.flush()
            rows.append((name, 1e3 * (time.perf_counter() - begin_s) / len(pictures), data.id.get_storage_size()))
    return [(name, ms, size / rows[0][2]) for name, ms, size in rows]


def table(costs: list[tuple[str, Cost]], filtered: list[tuple[str, float, float]]) -> str:
    """Write the section."""
    lines = [
        "## What recording costs",
        "",
        f"`python -m tests.benchmarks.recording`, {datetime.now(UTC):%Y-%m-%d}; {platform.machine()}, 2 cores; frames"
        f" of {SIDE_PX} x {SIDE_PX} px of 16 bits with noise, each with its maps, all acknowledged (flushed, synced).",
        "",
        "| images come | images | images/s | thread that captures: ms an image | worst | writer: share of a core"
        " | last one acknowledged after |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, cost in costs:
        lines.append(
            f"| {name} | {cost.images} | {cost.images / cost.seconds:.0f} | {cost.mean_ms:.2f} | {cost.worst_ms:.1f} |"
            f" {cost.writer_share:.2f} | {1e3 * cost.acknowledged_s:.0f} ms |"
        )
    lines += ["", "| HDF5's filter | ms a frame | size |", "|---|---|---|"]
    lines += [f"| {name} | {ms:.2f} | {size:.2f} |" for name, ms, size in filtered]
    return "\n".join(lines)


def main() -> None:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--dry-run", action="store_true", help="print the section, and write nothing")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        costs = [
            (f"at {RATE_HZ:g} Hz", record(folder, arguments.images, RATE_HZ)),
            ("as fast as they are taken", record(folder, arguments.images, None)),
        ]
        section = table(costs, compress(folder))
    if arguments.dry_run:
        print(section)
    else:
        write_section("recording", section)


if __name__ == "__main__":
    main()
