"""Frames of one image after another, taken in a thread of their own, a few ahead of whoever looks at them.

While a frame is looked at and recorded, the next images are shown, settle and are exposed. Where the camera is
triggered by software, the next image is shown as soon as the exposure is over, and settles while the frame is read out;
else when the frame has arrived.
"""

import sys
import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labonn.capture.scene import levels_of_scene, plain_scene
from labonn.capture.sequential import Shown
from labonn.errors import InstrumentError
from labonn.instruments import Bench

AHEAD = 3
"""How many frames may lie waiting: they are what memory is taken by."""
# Waits are cut into slices because Windows delivers Ctrl-C only between them.
_SLICE_S = 0.2
_ENDING_S = 2.0
# Between threads of Python, while images are shown: the thread that keeps the time must not wait for one that computes.
_SWITCH_S = 1e-4

Frame = NDArray[np.uint16]


class Screen:
    """The display, which settles while other things are done."""

    def __init__(self, bench: Bench, shown: Shown) -> None:
        self._bench = bench
        self.shown = shown
        self._shown_s = 0.0

    def show(self, index: int) -> None:
        """Show an image, without waiting."""
        self.load(index)
        self.show_loaded()

    def load(self, index: int) -> None:
        """Send an image to the display, which goes on showing another."""
        self._bench.display.load_levels(levels_of_scene(self.shown[index], self._bench))

    def show_loaded(self) -> None:
        """Show the image that was loaded, without waiting."""
        self._shown_s = self._bench.clock.moment_of(self._bench.display.show_loaded)

    def now_s(self) -> float:
        """The bench's clock."""
        return self._bench.clock.now_s()

    def blacken(self) -> None:
        """Show black, and wait."""
        black = plain_scene(0.0, self._bench)
        self._shown_s = self._bench.clock.moment_of(lambda: self._bench.display.show(black, wait=False))
        self.wait()

    def wait(self) -> None:
        """Wait until what is shown has settled; whatever was done meanwhile counts."""
        self._bench.clock.sleep_until_s(self._shown_s + self._bench.display.settle_ms / 1e3)


@dataclass(frozen=True)
class Taken:
    """A frame that was taken while an image was shown, or what the camera failed with."""

    frame: Frame | None
    error: BaseException | None
    taken_s: float
    """The bench's clock when it had arrived."""
    steady: bool
    """Whether the shutter was left alone meanwhile: a run may be paused, and dark, at any moment."""

    def result(self) -> Frame:
        """Give the frame, or raise what the camera failed with."""
        if self.error is not None:
            raise self.error
        assert self.frame is not None
        return self.frame


class Ahead:
    """Frames of the images from `first` on, in order, the shutter open; begins at once.

    Parameters
    ----------
    bench
        An open bench.
    screen
        The images.
    first
        The first of them.
    """

    def __init__(self, bench: Bench, screen: Screen, first: int) -> None:
        self._bench = bench
        self._screen = screen
        self._changed = threading.Condition()
        self._taken: deque[Taken] = deque()
        self._free = AHEAD
        self._stopped = False
        self._thread = threading.Thread(target=self._run, args=(first,), name="captures ahead", daemon=True)
        self._thread.start()

    def next(self) -> Taken:
        """Give the frame of the next image, when it is there."""
        with self._changed:
            self._free += 1
            self._changed.notify_all()
            while not self._taken:
                if not self._thread.is_alive() and not self._taken:
                    raise InstrumentError(f"{self._bench.camera}: no more frames are taken; capture again")
                self._changed.wait(_SLICE_S)
            return self._taken.popleft()

    def stop(self, *, wait: bool = True) -> None:
        """Take no more frames, and unless told otherwise wait until none is under way."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if wait:
            self._thread.join(_ENDING_S + self._bench.camera.exposure_ms / 1e3)

    def _run(self, first: int) -> None:
        count = len(self._screen.shown)
        shown = first
        following: Future[None]

        def show_next() -> None:
            nonlocal shown, following
            if shown + 1 < count and not self._stopped:
                following.result()
                self._screen.show_loaded()
                shown += 1
                following = prepare()

        def prepare() -> Future[None]:
            return worker.submit(self._screen.load, min(shown + 1, count - 1))

        usual_s = sys.getswitchinterval()
        sys.setswitchinterval(min(usual_s, _SWITCH_S))
        try:
            with ThreadPoolExecutor(1, thread_name_prefix="next picture") as worker:
                self._screen.show(first)
                following = prepare()
                with closing(self._exposures(count - first, show_next)) as exposures:
                    for _ in range(first, count):
                        if not self._is_wanted():
                            return
                        self._screen.wait()
                        moves = self._bench.shutter.moves
                        frame = next(exposures)
                        taken_s = self._screen.now_s()
                        self._give(Taken(frame, None, taken_s, steady=moves == self._bench.shutter.moves))
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits for the frame
            self._give(Taken(None, error, 0.0, steady=True))
        finally:
            sys.setswitchinterval(usual_s)

    def _exposures(self, count: int, exposed: Callable[[], None]) -> Generator[Frame, None, None]:
        camera = self._bench.camera
        if camera.trigger == "software":
            for one in camera.frames(count, exposed=exposed):
                yield one.pixels
            return
        while True:
            frame = camera.snap()
            exposed()
            yield frame

    def _is_wanted(self) -> bool:
        """Wait until there is room for another frame; False where no more are wanted."""
        with self._changed:
            while not self._stopped and not self._free:
                self._changed.wait(_SLICE_S)
            self._free -= 1
            return not self._stopped

    def _give(self, taken: Taken) -> None:
        with self._changed:
            self._taken.append(taken)
            self._changed.notify_all()
