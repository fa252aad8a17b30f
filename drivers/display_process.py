"""The holder's side of a display window: starting its process, and asking it, within a time limit."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from importlib.util import find_spec
from typing import IO, Any, Final

from labonn.errors import ConfigError, InstrumentError

START_S: Final = 30.0
_END_S: Final = 3.0
# What would have Qt scale pictures, or look for its plug-ins in another package's folder (OpenCV's sets it).
_NOT_FOR_IT: Final = (
    "QT_SCALE_FACTOR",
    "QT_SCREEN_SCALE_FACTORS",
    "QT_AUTO_SCREEN_SCALE_FACTOR",
    "QT_DEVICE_PIXEL_RATIO",
    "QT_PLUGIN_PATH",
    "QT_QPA_PLATFORM_PLUGIN_PATH",
)


class ScreenGone(InstrumentError):
    """The screen is not there at present."""


class WindowProcess:
    """A window's process, from its start to its end.

    Parameters
    ----------
    order
        What it is to do: see `drivers.display_window`.

    Raises
    ------
    ConfigError
        If Qt is not installed, there is no graphical session, or what the order names is not there.
    InstrumentError
        If it does not start, or another process has the screen.
    """

    def __init__(self, order: dict[str, Any]) -> None:
        check_installed()
        self._number = 0
        # A file and not a pipe: nobody has to read it for it not to fill up.
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        flags = 0
        if sys.platform == "win32":
            flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        self._process = subprocess.Popen(
            [sys.executable, "-m", "drivers.display_window"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env=_environment(),
            creationflags=flags,
        )
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        assert self._process.stdout is not None
        threading.Thread(target=_read, args=(self._process.stdout, self._answers), daemon=True).start()
        try:
            self._send(order)
            self.opened = self._answer(0, START_S)
        except BaseException:
            self.stop()
            raise

    def ask(self, op: str, within_s: float, **fields: Any) -> dict[str, Any]:
        """Let it do something, and wait until it has.

        Raises
        ------
        ScreenGone
            If the screen is not there at present.
        InstrumentError
            If it cannot be done, or is not done in time.
        """
        self._number += 1
        self._send({"id": self._number, "op": op, **fields})
        return self._answer(self._number, within_s)

    def stop(self) -> None:
        """End it; may be called twice."""
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_END_S)
        self._complaints.close()

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise InstrumentError(f"the window's process has ended{self._complaint()}") from error

    def _answer(self, number: int, within_s: float) -> dict[str, Any]:
        until = time.monotonic() + within_s
        while True:
            try:
                line = self._answers.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                raise InstrumentError(f"the window did not answer within {within_s:g} s") from None
            if not line:
                raise InstrumentError(f"the window's process has ended{self._complaint()}")
            reply: dict[str, Any] = json.loads(line)
            if reply["id"] == number:  # others are answers that came too late for who asked
                break
        if not reply["ok"]:
            kinds = {"config": ConfigError, "gone": ScreenGone}
            raise kinds.get(reply["kind"], InstrumentError)(reply["error"])
        return reply

    def _complaint(self) -> str:
        with contextlib.suppress(OSError, ValueError):
            self._complaints.seek(0)
            lines = self._complaints.read().decode(errors="replace").split("\n")
            if said := [line.strip() for line in lines if line.strip()]:
                return f": {said[-1]}"
        return ""


def list_screens() -> list[dict[str, Any]]:
    """List the screens of this computer, as the window system has them.

    Raises
    ------
    ConfigError
        If Qt is not installed, or there is no graphical session.
    InstrumentError
        If the window system does not answer.
    """
    process = WindowProcess({"list": True})
    process.stop()
    screens: list[dict[str, Any]] = process.opened["screens"]
    return screens


def check_installed() -> None:
    """Check that there are a window system and Qt, without loading it.

    Raises
    ------
    ConfigError
        If there are not.
    """
    if find_spec("PySide6") is None:
        raise ConfigError("driver = 'display': needs PySide6, which is not installed: pip install 'labonn[display]'")
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise ConfigError(
            "driver = 'display': there is no graphical session here: neither DISPLAY nor WAYLAND_DISPLAY is set. Log in"
            " on the computer itself, or set DISPLAY to its session (often :0)"
        )


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_IT}
    return {**kept, "QT_ENABLE_HIGHDPI_SCALING": "0"}


def _read(stdout: IO[bytes], answers: queue.SimpleQueue[bytes]) -> None:
    with stdout:
        for line in stdout:
            answers.put(line)
    answers.put(b"")
