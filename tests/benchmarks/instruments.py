"""Instruments against their libraries by hand: ``python -m tests.benchmarks.instruments``, about 2 minutes on 2 cores.

Both ways on the same frames, in turns, the better of each: what else the computer does must not decide. Then how long
a picture takes from the call to the pixel of an X server, what is imported, and, with ``--size``, how much a plain
installation takes.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
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

FULL_HD = Screen(400, 0, 1080, 1920)
_TURNS = 3
_LIBRARIES = ("PySide6", "cv2", "slmsuite", "harvesters", "genicam")

Rates = dict[str, tuple[float, float]]
"""Path -> frames/s by hand, and through labonn."""


def per_s(act: Callable[[], int]) -> float:
    """How often something happened in a second."""
    begin_s = time.perf_counter()
    count = act()
    return count / (time.perf_counter() - begin_s)


def compared(by_hand: Callable[[], int], ours: Callable[[], int]) -> tuple[float, float]:
    """Take turns, and give the better of each."""
    turns = [(per_s(by_hand), per_s(ours)) for _ in range(_TURNS)]
    return max(hand for hand, _ in turns), max(own for _, own in turns)


BY_HAND_WINDOW = """
import sys, time, numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QBackingStore, QGuiApplication, QImage, QPainter, QRegion, QWindow

app = QGuiApplication([])
screen = next(one for one in app.screens() if one.name() == "SLM")
window = QWindow()
window.setFlags(Qt.WindowType.FramelessWindowHint)
window.setScreen(screen)
window.setGeometry(screen.geometry())
window.showFullScreen()
while not window.isExposed():
    app.processEvents()
height, width = window.height(), window.width()
whole, store = QRegion(0, 0, width, height), QBackingStore(window)
store.resize(window.size())
rng = np.random.default_rng(0)
pictures = [rng.random((height, width), np.float32) for _ in range(4)]
levels = [np.rint(picture * 255).astype(np.uint8) for picture in pictures]

def image(grey):
    return QImage(grey.data, width, height, width, QImage.Format.Format_Grayscale8)

ahead = [image(grey).convertToFormat(QImage.Format.Format_RGB32) for grey in levels]

def draw(picture):
    store.beginPaint(whole)
    painter = QPainter(store.paintDevice())
    painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Source)
    painter.drawImage(0, 0, picture)
    painter.end()
    store.endPaint()
    store.flush(whole)
    app.sync()

def show(number):
    draw(image(np.rint(np.clip(pictures[number], 0, 1) * 255).astype(np.uint8)))

print("ready", flush=True)
for line in sys.stdin:
    act, count = line.split()
    begin = time.perf_counter()
    for number in range(int(count)):
        draw(ahead[number % 4]) if act == "ahead" else show(number % 4)
    print(int(count) / (time.perf_counter() - begin), flush=True)
"""


def windows(count: int) -> Rates:
    """A window of 1080 x 1920: pictures as floating point, and pictures that were loaded ahead."""
    with two_screens(FULL_HD, (1080, 2320)):
        pictures = [np.random.default_rng(0).random((1080, 1920), np.float32) for _ in range(4)]
        best = {"window, `show`": [0.0, 0.0], "window, `show_preloaded`": [0.0, 0.0]}
        for _ in range(_TURNS):
            hand = subprocess.Popen(
                [sys.executable, "-c", BY_HAND_WINDOW], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            with hand:
                assert hand.stdin is not None
                assert hand.stdout is not None
                assert hand.stdout.readline() == "ready\n"
                for name, act in zip(best, ("show", "ahead"), strict=True):
                    hand.stdin.write(f"{act} {count}\n")
                    hand.stdin.flush()
                    best[name][0] = max(best[name][0], float(hand.stdout.readline()))
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

            for name, ours in zip(best, (show, ahead), strict=True):
                best[name][1] = max(best[name][1], per_s(ours))
            display.disconnect()
    return {name: (hand, own) for name, (hand, own) in best.items()}


def recordings(folder: Path, count: int) -> Rates:
    """A recording of 1080 x 1920, each time from its beginning."""
    import cv2

    file = folder / "frames.avi"
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


def slmsuite_pair(count: int) -> Rates:
    """The simulated pair of slmsuite: frames as its camera renders them, levels as its SLM takes them."""
    where = site()
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
        f" {platform.machine()}, 2 cores. Frames/s, the best of {_TURNS} turns of each.",
        "",
        "| path | by hand | through labonn | ratio (must be >= 0.95) |",
        "|---|---|---|---|",
    ]
    lines += [f"| {name} | {hand:.0f} | {own:.0f} | {own / hand:.2f} |" for name, (hand, own) in rates.items()]
    middle, late = np.percentile(delays, [50, 95])
    lines += [
        "",
        "By hand, a window is drawn in the process that has the picture; labonn's is a process of its own.",
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


def main() -> None:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", action="store_true", help="install into a fresh environment, too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        rates: Rates = {}
        for measured in (windows(150), recordings(Path(name), 60), slmsuite_pair(40), genicam(60)):
            print(measured, flush=True)
            rates |= measured
        delays = delays_ms(150)
        size_mb = installed_mb(Path(name) / "venv") if arguments.size else None
    write_section("instruments", section(rates, delays, imported(), size_mb))


if __name__ == "__main__":
    main()
