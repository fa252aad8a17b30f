"""A window that Qt draws, by hand: what `instruments` compares labonn's with. A process of its own.

On the screen called SLM. Lines of its input are ``show N`` and ``ahead N``: it draws N pictures, of floating point, or
loaded ahead, and prints how many a second.
"""

import sys
import time

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QBackingStore, QGuiApplication, QImage, QPainter, QRegion, QWindow


def main() -> None:
    """Draw as it is told."""
    app = QGuiApplication([])
    screen = next(one for one in app.screens() if one.name() == "SLM")
    window = QWindow()
    window.setFlags(Qt.WindowType.FramelessWindowHint)
    window.setScreen(screen)
    window.setGeometry(screen.geometry())
    window.showFullScreen()
    while not window.isExposed():
        app.processEvents()
    height, width = window.height(), window.width()
    whole, store = QRegion(0, 0, width, height), QBackingStore(window)
    store.resize(window.size())
    rng = np.random.default_rng(0)
    pictures = [rng.random((height, width), np.float32) for _ in range(4)]

    def image(number: int) -> QImage:
        grey = np.rint(np.clip(pictures[number], 0, 1) * 255).astype(np.uint8)
        return QImage(grey.data, width, height, width, QImage.Format.Format_Grayscale8)

    def draw(picture: QImage) -> None:
        store.beginPaint(whole)
        painter = QPainter(store.paintDevice())
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Source)
        painter.drawImage(0, 0, picture)
        painter.end()
        store.endPaint()
        store.flush(whole)
        app.sync()

    ahead = [image(number).convertToFormat(QImage.Format.Format_RGB32) for number in range(4)]
    print("ready", flush=True)
    for line in sys.stdin:
        act, count = line.split()
        begin_s = time.perf_counter()
        for number in range(int(count)):
            draw(ahead[number % 4] if act == "ahead" else image(number % 4))
        print(int(count) / (time.perf_counter() - begin_s), flush=True)


if __name__ == "__main__":
    main()
