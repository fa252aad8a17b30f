"""Every way in which a lit bench can be left, tried from outside; whether it is dark is what the world says.

A run (`labonn run protocols/lit.py BENCH`) holds the bench and lights it. Each way out is a function that makes its
event happen and gives the moment of it, by the host's clock, which is the world's for `dark_since_unix_s` too.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyvisa

from .conftest import Simulated

PROTOCOL = Path(__file__).parent / "protocols" / "lit.py"
_LIT_LIMIT_S = 90.0
_END_LIMIT_S = 60.0
_FRAMES = 40  # lit, and in the middle of its captures: a first batch of frames has been acknowledged


@dataclass
class Run:
    """A run that has lit the bench."""

    world: Simulated
    process: subprocess.Popen[str]
    lab: Path
    told: Path
    """Made to exist, this file lets the run raise an exception."""

    def answer(self) -> dict[str, Any]:
        """What `labonn run --json` said at its end."""
        self.process.wait(_END_LIMIT_S)
        said = self.process.stdout.read() if self.process.stdout else ""
        assert said, self.complaints
        return dict(json.loads(said))

    @property
    def complaints(self) -> str:
        """What it wrote to stderr; a file, because its watchdog may have it open for longer."""
        return (self.lab / "stderr.txt").read_text(encoding="utf-8")

    def record(self) -> dict[str, Any]:
        """The run's own record, whatever became of the process."""
        (folder,) = (self.lab / "runs").glob("*-lit-*")
        return dict(json.loads((folder / "run.json").read_text(encoding="utf-8")))

    @property
    def frames(self) -> Path:
        (folder,) = (self.lab / "runs").glob("*-lit-*")
        return folder / "frames.h5"


def labonn(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "labonn", *map(str, arguments)]


@contextmanager
def lit_run(world: Simulated, lab: Path, settings: Sequence[str] = (), **popen: Any) -> Iterator[Run]:
    """Start a run, and go on when the world says that the bench is lit and the camera has taken its frames."""
    lab.mkdir(parents=True, exist_ok=True)
    told = lab / "fail-now"
    chosen = [word for setting in (f"fail_when={told}", *settings) for word in ("--set", setting)]
    command = labonn("run", PROTOCOL, world.file, "--lab", lab, "--json", *chosen)
    with (lab / "stderr.txt").open("w", encoding="utf-8") as stderr:
        process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=stderr, **popen)
    run = Run(world, process, lab, told)
    watchdogs: list[psutil.Process] = []
    try:
        deadline = time.monotonic() + _LIT_LIMIT_S
        dark_frames = world.truth()["frames"]
        while (truth := world.truth())["frames"] < dark_frames + _FRAMES:
            dark_frames = dark_frames if truth["lit"] else truth["frames"]
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise AssertionError(f"the run did not light the bench: {run.complaints}")
            time.sleep(0.02)
        watchdogs = _watchdogs_of(process.pid)
        yield run
    finally:
        if process.poll() is None:
            process.send_signal(getattr(signal, "SIGCONT", signal.SIGTERM))
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
        _, left = psutil.wait_procs(watchdogs, timeout=_END_LIMIT_S)
        assert not left, "a watchdog that is still at work would make the next test's bench dark"


def _watchdogs_of(pid: int) -> list[psutil.Process]:
    children = psutil.Process(pid).children()
    return [child for child in children if "labonn.instruments.watchdog_process" in child.cmdline()]


def dark_after_s(world: Simulated, event_unix_s: float, limit_s: float = 30.0) -> float:
    """Wait until the world says that it is dark; give how long after the event it became so."""
    deadline = time.monotonic() + limit_s
    while (truth := world.truth())["lit"]:
        if time.monotonic() > deadline:
            raise AssertionError(f"still lit {time.time() - event_unix_s:.1f} s after the event")
        time.sleep(0.02)
    return float(truth["dark_since_unix_s"]) - event_unix_s


def by_signal(name: str) -> Callable[[Run], float]:
    def send(run: Run) -> float:
        event_s = time.time()
        run.process.send_signal(getattr(signal, name))
        return event_s

    return send


def by_exception(run: Run) -> float:
    run.told.touch()
    run.process.wait(_END_LIMIT_S)
    return float(run.told.read_text(encoding="utf-8"))


def by_command(*words: str) -> Callable[[Run], float]:
    """From another shell: the event is the moment at which Enter is pressed."""

    def enter(run: Run) -> float:
        event_s = time.time()
        done = subprocess.run(
            labonn(*words, run.world.file, "--lab", run.lab), capture_output=True, text=True, timeout=_END_LIMIT_S
        )
        assert done.returncode == 0, done.stderr
        return event_s

    return enter


def by_too_much_power(run: Run) -> float:
    """Another VISA client turns the laser up to more than the interlock allows."""
    with visa(run.world, "laser") as laser:
        event_s = time.time()
        laser.write("SOUR:POW:LEV:IMM:AMPL 0.0215")
        time.sleep(0.1)
    return event_s


def by_world(**values: Any) -> Callable[[Run], float]:
    def change(run: Run) -> float:
        event_s = time.time()
        run.world.set(**values)
        return event_s

    return change


@contextmanager
def visa(world: Simulated, door: str) -> Iterator[Any]:
    """Talk to an instrument as pyvisa's own shell does."""
    where = world.doors[door]
    manager = pyvisa.ResourceManager("@py")
    try:
        resource = manager.open_resource(
            f"TCPIP0::{where['host']}::{where['port']}::SOCKET", read_termination="\r\n", write_termination="\r\n"
        )
        yield resource
        resource.close()
    finally:
        manager.close()
