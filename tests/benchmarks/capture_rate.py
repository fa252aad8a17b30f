"""How fast images are captured: ``python -m tests.benchmarks.capture_rate``, about 2 minutes on 2 cores.

From an image to its maps, frames recorded as a run records them: in virtual time, where the simulated laboratory's
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

from labonn.capture import Registration, capture
from labonn.instruments import Bench, open_bench
from labonn.records import FrameFile
from tests.bench.conftest import bench_of, simulated
from tests.bench.counter import counter_images
from tests.benchmarks.results import write_section
from tests.benchmarks.soak import calibrated


@dataclass(frozen=True)
class Rate:
    """One capture."""

    clock: str
    images: int
    seconds: float
    limit_s: float
    """What settling, exposing and reading out take by themselves, one after the other."""
    overlapped_s: float
    """What settling and exposing take, where read-out is overlapped."""

    @property
    def per_s(self) -> float:
        """Images a second."""
        return self.images / self.seconds


def measure(bench: Bench, clock: str, images: int, folder: Path, readout_ms: float) -> Rate:
    """Capture numbered images, all frames recorded."""
    calibration, _ = calibrated(bench)
    registration = Registration(calibration)
    pictures = counter_images(range(images))
    list(capture(bench, pictures[:4], registration, keep_frames=True))
    with FrameFile(folder / f"{clock}.h5") as file:
        begin_s = time.perf_counter()
        for shot in capture(bench, pictures, registration, keep_frames=True):
            assert shot.frame is not None
            file.append("numbers", frame=shot.frame, tiles=shot.tiles, image=shot.index)
        file.flush()
        seconds = time.perf_counter() - begin_s
    light_s = (bench.display.settle_ms + bench.camera.exposure_ms) / 1e3
    return Rate(clock, images, seconds, images * (light_s + readout_ms / 1e3), images * light_s)


def readout(bench: Bench) -> float:
    """How long a frame takes beyond its exposure, in ms of the bench's time, which is exact where it is virtual."""
    begin_s = bench.clock.now_s()
    bench.camera.snap()
    return 1e3 * (bench.clock.now_s() - begin_s) - bench.camera.exposure_ms


def table(rates: list[Rate]) -> str:
    """Write the section."""
    memory_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    lines = [
        "## How fast images are captured, bench `mono`",
        "",
        f"`python -m tests.benchmarks.capture_rate`, {datetime.now(UTC):%Y-%m-%d}; {platform.machine()}, 2 cores;"
        " frames of 1080 x 1080, each rendered by the simulated laboratory and recorded. One image a frame: a tile of"
        f" 34 taps holds one image of 28. labonn itself took {memory_gb:.1f} GB at most.",
        "",
        "| clock | images | images/s | of the limit, read-out after exposing | of the limit, read-out overlapped |",
        "|---|---|---|---|---|",
    ]
    for rate in rates:
        limits = ["", ""]
        if rate.clock == "real":
            limits = [f"{rate.limit_s / rate.seconds:.2f}", f"{rate.overlapped_s / rate.seconds:.2f}"]
        lines.append(f"| {rate.clock} | {rate.images} | {rate.per_s:.1f} | {' | '.join(limits)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure in both clocks, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=300)
    arguments = parser.parse_args()
    rates: list[Rate] = []
    readout_ms = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for clock in ("virtual", "real"):
            changes = [('clock = "virtual"', f'clock = "{clock}"')] if clock == "real" else []
            file = bench_of(folder / clock, f"rate-{clock}", *changes)
            with simulated(file) as world, open_bench(world.file) as bench:
                readout_ms = readout(bench) if clock == "virtual" else readout_ms
                rates.append(measure(bench, clock, arguments.images, folder, readout_ms))
                print(rates[-1], f"{rates[-1].per_s:.1f} images/s", flush=True)
    write_section("capture-rate", table(rates))


if __name__ == "__main__":
    main()
