"""A window that covers one screen, pixel for pixel; and the screens that there are. For the window's own process."""

from __future__ import annotations

import time
from typing import Any, Final

from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import (
    QBackingStore,
    QCloseEvent,
    QExposeEvent,
    QGuiApplication,
    QImage,
    QOpenGLContext,
    QPainter,
    QRegion,
    QScreen,
    QSurface,
    QSurfaceFormat,
    QWindow,
)
from PySide6.QtOpenGL import QOpenGLPaintDevice

_APPEAR_S: Final = 5.0
# Window systems that Qt hands the whole of a picture each time it is told; Wayland's may forget one that it had.
_SHOW_AGAIN: Final = ("xcb", "windows")


class Refused(Exception):
    """What was asked for cannot be done; `kind` says why: "config", "gone" or "failed"."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Canvas(QWindow):
    """The window, black to begin with.

    Parameters
    ----------
    screen
        What it covers.
    wait_for_refresh
        Whether drawing waits until the screen is refreshed, where OpenGL is there to tell.
    """

    def __init__(self, screen: QScreen, *, wait_for_refresh: bool) -> None:
        super().__init__()
        self._context: QOpenGLContext | None = None
        self._store: QBackingStore | None = None
        self._painted: QBackingStore | None = None
        if wait_for_refresh:
            self._prepare_opengl()
        if self._context is None:
            self._store = QBackingStore(self)
        self.setTitle("labonn")
        self.setFlags(
            Qt.WindowType.FramelessWindowHint
            | Qt.WindowType.WindowStaysOnTopHint
            | Qt.WindowType.WindowDoesNotAcceptFocus
        )
        self.setCursor(Qt.CursorShape.BlankCursor)
        self._picture = QImage(1, 1, QImage.Format.Format_RGB32)
        self.cover(screen)
        self._picture = QImage(self.size_px()[1], self.size_px()[0], QImage.Format.Format_RGB32)
        self._picture.fill(Qt.GlobalColor.black)
        self.draw(self._picture)

    @property
    def waits_for_refresh(self) -> bool:
        """Whether `draw` returns with a refresh of the screen."""
        return self._context is not None and self._context.format().swapInterval() == 1

    def cover(self, screen: QScreen) -> None:
        """Cover the whole of a screen, one pixel of the window on one of the screen, or refuse."""
        self.setScreen(screen)
        self.setGeometry(screen.geometry())
        self.showFullScreen()
        until = time.monotonic() + _APPEAR_S
        while not (self.isExposed() and self.geometry() == screen.geometry()):
            if time.monotonic() > until:
                raise Refused(
                    "failed",
                    f"the window does not cover the screen {screen.name()!r}: it is {where(self.geometry())}, the"
                    f" screen {where(screen.geometry())}; take away what keeps windows from it (a panel, a dock)",
                )
            QGuiApplication.processEvents()
        ratio = self.devicePixelRatio()
        if ratio != round(ratio):
            raise Refused(
                "config",
                f"the system scales the screen {screen.name()!r} by {ratio:g}, so that no picture is shown pixel for"
                " pixel; set its scale to 100 % in the system's display settings",
            )

    def size_px(self) -> tuple[int, int]:
        """Return height and width in the screen's own pixels."""
        ratio = round(self.devicePixelRatio())
        return self.height() * ratio, self.width() * ratio

    def painted(self, picture: QImage) -> QBackingStore | None:
        """Paint a picture ahead, for `draw`, which has half of the work then; None where that cannot be."""
        if self._store is None or QGuiApplication.platformName() not in _SHOW_AGAIN:
            return None
        store = QBackingStore(self)
        store.resize(self.size())
        self._paint_into(store, picture)
        return store

    def draw(self, picture: QImage, painted: QBackingStore | None = None) -> None:
        """Show a picture; returns when the window system has it, or the screen was refreshed with it.

        Parameters
        ----------
        picture
            What is shown, in pixels of the screen.
        painted
            What `painted` gave for it, if anything.
        """
        self._picture, self._painted = picture, painted
        if not self.isExposed():
            return
        if self._store is not None:
            if painted is None:
                if self._store.size() != self.size():
                    self._store.resize(self.size())
                self._paint_into(self._store, picture)
            (painted or self._store).flush(self._whole())
            QGuiApplication.sync()
            return
        ratio = self.devicePixelRatio()
        picture.setDevicePixelRatio(ratio)
        assert self._context is not None
        self._context.makeCurrent(self)
        device = QOpenGLPaintDevice(self.size() * ratio)
        device.setDevicePixelRatio(ratio)
        _paint(QPainter(device), picture)
        self._context.swapBuffers(self)
        self._context.functions().glFinish()

    def _whole(self) -> QRegion:
        return QRegion(0, 0, self.width(), self.height())

    def _paint_into(self, store: QBackingStore, picture: QImage) -> None:
        picture.setDevicePixelRatio(self.devicePixelRatio())
        store.beginPaint(self._whole())
        _paint(QPainter(store.paintDevice()), picture)
        store.endPaint()

    def exposeEvent(self, event: QExposeEvent) -> None:  # noqa: N802 - Qt's name
        """Show the picture again where something had covered it."""
        self.draw(self._picture, self._painted)

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """Stay: only its holder closes it."""
        event.ignore()

    def _prepare_opengl(self) -> None:
        wanted = QSurfaceFormat()
        wanted.setSwapInterval(1)
        context = QOpenGLContext()
        context.setFormat(wanted)
        if context.create():
            self.setSurfaceType(QSurface.SurfaceType.OpenGLSurface)
            self.setFormat(wanted)
            self._context = context


def find_screen(app: QGuiApplication, wanted: str) -> QScreen:
    """Find a screen by its name, or its monitor's model or serial number, or refuse."""
    found = [one for one in app.screens() if wanted in (one.name(), one.model(), one.serialNumber())]
    if len(found) == 1:
        return found[0]
    said = "there is no such screen" if not found else f"{len(found)} screens are called so"
    raise Refused("config", f"screen = {wanted!r}: {said}; there are: {said_screens(app)}")


def said_screens(app: QGuiApplication) -> str:
    """List the screens for people."""
    primary = app.primaryScreen()
    return "; ".join(
        f"{one.name()!r} {where(one.geometry())}{', the primary one' if one == primary else ''}"
        for one in app.screens()
    )


def screens(app: QGuiApplication) -> list[dict[str, Any]]:
    """List the screens for programs."""
    return [
        {
            "name": one.name(),
            "monitor": monitor(one),
            "height": round(one.geometry().height() * one.devicePixelRatio()),
            "width": round(one.geometry().width() * one.devicePixelRatio()),
            "refresh_hz": one.refreshRate(),
            "primary": one == app.primaryScreen(),
        }
        for one in app.screens()
    ]


def monitor(screen: QScreen) -> str:
    """Say what the monitor calls itself: maker, model, serial number where it has them."""
    return " ".join(filter(None, (screen.manufacturer(), screen.model(), screen.serialNumber())))


def where(rectangle: QRect) -> str:
    """Say how large a rectangle is, and where."""
    return f"{rectangle.height()} x {rectangle.width()} px at ({rectangle.left()}, {rectangle.top()})"


def _paint(painter: QPainter, picture: QImage) -> None:
    painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Source)
    painter.drawImage(0, 0, picture)
    painter.end()
