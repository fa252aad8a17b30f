"""Instruments against their libraries by hand: ``python -m tests.benchmarks.instruments``, about 5 minutes on 2 cores.

Both ways on the same frames, in turns, medians: what else the computer does must not decide. Then how long a picture
takes from the call to the pixel of an X server, what is imported, and, with ``--size``, how much a plain
installation takes.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from labonn.instruments import SLM, Camera, Display
from tests.benchmarks.results import write_section
from tests.screens import Screen, two_screens
from tests.unit.drivers.benches import make, site
from tests.unit.drivers.test_opencv_camera import NetworkCamera

FULL_HD = Screen(400, 0, 1080, 1920)
_TURNS = 7
_LIBRARIES = ("PySide6", "cv2", "slmsuite", "harvesters", "genicam")

Turns = list[tuple[float, float]]
"""Frames/s by hand, and through labonn right after it."""
Rates = dict[str, Turns]
"""What was measured of each path."""


def per_s(act: Callable[[], int]) -> float:
    """How often something happened in a second."""
    begin_s = time.perf_counter()
    count = act()
    return count / (time.perf_counter() - begin_s)


def compared(by_hand: Callable[[], int], ours: Callable[[], int]) -> Turns:
    """Take turns."""
    return [(per_s(by_hand), per_s(ours)) for _ in range(_TURNS)]


def windows(count: int) -> Rates:
    """A window of 1080 x 1920: pictures as floating point, and pictures that were loaded ahead."""
    with two_screens(FULL_HD, (1080, 2320)):
        pictures = [np.random.default_rng(0).random((1080, 1920), np.float32) for _ in range(4)]
        names = ("window, `show`", "window, `show_preloaded`")
        rates: Rates = {name: [] for name in names}
        for _ in range(_TURNS):
            by_hand = []
            hand = subprocess.Popen(
                [sys.executable, "-m", "tests.benchmarks.window_by_hand"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            with hand:
                assert hand.stdin is not None
                assert hand.stdout is not None
                assert hand.stdout.readline() == "ready\n"
                for act in ("show", "ahead"):
                    hand.stdin.write(f"{act} {count}\n")
                    hand.stdin.flush()
                    by_hand.append(float(hand.stdout.readline()))
                hand.stdin.close()
            table = {"driver": "display", "screen": "SLM", "pitch_um": 8.0, "settle_ms": 0.0, "wait_for_refresh": False}
            display: Any = make(Display, site(), **table)
            display.connect()
            display.preload(pictures)

            def show(display: Any = display) -> int:
                for number in range(count):
                    display.show(pictures[number % 4])
                return count

            def ahead(display: Any = display) -> int:
                for number in range(count):
                    display.show_preloaded(number % 4)
                return count

            for name, rate, ours in zip(names, by_hand, (show, ahead), strict=True):
                rates[name].append((rate, per_s(ours)))
            display.disconnect()
    return rates


def recordings(count: int) -> Rates:
    """A recording of 1080 x 1920, each time from its beginning."""
    with tempfile.TemporaryDirectory() as folder:
        return _recorded(Path(folder) / "frames.avi", count)


def _recorded(file: Path, count: int) -> Rates:
    import cv2

    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"MJPG"), 25, (1920, 1080))
    for seed in range(count):
        small = np.random.default_rng(seed).integers(0, 256, (45, 80, 3)).astype(np.uint8)
        writer.write(np.kron(small, np.ones((24, 24, 1), np.uint8)))
    writer.release()

    def by_hand() -> int:
        capture, read = cv2.VideoCapture(str(file)), 0
        while True:
            delivered, image = capture.read()
            if not delivered:
                return read
            cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
            read += 1

    def ours() -> int:
        table = {"driver": "opencv_camera", "source": str(file), "fixed_exposure": True}
        camera: Any = make(Camera, site(), **table)
        camera.connect()
        taken = sum(1 for _ in camera.frames(count))
        camera.disconnect()
        return taken

    return {"OpenCV, a recording": compared(by_hand, ours)}


def live(count: int) -> Rates:
    """A network camera of this computer, which sends a small picture every 20 ms."""
    import cv2

    with NetworkCamera() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/stream.mjpg"

        def by_hand() -> float:
            capture = cv2.VideoCapture(url)
            capture.read()

            def frames() -> int:
                for _ in range(count):
                    delivered, image = capture.read()
                    assert delivered
                    cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
                return count

            rate = per_s(frames)
            capture.release()
            return rate

        def ours() -> float:
            table = {"driver": "opencv_camera", "source": url, "fixed_exposure": True, "exposure_ms": 5.0}
            camera: Any = make(Camera, site(), **table)
            camera.connect()
            camera.snap()
            rate = per_s(lambda: sum(1 for _ in camera.frames(count)))
            camera.disconnect()
            return rate

        turns = [(by_hand(), ours()) for _ in range(_TURNS)]
        server.plugged = False
        server.shutdown()
    return {"OpenCV, a network camera at 50 frames/s": turns}


def slmsuite_pair(count: int) -> Rates:
    """The simulated pair of slmsuite: frames as its camera renders them, phases as its SLM takes them."""
    where, rng = site(), np.random.default_rng(0)
    slm: Any = make(
        SLM,
        where,
        driver="slmsuite",
        **{"class": "simulated.SimulatedSLM"},
        arguments={"resolution": [960, 540]},
        pitch_um=8.0,
        settle_ms=0.0,
        levels_per_2pi=256,
    )
    slm.connect()
    camera: Any = make(
        Camera,
        where,
        driver="slmsuite",
        **{"class": "simulated.SimulatedCamera"},
        sees="slm",
        arguments={"bitdepth": 12},
        bit_depth=12,
    )
    camera.connect()
    made = camera._made

    def by_hand() -> int:
        for _ in range(count):
            made.get_image()
        return count

    rates = {"slmsuite, its camera": compared(by_hand, lambda: sum(1 for _ in camera.frames(count)))}
    camera.disconnect()
    panel, phases = slm._made, [rng.uniform(0, 2 * np.pi, slm.shape).astype(np.float32) for _ in range(4)]

    levels = [slm.levels_of(phase) for phase in phases]

    def repeated(show: Callable[[Any], Any], patterns: list[Any]) -> int:
        for number in range(5 * count):
            show(patterns[number % 4])
        return 5 * count

    def by_its_own(pattern: Any) -> None:
        panel.set_phase(pattern, phase_correct=False, settle=False)

    for name, show, patterns in (("levels", slm.show_levels, levels), ("phases", slm.show, phases)):
        both = [lambda act=act, given=patterns: repeated(act, given) for act in (by_its_own, show)]
        rates[f"slmsuite, its SLM, {name}"] = compared(*both)
    slm.disconnect()
    return rates


def genicam(count: int) -> Rates:
    """The GenICam group's simulated camera, at a rate that a computer of two cores follows."""
    package = find_spec("genicam")
    assert package is not None
    assert package.origin is not None
    camera: Any = make(
        Camera,
        site(),
        driver="harvesters",
        producer=str(Path(package.origin).parent / "viky.cti"),
        device="VikyTL_DEV_red",
        features={"PixelFormat": "Mono8"},
        fixed_exposure=True,
        buffers=64,
        bit_depth=8,
    )
    camera.connect()
    camera._nodes.AcquisitionFrameRate.value = 50.0
    acquirer = camera._acquirer

    def by_hand() -> int:
        acquirer.start()
        for _ in range(count):
            with acquirer.fetch(timeout=5) as buffer:
                component = buffer.payload.components[0]
                np.array(component.data).reshape(component.height, component.width)
        acquirer.stop()
        return count

    rates = {"GenTL, Viky at 50 frames/s": compared(by_hand, lambda: sum(1 for _ in camera.frames(count)))}
    camera.disconnect()
    return rates


