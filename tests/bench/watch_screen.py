"""What is on a screen is what the simulated laboratory's display shows: `python -m tests.bench.watch_screen`.

It stands where the lens stands that looks at a real screen: it reads the X server's own memory, not what labonn sent.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from sim.link import Link
from tests.screens import Screen, Screens

_LOOK_S = 0.002
_PATIENCE_S = 10.0


def main(memory: str, world: str, left: int, top: int, height: int, width: int) -> None:
    """Look at a screen until this process is ended, and show the world each new picture."""
    screens, screen = Screens("", Path(memory)), Screen(left, top, height, width)
    link = Link("watch_screen")
    link.world = world
    shown = link.array("display")
    shown[:] = 0
    print("watching", flush=True)
    while True:
        now = screens.level(screen)
        if not np.array_equal(now, shown):
            shown[:] = now
            link.request("load", _PATIENCE_S, device="display")
            link.request("show", _PATIENCE_S, device="display")
        time.sleep(_LOOK_S)


@contextmanager
def watched(screens: Screens, screen: Screen, world: str) -> Iterator[None]:
    """Let a world see a screen while this lasts."""
    place = map(str, (screen.left, screen.top, screen.height, screen.width))
    command = [sys.executable, "-m", "tests.bench.watch_screen", str(screens.memory), world, *place]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "watching\n"
            yield
        finally:
            process.terminate()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
