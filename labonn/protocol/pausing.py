"""Holding a run: asked for from any thread, taking effect at the run's next checkpoint, dark while it lasts."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from labonn.instruments import Shutter

# Waits are cut into slices because Windows delivers Ctrl-C only between them, and a stop must get through.
_SLICE_S = 0.2

State = Literal["running", "pausing", "paused"]


class Pause:
    """Whether a run is to be held, and whether it is."""

    def __init__(self) -> None:
        self._go_on = threading.Event()
        self._go_on.set()
        self._held = False

    @property
    def state(self) -> State:
        """``pausing`` is asked for, and not at a checkpoint yet."""
        if self._held:
            return "paused"
        return "running" if self._go_on.is_set() else "pausing"

    def ask(self) -> None:
        """Hold the run at its next checkpoint."""
        self._go_on.clear()

    def end(self) -> None:
        """Let the run go on."""
        self._go_on.set()

    def hold(self, shutter: "Shutter | None", check: Callable[[], None]) -> None:
        """Wait with the shutter closed until the run may go on, then open it again if it was open.

        Parameters
        ----------
        shutter
            The open bench's, if one is open.
        check
            Raises what ends the run instead.
        """
        lit = shutter is not None and shutter.told_open
        if shutter is not None and lit:
            shutter.close()
        self._held = True
        try:
            while not self._go_on.wait(_SLICE_S):
                check()
            check()
        finally:
            self._held = False
        if shutter is not None and lit:
            shutter.open()
