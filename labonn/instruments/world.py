"""Starting the simulated laboratory of a bench: a process of its own, which outlives this one."""

import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from labonn.errors import ConfigError, InstrumentError
from labonn.instruments.bench_config import InstrumentEntry

_START_LIMIT_S = 120.0
_SLICE_S = 0.2
_DOOR = re.compile(r"\$\{([a-z_]+)\.([a-z]+)\}")

Doors = Mapping[str, Mapping[str, Any]]

# Kept so that a world that ends while this process runs does not stay behind as a zombie.
_started: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class RunningWorld:
    """A simulated laboratory that is ready."""

    bench: str
    pid: int
    clock_address: str
    doors: Doors
    """Where its instruments answer: door -> "host", "port", "pty"."""


def start_world(bench_file: Path, seed: int | None = None) -> RunningWorld:
    """Start the world of a bench file, or find the one that lives.

    Parameters
    ----------
    bench_file
        The bench file, whose [world] names the physics.
    seed
        What the world draws its own faults from; its own default where None. A living world with another
        seed is refused.

    Raises
    ------
    InstrumentError
        If it does not say within two minutes that it is ready.
    """
    _started[:] = [process for process in _started if process.poll() is None]
    command = [sys.executable, "-m", "sim", str(bench_file.resolve())]
    if seed is not None:
        command += ["--seed", str(seed)]
    with tempfile.TemporaryFile() as complaints:
        process = _spawn(command, complaints)
        line = _first_line(process)
        if line is None:
            process.kill()
            raise InstrumentError(f"the simulated bench of {bench_file} was not ready after {_START_LIMIT_S:g} s")
        try:
            said = json.loads(line)
            doors = {str(door): dict(where) for door, where in said.get("doors", {}).items()}
            world = RunningWorld(str(said["bench"]), int(said["pid"]), str(said["clock"]), doors)
        except (ValueError, KeyError, TypeError) as error:
            process.wait(timeout=10)
            complaints.seek(0)
            reason = complaints.read().decode(errors="replace").strip().splitlines()[-1:] or [repr(line)]
            raise InstrumentError(f"the simulated bench of {bench_file} did not start: {reason[0]}") from error
    living_seed = said.get("seed")
    if seed is not None and living_seed is not None and living_seed != seed:
        raise InstrumentError(
            f"the simulated bench {world.bench!r} already lives (process {world.pid}) with seed {living_seed},"
            f" not {seed}; wait until it ends by itself, or end it"
        )
    if world.pid == process.pid:
        _started.append(process)
    else:
        process.wait(timeout=10)
    return world


def fill_in(entry: InstrumentEntry, doors: Doors, where: str) -> InstrumentEntry:
    """Put the doors of the world into an instrument's table: `${laser.port}` becomes the port of the door `laser`.

    Raises
    ------
    ConfigError
        If the world has no such door.
    """

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [filled(inner) for inner in value]
        return _DOOR.sub(found, value) if isinstance(value, str) else value

    def found(match: re.Match[str]) -> str:
        door, part = match.groups()
        try:
            return str(doors[door][part])
        except KeyError:
            known = ", ".join(f"{name}.{key}" for name, keys in doors.items() for key in keys) or "none"
            raise ConfigError(f"{where}: {match.group()}: the world has no such door; it has: {known}") from None

    return InstrumentEntry.model_validate(filled(entry.model_dump()))


@contextmanager
def world_named(bench: str) -> Iterator[None]:
    """Tell the simulated instruments that this process opens which world they belong to."""
    before = os.environ.get("LABONN_WORLD")
    os.environ["LABONN_WORLD"] = bench
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("LABONN_WORLD", None)
        else:
            os.environ["LABONN_WORLD"] = before


def _spawn(command: list[str], complaints: IO[bytes]) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C here must not end the laboratory.
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints, creationflags=flags
        )
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints, start_new_session=True
    )


def _first_line(process: subprocess.Popen[bytes]) -> bytes | None:
    """Give the first line that the process prints, empty where it ends without one; None where it takes too long."""
    assert process.stdout is not None
    stream = process.stdout
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def read() -> None:
        with stream:
            lines.put(stream.readline())

    threading.Thread(target=read, name="waiting for the world", daemon=True).start()
    deadline = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < deadline:
        try:
            return lines.get(timeout=_SLICE_S)
        except queue.Empty:
            continue
    return None
