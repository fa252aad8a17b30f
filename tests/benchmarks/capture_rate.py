"""How fast images are captured: ``python -m tests.benchmarks.capture_rate``, about 2 minutes on 2 idle cores.

From an image to its maps, every frame recorded and acknowledged: in virtual time, where the simulated laboratory's
rendering is what takes the time, and in real time against the instruments' own limit, which is settling and exposing.
"""

import argparse
import platform
import resource
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil

from labonn.capture import Registration, capture
from labonn.instruments import Bench, open_bench
from labonn.records import Recorder
from tests.bench.conftest import bench_of, simulated
from tests.bench.counter import counter_images
from tests.benchmarks.results import write_section
from tests.benchmarks.soak import calibrated

_RENDERED = 100
Changes = tuple[tuple[str, str], ...]
REAL: Changes = (('clock = "virtual"', 'clock = "real"'),)
# A display of 200 Hz: its pictures settle in 3 ms, and at seven times the light the exposure is the other 2.
FAST: Changes = (
    *REAL,
    (
        "settle_ms = 16.7      # one period at 60 Hz\nbit_depth = 8\n\n[instruments.slm]",
        "settle_ms = 3.0\nbit_depth = 8\n\n[instruments.slm]",
    ),
    ("binning = 2  ", "roi = [28, 28, 1024, 1024]\nbinning = 2  "),
)
FAST_WORLD: Changes = (
    ("display_tau_ms = 2.6", "display_tau_ms = 0.5"),
    ("latency_ms = 4.0", "latency_ms = 0.4"),
    ("white_e_per_ms = 600.0", "white_e_per_ms = 4100.0"),
    ("readout_ms = 8.0", "readout_ms = 2.0"),
    ("shift_px = 3.0", "shift_px = 1.0"),
)
UNBINNED: Changes = (
    ("binning = 2  ", "binning = 1  "),
    ("camera_pixel_um = 6.9 ", "camera_pixel_um = 3.45 "),
    ("camera_px = [540, 540]", "camera_px = [1080, 1080]"),
)


@dataclass(frozen=True)
class Trial:
    """What is measured, and how it differs from the shipped bench."""

    what: str
    bench: Changes = ()
    world: Changes = ()
    real: bool = False
    asked: str = ""


TRIALS = (
    Trial("virtual time", asked="200 images/s"),
    Trial("virtual time, the sensor's own pixels", UNBINNED),
    Trial("real time, 60 Hz", REAL, real=True, asked="0.97"),
    Trial("real time, 200 Hz, region of interest", FAST, FAST_WORLD, real=True, asked="0.95"),
)


@dataclass(frozen=True)
class Rate:
    """One capture."""

    trial: Trial
    frame: tuple[int, int]
    per_s: float
    limit_per_s: float
    """What settling and exposing allow, with read-out overlapped."""
    retaken: int
    labonn_gb: float
    world_gb: float
    labonn_ms: float
    """Of processor time an image."""
    world_ms: float


def measure(trial: Trial, bench: Bench, pid: int, images: int, folder: Path) -> Rate:
    """Capture numbered images, all frames recorded and acknowledged."""
    calibration, _ = calibrated(bench)
    registration = Registration(calibration)
    pictures = counter_images(range(images))
    if trial.real:  # pre-rendered: the simulated laboratory has seen these before
        pictures = np.resize(pictures[:_RENDERED], pictures.shape)
    list(capture(bench, pictures[: _RENDERED if trial.real else 20], registration))
    processes = psutil.Process(), psutil.Process(pid)
    before = [sum(process.cpu_times()[:2]) for process in processes]
    retaken, begin_s = 0, time.perf_counter()
    with Recorder(folder / "frames.h5") as recorder:
        for shot in capture(bench, pictures, registration, keep_frames=True):
            recorder.append("numbers", frame=shot.frame, tiles=shot.tiles, image=shot.index)
            retaken += len(shot.retakes)
        recorder.flush()
        seconds = time.perf_counter() - begin_s
    worked = [sum(process.cpu_times()[:2]) - was for process, was in zip(processes, before, strict=True)]
    return Rate(
        trial,
        bench.camera.shape,
        images / seconds,
        1e3 / (bench.display.settle_ms + bench.camera.exposure_ms),
        retaken,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        processes[1].memory_info().rss / 2**30,
        *(1e3 * one / images for one in worked),
    )


def run(trial: Trial, images: int) -> Rate:
    """Measure on a bench of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = bench_of(folder, f"rate-{TRIALS.index(trial)}", *trial.bench)
        world = folder / "mono.world.toml"
        content = world.read_text(encoding="utf-8")
        for old, new in trial.world:
            assert old in content, old
            content = content.replace(old, new)
        world.write_text(content, encoding="utf-8")
        with simulated(file) as lives, open_bench(lives.file) as bench:
            return measure(trial, bench, lives.pid, images, folder)


def table(rates: list[Rate], images: int) -> str:
    """Write the section."""
    lines = [
        "## How fast images are captured, bench `mono`",
        "",
        f"`python -m tests.benchmarks.capture_rate --images {images}`, {datetime.now(UTC):%Y-%m-%d};"
        f" {platform.machine()}, 2 cores; {images} images, one a frame (a tile of 34 taps holds one image of 28),"
        " every frame looked at, recorded and synced. In virtual time every image is another and is rendered; in real"
        " time 100 images, rendered before, come again and again. Of the limit: settling and exposing, with read-out"
        " overlapped."
        " The median of three captures.",
        "",
        "| | asked | frame, px | images/s | of the limit | taken again | processor, labonn + world | memory |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for rate in rates:
        limit = f"{rate.per_s / rate.limit_per_s:.3f} of {rate.limit_per_s:.1f}" if rate.trial.real else ""
        lines.append(
            f"| {rate.trial.what} | {rate.trial.asked} | {rate.frame[0]} x {rate.frame[1]} | {rate.per_s:.1f} |"
            f" {limit} | {rate.retaken} | {rate.labonn_ms:.1f} + {rate.world_ms:.1f} ms |"
            f" {rate.labonn_gb:.1f} + {rate.world_gb:.1f} GB |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--trials", type=int, nargs="+", default=range(len(TRIALS)), help="which, from 0")
    arguments = parser.parse_args()
    medians = []
    for trial in (TRIALS[number] for number in arguments.trials):
        rates = sorted((run(trial, arguments.images) for _ in range(3)), key=lambda rate: rate.per_s)
        print(trial.what, *(f"{rate.per_s:.1f}" for rate in rates), "images/s", flush=True)
        medians.append(rates[1])
    if len(medians) == len(TRIALS):
        write_section("capture-rate", table(medians, arguments.images))
    else:
        print(table(medians, arguments.images))


if __name__ == "__main__":
    main()
