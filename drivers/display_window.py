"""The window's own process, `python -m drivers.display_window`: pictures on the whole of one screen.

`drivers.display_process` starts it, writes pixels into a file that both have mapped, and sends lines of JSON; each is
answered by one, with its number, when it has been done. The end of its input ends it. It is a process of its own
because Qt wants a main thread, and so that nothing that its holder does holds up the window, or the window it.
"""

from __future__ import annotations

import json
import mmap
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

from PySide6.QtGui import QBackingStore, QGuiApplication, QImage, QScreen

from drivers.claim import claim
from drivers.display_canvas import Canvas, Refused, find_screen, monitor, said_screens, screens
from labonn.errors import InstrumentError

_TURN_S: Final = 0.01
_FORMATS: Final = {1: QImage.Format.Format_Grayscale8, 3: QImage.Format.Format_RGB888}

Reply = dict[str, Any]


class Showing:
    """One screen, its window, and the pictures that were loaded ahead.

    Parameters
    ----------
    app
        Qt.
    order
        What `drivers.display_process` sends first: `screen`, `allow_primary`, `channels` (1: grey, 3: red, green and
        blue of each pixel), `wait_for_refresh`, `memory` and `slots` (the file of pixels, how many pictures it holds),
        `locks` (the folder of locks).
    """

    def __init__(self, app: QGuiApplication, order: dict[str, Any]) -> None:
        self._channels = int(order["channels"])
        self._wait_for_refresh = bool(order["wait_for_refresh"])
        self._loaded: list[tuple[QImage, QBackingStore | None]] = []  # each as it came, and painted ahead
        self._returns = -1  # coming for the first time is no return
        screen = find_screen(app, order["screen"])
        self._name = screen.name()
        if screen == app.primaryScreen() and not order["allow_primary"]:
            raise Refused(
                "config",
                f"screen = {order['screen']!r}: is the primary one, where the operator's desktop is; name another"
                f" ({said_screens(app)}), or say allow_primary = true if the desktop may be covered",
            )
        session = os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY") or ""
        self._lock = claim("screen", f"{self._name}{session}", Path(order["locks"]))
        self._canvas: Canvas | None = None
        self._appearing = False  # which lets Qt's events in, this one's own among them
        self._size = self._appear(screen).size_px()
        height, width = self._size
        with Path(order["memory"]).open("r+b") as file:
            file.truncate(int(order["slots"]) * height * width * self._channels)
            self._memory = mmap.mmap(file.fileno(), 0)
        app.screenRemoved.connect(self._screen_left)
        app.screenAdded.connect(self._screen_came)

    def describe(self, _: Reply) -> Reply:
        """Say what it shows on."""
        canvas = self._there()
        return {
            "height": self._size[0],
            "width": self._size[1],
            "screen": self._name,
            "monitor": monitor(canvas.screen()),
            "refresh_hz": canvas.screen().refreshRate(),
            "waits_for_refresh": canvas.waits_for_refresh,
            "platform": QGuiApplication.platformName(),
            "returns": self._returns,
        }

    def show(self, request: Reply) -> Reply:
        """Show what is in a slot, or what was loaded ahead under a number."""
        canvas = self._there()
        picture = self._loaded[request["number"]] if "number" in request else (self._image(request["slot"]), None)
        canvas.draw(*picture)
        QGuiApplication.processEvents()
        if self._canvas is not canvas:
            self._there()  # says that it has gone, if it has
            raise Refused("gone", f"the screen {self._name!r} went and came while a picture was shown on it")
        return {}

    def load(self, request: Reply) -> Reply:
        """Keep what is in a slot, and say under which number."""
        picture = self._image(request["slot"]).copy()
        painted = self._there().painted(picture)
        if painted is None:
            picture = picture.convertToFormat(QImage.Format.Format_RGB32)
        self._loaded.append((picture, painted))
        return {"number": len(self._loaded) - 1}

    def forget(self, _: Reply) -> Reply:
        """Let go of what was loaded."""
        self._loaded.clear()
        return {}

    def _image(self, slot: int) -> QImage:
        height, width = self._size
        begin = slot * height * width * self._channels
        pixels = memoryview(self._memory)[begin : begin + height * width * self._channels]
        return QImage(pixels, width, height, width * self._channels, _FORMATS[self._channels])

    def _there(self) -> Canvas:
        """Give the window, over the whole of its screen, or refuse."""
        screen = self._screen()
        if screen is None:
            self._let_go()
            known = ", ".join(one.name() for one in QGuiApplication.screens())
            raise Refused("gone", f"the screen {self._name!r} has gone (asleep, unplugged, off); there are: {known}")
        canvas = self._appear(screen)
        if canvas.geometry() != screen.geometry():
            canvas.cover(screen)  # a screen beside it came or went, and everything moved
        if canvas.size_px() != self._size:
            old, new = (f"{height} x {width}" for height, width in (self._size, canvas.size_px()))
            raise Refused("failed", f"the screen {self._name!r} had {old} px and has {new} now; open the bench again")
        return canvas

    def _screen(self) -> QScreen | None:
        return next((one for one in QGuiApplication.screens() if one.name() == self._name), None)

    def _appear(self, screen: QScreen) -> Canvas:
        if self._canvas is not None and self._canvas.screen() == screen:
            return self._canvas
        self._let_go()
        self._appearing = True
        try:
            canvas = self._canvas = Canvas(screen, wait_for_refresh=self._wait_for_refresh)
        finally:
            self._appearing = False
        canvas.screenChanged.connect(self._screen_changed)
        self._loaded = [(picture, canvas.painted(picture)) for picture, _ in self._loaded]
        self._returns += 1
        return canvas

    def _let_go(self) -> None:
        canvas, self._canvas = self._canvas, None
        if canvas is not None:
            canvas.destroy()

    def _screen_left(self, screen: QScreen) -> None:
        # Left alone, Qt would move the window to the operator's screen.
        if screen.name() == self._name:
            self._let_go()

    def _screen_changed(self, screen: QScreen) -> None:
        if screen.name() != self._name:
            self._let_go()

    def _screen_came(self, screen: QScreen) -> None:
        if screen.name() == self._name and not self._appearing:
            self._appear(screen)


