"""The conformance suite runs on any bench: `pytest tests/bench --bench FILE`.

By default on seven: the simulated bench in virtual and in real time, the latter again with a window on a second screen
as its display; mm-test-adapters' C++ camera and shutter, again with a recording as the camera, with a GenICam camera
behind its GenTL producer, and with slmsuite's simulated SLM and camera. What asks the simulated laboratory for the
truth, or breaks its instruments, runs on the simulated bench alone.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import reduce
from importlib.util import find_spec
from operator import getitem
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sim
from labonn.instruments import Bench, open_bench
from tests.screens import Screen, two_screens

from .democam import demo_bench, genicam_bench, recorded_bench, slmsuite_bench
from .watch_screen import watched

WINDOW = Screen(400, 0, 512, 512)
"""The second screen, as large as the simulated bench's display."""
DISPLAY = """driver = "micromanager"
cfg = "mono.cfg"
device = "Display"
pitch_um = 16.0
settle_ms = 16.7      # one period at 60 Hz"""
WINDOW_DISPLAY = """driver = "display"
screen = "SLM"
wait_for_refresh = false
pitch_um = 16.0
settle_ms = 60.0      # that of the simulated panel, and until what looks at the screen has seen it"""
STAGE_ROLES = """thermometer = "thermometer"
stage = "focus"
stage_down = "down"
"""
STAGES = """
[instruments.focus]
driver = "scpi_stage"
model = "pi-gcs2"
resource = "TCPIP0::${stage.host}::${stage.port}::SOCKET"
lowest_um = -500
highest_um = 500
may_home = true
needs_homing = true

[instruments.down]
driver = "scpi_stage"
model = "pi-gcs2"
parameters = { axis = "2" }
resource = "TCPIP0::${stage.host}::${stage.port}::SOCKET"
lowest_um = -500
highest_um = 500
may_home = true
needs_homing = true

[interlocks]
"""
BENCHES = Path(sim.__file__).parent / "benches"
# How each switch of the test door stands in a sound laboratory; everything else is as the world file has it.
_SOUND = {
    "camera.delivers": True,
    "laser.interlock_closed": True,
    "laser.fault": "none",
    "laser.ignores_off": False,
    "shutter.stuck": False,
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bench", default=None, help="bench file to run the conformance suite on")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kind" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--bench", default=None)
        kinds = ["given"] if chosen else ["virtual", "real", "window", "c++", "opencv", "genicam", "slmsuite"]
        metafunc.parametrize("kind", kinds, scope="session")


@dataclass(frozen=True)
class Simulated:
    """A simulated bench of this session's own, and the door to its truth."""

    file: Path
    pid: int
    door: str
    doors: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Where its instruments answer."""

    def truth(self) -> dict[str, Any]:
        return self.ask(op="truth")

    def set(self, **values: Any) -> None:
        """Change the world; keys are dotted names with two underscores for a dot."""
        self.ask(op="set", values={name.replace("__", "."): value for name, value in values.items()})

    @contextmanager
    def changed(self, **values: Any) -> Iterator[None]:
        """Change the world while this lasts."""
        shipped: dict[str, Any] = tomllib.loads((BENCHES / "mono.world.toml").read_text(encoding="utf-8"))
        dotted = {name: name.replace("__", ".") for name in values}
        before = {
            name: _SOUND[path] if path in _SOUND else reduce(getitem, path.split("."), shipped)
            for name, path in dotted.items()
        }
        self.set(**values)
        try:
            yield
        finally:
            self.set(**before)

    @contextmanager
    def faulty(self, **plan: Any) -> Iterator[None]:
        """Let faults happen while this lasts, as `sim.fault_plan.FaultPlan` describes."""
        self.ask(op="faults", plan=plan)
        try:
            yield
        finally:
            self.ask(op="faults", plan={})

    def injected(self) -> list[dict[str, Any]]:
        """What went wrong since the world began."""
        return list(self.truth()["faults"]["injected"])

    def ask(self, **request: Any) -> dict[str, Any]:
        host, port = self.door.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=120) as connection:
            connection.sendall(json.dumps({"id": 1, **request}).encode() + b"\n")
            with connection.makefile("r", encoding="utf-8") as lines:
                reply: dict[str, Any] = json.loads(lines.readline())
        assert reply["ok"], reply
        return reply


AS_A_REAL_BENCH = ("silence_ms = 60_000", "silence_ms = 1_500")
"""A change of a shipped bench: its interlocks bear no more silence than a real bench's."""


def bench_of(folder: Path, name: str, *changes: tuple[str, str]) -> Path:
    """Write the mono bench, with changes, into a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in ("mono.cfg", "mono.world.toml"):
        shutil.copy(BENCHES / file, folder)
    content = (BENCHES / "mono.bench.toml").read_text(encoding="utf-8")
    for old, new in (('name = "mono"', f'name = "{name}"'), *changes):
        assert old in content, old
        content = content.replace(old, new)
    file = folder / "trial.bench.toml"
    file.write_text(content, encoding="utf-8")
    return file


def patience(file: Path, milliseconds: int) -> None:
    """Let the simulated camera of a bench file's folder be given up sooner by its own adapter."""
    cfg = file.parent / "mono.cfg"
    after = "#py Property,Core,Initialize,1"
    content = cfg.read_text(encoding="utf-8")
    assert after in content
    setting = f"#py Property,Camera,Timeout_ms,{milliseconds}"
    cfg.write_text(content.replace(after, f"{after}\n{setting}"), encoding="utf-8")


@contextmanager
def simulated(file: Path) -> Iterator[Simulated]:
    """Start the simulated laboratory of a bench file, for as long as this lasts."""
    command = [sys.executable, "-m", "sim", str(file), "--idle-s", "1800"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        try:
            yield Simulated(file, ready["pid"], ready["test"], ready.get("doors", {}))
        finally:
            # It takes its files away then. Not SIGINT, which is ignored in what a shell has put into the background.
            process.terminate()


def _skip_on_a_real_bench(config: pytest.Config) -> None:
    if config.getoption("--bench", default=None):
        pytest.skip("asks the simulated laboratory for the truth")


@pytest.fixture(scope="session")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Start each simulated laboratory when it is first asked for, and keep it."""
    with ExitStack() as held:

        class Worlds(dict[str, Any]):
            def __missing__(self, clock: str) -> Simulated:
                changes = [] if clock == "virtual" else [('clock = "virtual"', 'clock = "real"'), AS_A_REAL_BENCH]
                if clock == "window":
                    screens = held.enter_context(two_screens(WINDOW, (WINDOW.height, WINDOW.left + WINDOW.width)))
                    changes.append((DISPLAY, WINDOW_DISPLAY))
                    changes.append(('thermometer = "thermometer"\n', STAGE_ROLES))
                    changes.append(("\n[interlocks]\n", STAGES))
                name = f"conformance-{clock}-{os.getpid()}"
                self[clock] = held.enter_context(
                    simulated(bench_of(tmp_path_factory.mktemp(f"bench-{clock}"), name, *changes))
                )
                if clock == "window":
                    held.enter_context(watched(screens, WINDOW, name))
                return self[clock]

        yield Worlds()


@pytest.fixture(scope="session")
def world(request: pytest.FixtureRequest, worlds: dict[str, Simulated]) -> Simulated:
    """Give the simulated laboratory in virtual time; skips what needs it on a real bench."""
    _skip_on_a_real_bench(request.config)
    return worlds["virtual"]


@pytest.fixture(scope="session")
def real_time_world(request: pytest.FixtureRequest, worlds: dict[str, Simulated]) -> Simulated:
    """Give the simulated laboratory in real time."""
    _skip_on_a_real_bench(request.config)
    return worlds["real"]


@pytest.fixture(scope="session")
def bench_file(
    kind: str,
    request: pytest.FixtureRequest,
    worlds: dict[str, Simulated],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Give each bench file that the suite runs on."""
    if kind == "given":
        return Path(request.config.getoption("--bench"))
    if kind == "c++":
        return demo_bench(tmp_path_factory.mktemp("bench-democam"))
    if kind == "opencv":
        pytest.importorskip("cv2", reason="pip install 'labonn[opencv]'")
        return recorded_bench(tmp_path_factory.mktemp("bench-opencv"))
    if kind in ("genicam", "slmsuite") and find_spec(kind) is None:
        pytest.skip("pip install 'labonn[vendor]'")
    if kind == "genicam":
        return genicam_bench(tmp_path_factory.mktemp("bench-genicam"))
    if kind == "slmsuite":
        return slmsuite_bench(tmp_path_factory.mktemp("bench-slmsuite"))
    return worlds[kind].file


@pytest.fixture(scope="module")
def bench(bench_file: Path) -> Iterator[Bench]:
    """Open each bench that the suite runs on, once for a module, whose tests open none themselves."""
    with open_bench(bench_file) as opened:
        yield opened


@pytest.fixture(scope="module")
def seeing(kind: str, bench: Bench) -> Bench:
    """Give each bench whose camera sees its display, with a flat phase on its SLM."""
    if kind in ("c++", "opencv", "genicam", "slmsuite"):
        pytest.skip("its camera looks at no display")
    if bench.has_slm:
        bench.slm.show(np.zeros(bench.slm.shape, np.float32))
    return bench
