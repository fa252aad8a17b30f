"""Two screens of an X server without a monitor, and what is really on each: read from the server's own memory."""

import mmap
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

INSTALL = (
    "apt-get install -y xvfb x11-xserver-utils libegl1 libgl1-mesa-dri libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4"
    " libxcb-image0 libxcb-keysyms1 libxcb-render-util0 libxcb-shape0"
)
_HEADER_WORDS = 25  # of an X window dump: see XWDFile.h of X11


@dataclass(frozen=True)
class Screen:
    """Where a screen lies on the X server's one large picture."""

    left: int
    top: int
    height: int
    width: int

    @property
    def geometry(self) -> str:
        """As xrandr writes it: pixels and millimetres."""
        return f"{self.width}/{self.width // 4}x{self.height}/{self.height // 4}+{self.left}+{self.top}"


DESK = Screen(0, 0, 300, 400)
SLM = Screen(400, 0, 256, 320)
SIZE = (300, 720)


class Screens:
    """The X server of a test: the screens Desk (the primary one) and SLM."""

    def __init__(self, display: str, memory: Path) -> None:
        self.display = display
        self.memory = memory
        with memory.open("rb") as file:
            self._memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        words = struct.unpack(f">{_HEADER_WORDS}I", self._memory[: 4 * _HEADER_WORDS])
        header_bytes, colours, self._line_bytes = words[0], words[19], words[12]
        assert words[11] == 32, "bits per pixel"
        self._begin = header_bytes + 12 * colours
        self._height = words[5]

    def rgb(self, screen: Screen = SLM) -> NDArray[np.uint8]:
        """Red, green and blue of every pixel of a screen, (H, W, 3)."""
        whole = np.frombuffer(self._memory, np.uint8, self._height * self._line_bytes, self._begin)
        bgrx = whole.reshape(self._height, -1, 4)
        part = bgrx[screen.top : screen.top + screen.height, screen.left : screen.left + screen.width, 2::-1]
        return part.copy()

    def level(self, screen: Screen) -> NDArray[np.uint8]:
        """Green of every pixel, (H, W): not a copy."""
        whole = np.frombuffer(self._memory, np.uint8, self._height * self._line_bytes, self._begin)
        rows, columns = (slice(screen.top, screen.top + screen.height), slice(screen.left, screen.left + screen.width))
        return whole.reshape(self._height, -1, 4)[rows, columns, 1]

    def xrandr(self, *arguments: str) -> None:
        subprocess.run(["xrandr", "--display", self.display, *arguments], check=True, stdout=subprocess.DEVNULL)

    def unplug(self, name: str = "SLM") -> None:
        self.xrandr("--delmonitor", name)

    def plug_in(self, name: str = "SLM", screen: Screen = SLM) -> None:
        self.xrandr("--setmonitor", name, screen.geometry, "none")


@contextmanager
def two_screens(slm: Screen = SLM, size: tuple[int, int] = SIZE, *, pointer: bool = False) -> Iterator[Screens]:
    """Start an X server with two screens, and name it in the environment, for as long as this lasts.

    Where it has a pointer, that stands in the middle of both together, and is drawn where no window hides it.
    """
    if not (shutil.which("Xvfb") and shutil.which("xrandr")):
        pytest.skip(f"needs an X server without a monitor: {INSTALL}")
    with tempfile.TemporaryDirectory() as folder:
        command = ["Xvfb", "-displayfd", "1", "-screen", "0", f"{size[1]}x{size[0]}x24", "-fbdir", folder]
        # Without -noreset it forgets its monitors whenever its last client leaves.
        command += ["-noreset", "-nolisten", "tcp", *([] if pointer else ["-nocursor"])]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
            try:
                assert server.stdout is not None
                display = f":{server.stdout.readline().strip()}"
                before = {name: os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")}
                os.environ["DISPLAY"] = display
                os.environ.pop("WAYLAND_DISPLAY", None)
                screens = Screens(display, Path(folder) / "Xvfb_screen0")
                screens.xrandr("--setmonitor", "Desk", DESK.geometry, "screen")
                screens.plug_in("SLM", slm)
                yield screens
            finally:
                for name, value in before.items():
                    if value is None:
                        os.environ.pop(name, None)
                    else:
                        os.environ[name] = value
                server.terminate()