WATCHER = """
import sys, time
from pathlib import Path
from tests.screens import Screen, Screens
screen = Screen(*map(int, sys.argv[2:]))
level = Screens("", Path(sys.argv[1])).level(screen)
print("ready", flush=True)
last = level[-1, -1]
while True:
    now = level[-1, -1]
    if now != last:
        print(time.monotonic_ns(), flush=True)
        last = now
    time.sleep(0.00005)
"""


def delays_ms(count: int) -> list[float]:
    """From the call of `show` until the last pixel of the window is the new picture's, for 1080 x 1920."""
    with two_screens(FULL_HD, (1080, 2320)) as screens:
        table = {"driver": "display", "screen": "SLM", "pitch_um": 8.0, "settle_ms": 0.0, "wait_for_refresh": False}
        display: Any = make(Display, site(), **table)
        display.connect()
        place = map(str, (FULL_HD.left, FULL_HD.top, FULL_HD.height, FULL_HD.width))
        command = [sys.executable, "-c", WATCHER, str(screens.memory), *place]
        delays = []
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watcher:
            assert watcher.stdout is not None
            assert watcher.stdout.readline() == "ready\n"
            for number in range(count):
                picture = np.full((1080, 1920), 1.0 if number % 2 == 0 else 0.0, np.float32)
                time.sleep(0.02)
                begin_ns = time.monotonic_ns()
                display.show(picture)
                delays.append((int(watcher.stdout.readline()) - begin_ns) / 1e6)
            watcher.kill()
        display.disconnect()
    return delays


