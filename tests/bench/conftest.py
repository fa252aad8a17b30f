"""The conformance suite runs on any bench: `pytest tests/bench --bench FILE`; by default on a simulated one."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest

import sim
from labonn.instruments import Bench, open_bench

BENCHES = Path(sim.__file__).parent / "benches"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bench", default=None, help="bench file to run the conformance suite on")


@dataclass(frozen=True)
class Simulated:
    """A simulated bench of this session's own, and the door to its truth."""

    file: Path
    pid: int
    door: str

    def truth(self) -> dict[str, Any]:
        return self._ask(op="truth")

    @contextmanager
    def changed(self, **values: Any) -> Iterator[None]:
        """Change the world while this lasts; keys are dotted names with two underscores for a dot."""
        wanted = {name.replace("__", "."): value for name, value in values.items()}
        shipped: dict[str, Any] = tomllib.loads((BENCHES / "mono.world.toml").read_text(encoding="utf-8"))
        shipped["camera"]["delivers"] = True
        before = {name: reduce(getitem, name.split("."), shipped) for name in wanted}
        self._ask(op="set", values=wanted)
        try:
            yield
        finally:
            self._ask(op="set", values=before)

    def _ask(self, **request: Any) -> dict[str, Any]:
        host, port = self.door.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=120) as connection:
            connection.sendall(json.dumps({"id": 1, **request}).encode() + b"\n")
            with connection.makefile("r", encoding="utf-8") as lines:
                reply: dict[str, Any] = json.loads(lines.readline())
        assert reply["ok"], reply
        return reply


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


@pytest.fixture(scope="session")
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    """Start the simulated laboratory; skips what needs its truth on a real bench."""
    if request.config.getoption("--bench", default=None):
        pytest.skip("asks the simulated laboratory for the truth")
    file = bench_of(tmp_path_factory.mktemp("bench"), f"conformance-{os.getpid()}")
    command = [sys.executable, "-m", "sim", str(file), "--idle-s", "300"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        yield Simulated(file, ready["pid"], ready["test"])
        # Asked rather than ended where that can be, so that it takes its files away.
        process.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGINT)


@pytest.fixture(scope="session")
def bench_file(request: pytest.FixtureRequest) -> Path:
    """Give the bench file that the suite runs on."""
    chosen = request.config.getoption("--bench", default=None)
    if chosen:
        return Path(chosen)
    simulated: Simulated = request.getfixturevalue("world")
    return simulated.file


@pytest.fixture
def bench(bench_file: Path) -> Iterator[Bench]:
    with open_bench(bench_file) as opened:
        yield opened
