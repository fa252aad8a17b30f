"""A world's life: its doors open, it says that it is ready, and it ends when nobody has been there for a while."""

import json
import logging
import os
import threading
import time
from contextlib import suppress

from sim import registry
from sim.clock import RealClock, VirtualClock
from sim.doors import ClockDoor, DevicesDoor, TestDoor
from sim.instrument_door import InstrumentDoor
from sim.instruments import open_doors
from sim.lines import LineServer, Presence
from sim.world import World
from sim.world_file import BenchFile, WorldFile

log = logging.getLogger("sim")
_ENDING_S = 15.0


def live(bench: BenchFile, world_file: WorldFile, seed: int | None, idle_s: float) -> None:
    """Run a world until nobody has been there for `idle_s`."""
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
    world.prepare()