def imported() -> list[str]:
    """Which of the libraries are loaded when every driver's module is, and the command line has run."""
    code = (
        "import sys, json; from importlib.metadata import entry_points;"
        "[point.load() for point in entry_points(group='labonn.drivers')];"
        "from labonn.cli import main; main(['--version']);"
        f"print(json.dumps([name for name in {_LIBRARIES!r} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    return list(json.loads(done.stdout.splitlines()[-1]))


def installed_mb(folder: Path) -> float:
    """How much a fresh environment takes with labonn in it and no extras."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    root = Path(__file__).parents[2]
    command = [python, "-m", "pip", "install", "-q", "-c", str(root / "constraints.txt"), str(root)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def section(rates: Rates, delays: list[float], loaded: list[str], size_mb: float | None) -> str:
    """Write the section."""
    lines = [
        "## Instruments against their libraries by hand",
        "",
        f"`python -m tests.benchmarks.instruments{' --size' if size_mb else ''}`, {datetime.now(UTC):%Y-%m-%d};"
        f" {platform.machine()}, 2 cores. Frames/s, medians of {_TURNS} turns; the ratios of the turns, theirs.",
        "",
        "| path | by hand | through labonn | ratio (must be >= 0.95) |",
        "|---|---|---|---|",
    ]
    for name, turns in rates.items():
        hand, own = (statistics.median(rates) for rates in zip(*turns, strict=True))
        ratio = statistics.median(own / hand for hand, own in turns)
        lines.append(f"| {name} | {hand:.0f} | {own:.0f} | {ratio:.2f} |")
    middle, late = np.percentile(delays, [50, 95])
    lines += [
        "",
        "By hand, a window is drawn in the process that has the picture; labonn's is a process of its own."
        " Phases become levels by labonn's own table.",
        "",
        f"From the call of `show` to the last pixel of 1080 x 1920 on an X server (Xvfb): median {middle:.1f} ms, 95 %"
        f" within {late:.1f} ms ({len(delays)} pictures).",
        "",
        f"Of {', '.join(_LIBRARIES)}, loading every driver and running the command line imports"
        f" {', '.join(loaded) or 'none'}.",
    ]
    if size_mb is not None:
        size = f"{size_mb / 1e3:.2f} GB (must be < 1.5)"
        lines += ["", f"`pip install labonn` without extras, into a fresh environment: {size}."]
    return "\n".join(lines)


PATHS: dict[str, Callable[[], Rates]] = {
    "windows": lambda: windows(300),
    "recordings": lambda: recordings(60),
    "live": lambda: live(300),
    "slmsuite": lambda: slmsuite_pair(60),
    "genicam": lambda: genicam(200),
}


def main() -> None:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", action="store_true", help="install into a fresh environment, too")
    parser.add_argument("--only", choices=sorted(PATHS), help="measure one path, print it, and write nothing")
    arguments = parser.parse_args()
    if arguments.only is not None:
        print(PATHS[arguments.only]())
        return
    with tempfile.TemporaryDirectory() as name:
        rates: Rates = {}
        for measure in PATHS.values():
            measured = measure()
            print(measured, flush=True)
            rates |= measured
        delays = delays_ms(150)
        size_mb = installed_mb(Path(name) / "venv") if arguments.size else None
    write_section("instruments", section(rates, delays, imported(), size_mb))


if __name__ == "__main__":
    main()
