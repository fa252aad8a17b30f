"""`python -m sim BENCH`: the simulated laboratory of a bench file, as a process.

When it is ready it prints one line of JSON: its name, process, seed and doors. It ends by itself when nobody has been
there for a while. A second one of the same bench prints the first one's line and leaves.
"""

import argparse
import json
import logging
import signal
import sys
from pathlib import Path

from sim import registry
from sim.errors import SimulationError
from sim.world_file import read_bench

_STARTING_S = 60.0
_SWITCH_S = 5e-5  # between threads: a thread that computes gives way to one that answers after this; Python waits 5 ms


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
            from sim.life import live  # seconds, which whoever is only pointed to the living one does not wait for

            _share_the_processor()
            live(bench, world_file, options.seed, options.idle_s)
    except SimulationError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _share_the_processor() -> None:
    """Let answers not wait for what is computed beside them, and leave the other cores to whoever uses this bench."""
    import torch

    torch.set_num_threads(1)
    sys.setswitchinterval(_SWITCH_S)


def _point_to_the_living(name: str) -> int:
    info = registry.wait_for(name, _STARTING_S)
    if info is None:
        raise SimulationError(f"a process holds the world of {name!r} but does not answer")
    print(json.dumps(info), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