def main() -> int:
    """Show one screen's pictures until the input ends; or list the screens."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that holds the bench
    app = QGuiApplication(["labonn"])
    app.setQuitOnLastWindowClosed(False)
    order = json.loads(sys.stdin.buffer.readline())
    if order.get("list"):
        return 0 if _answered(0, lambda: {"screens": screens(app)}) else 1
    held: list[Showing] = []

    def open_it() -> Reply:
        held.append(Showing(app, order))
        return held[0].describe({})

    if not _answered(0, open_it):
        return 1
    showing = held[0]
    operations = {"show": showing.show, "load": showing.load, "forget": showing.forget, "describe": showing.describe}

    lines: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    while line := _next(lines, app):
        request = json.loads(line)
        _answered(request["id"], partial(operations[request["op"]], request))
    return 0


def _read(lines: SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        lines.put(line)
    lines.put(b"")


def _next(lines: SimpleQueue[bytes], app: QGuiApplication) -> bytes:
    """Give the next line; Qt has its turns meanwhile, which costs a picture less time than a signal of Qt's would."""
    while True:
        try:
            return lines.get(timeout=_TURN_S)
        except Empty:
            app.processEvents()


def _answered(number: Any, act: Callable[[], Reply]) -> bool:
    """Do something and answer; say whether it could be done."""
    try:
        reply = {"ok": True, **act()}
    except Refused as refused:
        reply = {"ok": False, "kind": refused.kind, "error": str(refused)}
    except InstrumentError as error:
        reply = {"ok": False, "kind": "failed", "error": str(error)}
    except Exception as error:  # noqa: BLE001 - the edge of the process: its holder is told, and decides
        reply = {"ok": False, "kind": "failed", "error": f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps({"id": number, **reply}) + "\n")
    sys.stdout.flush()
    return bool(reply["ok"])


if __name__ == "__main__":
    code = main()
    # Not sys.exit: it would wait for the thread that waits for the holder's next line.
    os._exit(code)
