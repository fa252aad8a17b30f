"""Displays and SLMs that are a second monitor: a window over the whole of one screen, in a process of its own.

Levels arrive on the screen as they are: nothing scales them, and no colour profile is applied. What stands behind the
window (the graphics card's gamma table, the monitor's own picture modes) is the operator's to switch off:
docs/instruments/display.md.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from drivers.display_process import ScreenGone, WindowProcess, check_installed
from labonn.config import Frozen
from labonn.errors import ConfigError
from labonn.instruments import SLM, Display, DisplayTable, InstrumentTable, Modulator, SLMTable
from labonn.instruments.lock import lock_folder

logger = logging.getLogger(__name__)

_SLOTS: Final = 2  # one picture is on the screen while the next is written
_RETRY_S: Final = 0.1
_ITS_PART: Final = 0.9
_CHANNELS: Final = {"red": 0, "green": 1, "blue": 2}


class ScreenTable(Frozen):
    """Which screen, and how pixels are sent to it."""

    screen: str = Field(min_length=1, description="its name, or its monitor's model or serial number")
    size_px: tuple[PositiveInt, PositiveInt] | None = Field(
        None, description="height and width of the panel; a screen of another size is refused, since it would be scaled"
    )
    levels: Literal["grey", "red", "green", "blue", "rgb"] = Field(
        "grey",
        description="which of a pixel's colours carry its level; rgb: three planes, one below another in a picture",
    )
    allow_primary: bool = Field(False, description="whether it may cover the screen of the operator's desktop")
    wait_for_refresh: bool = Field(True, description="whether showing waits for the screen's next refresh")
    reconnect_ms: float = Field(3_000.0, ge=0, description="how long a screen that has gone is waited for")


class WindowDisplayTable(ScreenTable, DisplayTable):
    """The table of a screen that shows pictures."""


class WindowSLMTable(ScreenTable, SLMTable):
    """The table of a phase SLM that is a screen."""


class Window(Modulator):
    """What display and SLM have in common: a screen, its window, and pictures that are loaded ahead."""

    table: Any
    _process: WindowProcess | None = None
    _memory: NDArray[np.uint8]
    _slot = 0

    def preload(self, pictures: Iterable[NDArray[np.floating[Any]]]) -> int:
        """Load pictures into the window's process, in place of those before; they are numbered from 0.

        Parameters
        ----------
        pictures
            What `show` takes.

        Returns
        -------
        How many there are.

        Raises
        ------
        ValueError
            If one of them is not what `show` takes.
        """
        self._call("forgetting the pictures before", lambda: self._ask("forget"))
        self._loaded = 0
        for picture in pictures:
            self._load(self.levels_of(picture))
            self._loaded += 1
        return self._loaded

    def show_preloaded(self, number: int, *, wait: bool = True) -> None:
        """Show a picture that was loaded ahead and, unless told otherwise, wait until it has settled.

        Raises
        ------
        ValueError
            If there is no picture of that number.
        InstrumentError
            If the screen does not take it.
        """
        if not 0 <= number < self._loaded:
            raise ValueError(f"{self}: picture {number} was not loaded; there are {self._loaded}, from 0")
        self._act(f"showing picture {number}", lambda: self._show(number=number))
        if wait:
            self.site.clock.sleep_ms(self.settle_ms)

    def _load(self, levels: NDArray[np.uint8]) -> None:
        self._call("loading a picture", lambda: self._ask("load", slot=self._written(levels)))

    def get_ready(self) -> None:
        """Check that Qt is there."""
        check_installed()

    def _connect_hw(self) -> None:
        self._loaded = 0
        self._folder = tempfile.TemporaryDirectory(prefix="labonn-window-")
        memory = Path(self._folder.name) / "pixels"
        memory.touch()
        locks = lock_folder()
        locks.mkdir(parents=True, exist_ok=True)
        self._channels = 1 if self.table.levels == "grey" else 3
        order = {
            "screen": self.table.screen,
            "allow_primary": self.table.allow_primary,
            "channels": self._channels,
            "wait_for_refresh": self.table.wait_for_refresh,
            "memory": str(memory),
            "slots": _SLOTS,
            "locks": str(locks),
        }
        try:
            self._process = WindowProcess(order)
        except ConfigError as error:
            raise ConfigError(f"{self}: {error}") from error
        opened = self._process.opened
        height, width = opened["height"], opened["width"]
        shape = (_SLOTS, height, width) if self._channels == 1 else (_SLOTS, height, width, self._channels)
        self._memory = np.memmap(memory, np.uint8, "r+", shape=shape)
        if self.table.size_px not in (None, (height, width)):
            self._disconnect_hw()
            raise ConfigError(
                f"{self}: size_px = {list(self.table.size_px)}: the screen {opened['screen']!r} has {height} x {width}"
                " px, so the panel would be sent a picture that it has to scale; set the screen to the panel's own"
                " resolution"
            )
        if self.table.wait_for_refresh and not opened["waits_for_refresh"]:
            logger.warning(
                "%s: nothing tells when the screen %r is refreshed: it is not waited for", self, opened["screen"]
            )

    def _disconnect_hw(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.stop()
            del self._memory  # Windows does not delete a file that is mapped
        self._folder.cleanup()

    def _identify_hw(self) -> str:
        found = self._ask("describe")
        monitor = found["monitor"] or "unnamed monitor"
        return (
            f"screen {found['screen']}: {monitor}, {found['height']} x {found['width']} px, {found['refresh_hz']:g} Hz"
        )

    def _settings_hw(self) -> dict[str, Any]:
        return {key: value for key, value in self._ask("describe").items() if key not in ("id", "ok")}

    def _shape_hw(self) -> tuple[int, int]:
        _, height, width = self._memory.shape[:3]
        return (3 * height if self.table.levels == "rgb" else height), width

    def _show_hw(self, levels: NDArray[np.uint8]) -> None:
        self._show(slot=self._written(levels))

    def _show(self, **what: int) -> None:
        """Show, once the screen is there; it may come back."""
        patience_ms = min(self.table.reconnect_ms, _ITS_PART * self.table.timeout_ms)
        until = time.monotonic() + patience_ms / 1e3
        missed = False
        while True:
            try:
                self._ask("show", **what)
            except ScreenGone:
                if time.monotonic() > until:
                    raise
                missed = True
                time.sleep(_RETRY_S)
            else:
                break
        if missed:
            logger.warning("%s: its screen had gone and has come back", self)

    def _written(self, levels: NDArray[np.uint8]) -> int:
        """Write levels where the window reads them; gives the slot."""
        self._slot = (self._slot + 1) % _SLOTS
        memory = self._memory[self._slot]
        if self.table.levels == "grey":
            memory[:] = levels
        elif self.table.levels == "rgb":
            memory[:] = np.moveaxis(levels.reshape(3, *memory.shape[:2]), 0, -1)
        else:
            memory[..., _CHANNELS[self.table.levels]] = levels
        return self._slot

    def _ask(self, op: str, **fields: Any) -> dict[str, Any]:
        assert self._process is not None
        # Somewhat less than its own caller waits, so that the reason is heard.
        return self._process.ask(op, _ITS_PART * self.table.timeout_ms / 1e3, **fields)


class WindowDisplay(Window, Display):
    """A display that is a screen of this computer."""

    table_model: ClassVar[type[InstrumentTable]] = WindowDisplayTable


class WindowSLM(Window, SLM):
    """A phase SLM that is a screen of this computer."""

    table_model: ClassVar[type[InstrumentTable]] = WindowSLMTable


INSTRUMENTS = {"display": WindowDisplay, "slm": WindowSLM}
