"""`python -m sim BENCH`: the simulated laboratory of a bench file, as a process.

When it is ready it prints one line of JSON: its name, process, seed and doors. It ends by itself when nobody has been
there for a while. A second one of the same bench prints the first one's line and leaves.
"""

import argparse
import json
import logging
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from sim import registry
from sim.clock import RealClock, VirtualClock
from sim.doors import ClockDoor, DevicesDoor, TestDoor
from sim.errors import SimulationError
from sim.instrument_door import InstrumentDoor
from sim.instruments import open_doors
from sim.lines import LineServer, Presence
from sim.world import World
from sim.world_file import BenchFile, WorldFile, read_bench

log = logging.getLogger("sim")
_STARTING_S = 30.0
_ENDING_S = 15.0


def main(arguments: list[str] | None = None) -> int:
    """Run a world until it is idle; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sim", description="the simulated laboratory of a bench file")
    parser.add_argument("bench", type=Path, help="a *.bench.toml with a [world]")
    parser.add_argument("--seed", type=int, help="what chance decides; the world file's by default")
    parser.add_argument("--idle-s", type=float, default=60.0, help="end when nobody was there for so long (60)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="sim: %(message)s")
    try:
        bench, world_file = read_bench(options.bench)
        lock = registry.claim(bench.name)
        if lock is None:
            return _point_to_the_living(bench.name)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # through what tidies up
        with lock:
            _live(bench, world_file, options.seed, options.idle_s)
    except SimulationError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _point_to_the_living(name: str) -> int:
    info = registry.wait_for(name, _STARTING_S)
    if info is None:
        raise SimulationError(f"a process holds the world of {name!r} but does not answer")
    print(json.dumps(info), flush=True)
    return 0


def _live(bench: BenchFile, world_file: WorldFile, seed: int | None, idle_s: float) -> None:
    clock = RealClock() if bench.world.clock == "real" else VirtualClock()
    world = World(bench.name, world_file, seed, clock)
    memory = registry.memory_path(bench.name)
    presence = Presence()
    servers = {
        "devices": LineServer(DevicesDoor(world, memory).answer, presence),
        "clock": LineServer(ClockDoor(world).answer, presence),
    }
    instruments = open_doors(world, presence)
    servers["test"] = LineServer(TestDoor(world, lambda: _connections(servers, instruments)).answer, presence)
    for server in servers.values():
        server.start()
    for door in instruments.values():
        door.start()
    info = {
        "ready": True,
        "bench": bench.name,
        "pid": os.getpid(),
        "seed": world.seed,
        **{name: server.address for name, server in servers.items()},
        "doors": {name: door.address for name, door in instruments.items()},
    }
    registry.publish(info)
    warming = threading.Thread(target=_warm_up, args=(world,), daemon=True)
    try:
        print(json.dumps(info), flush=True)
        warming.start()
        while presence.idle_s() < idle_s:
            time.sleep(min(0.2, idle_s))
    finally:
        registry.withdraw(bench.name)
        for server in servers.values():
            server.shutdown()
        for door in instruments.values():
            door.shutdown()
        with suppress(OSError):  # Windows keeps a mapped file until its process has ended
            memory.unlink()
        if warming.is_alive():  # torch aborts a process that ends while it computes
            warming.join(_ENDING_S)


def _connections(servers: dict[str, LineServer], instruments: dict[str, InstrumentDoor]) -> dict[str, int]:
    return {
        **{name: server.guests for name, server in servers.items()},
        **{name: door.connections for name, door in instruments.items()},
    }


def _warm_up(world: World) -> None:
    """Make the blank pattern's PSFs ready before anybody asks for light."""
    world.optics.transfer(world.shown("slm"))


if __name__ == "__main__":
    sys.exit(main())
