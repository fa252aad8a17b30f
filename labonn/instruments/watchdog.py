"""The watchdog: a small process that makes the bench dark when the one that holds it is killed or hangs.

It is started before the bench is first lit and holds nothing but the way to dark: the shutter and the light, not
connected, because ports are exclusive. This process sends it a line now and then. Where the lines stop, it kills this
process if that still exists (a hung process may still hold the port), connects shutter and light, and makes them dark.
"""

import atexit
import contextlib
import json
import logging
import os
import queue
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pydantic import Field

from labonn.config import Frozen
from labonn.errors import InstrumentError

logger = logging.getLogger(__name__)

BEAT_S = 0.2
LIT_LIMIT_S = 1.2
"""A process that gives no sign of life for so long while the bench is lit is taken for hung."""
DARK_LIMIT_S = 120.0
"""The same while the shutter is closed, where only a laser behind it may be on: loading a library may take long."""

_START_LIMIT_S = 60.0
_END_LIMIT_S = 5.0
_SLICE_S = 0.2


class Errand(Frozen):
    """What the watchdog is told when it starts."""

    bench_file: Path
    holder_pid: int
    holder_started_s: float
    doors: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Of the simulated laboratory, if it is one."""


# Of benches that were closed without being proven dark: they stay until the bench is, or this process ends.
_left_behind: "list[Watchdog]" = []


@dataclass
class _Child:
    process: subprocess.Popen[bytes]
    answers: "queue.SimpleQueue[str]"


class Watchdog:
    """The holder's side of the watchdog."""

    def __init__(self, errand: Errand) -> None:
        self._errand = errand
        self._child: _Child | None = None
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._armed = False

    def watches(self, bench_file: Path) -> bool:
        """Whether it is the watchdog of this bench."""
        return self._errand.bench_file == bench_file

    def start(self) -> None:
        """Start it, without waiting until it watches.

        Raises
        ------
        InstrumentError
            If it cannot be started.
        """
        with self._lock:
            if self._child is None:
                self._child = _spawn(self._errand)
                threading.Thread(target=self._beat, name="signs of life", daemon=True).start()

    def arm(self) -> None:
        """Let it watch closely from now on, because light comes; returns when it does.

        Raises
        ------
        InstrumentError
            If there is no watchdog: without one, the bench is not lit.
        """
        with self._lock:
            if self._armed:
                return
            self.start()
            self._say("armed")
            self._expect("armed")
            self._armed = True

    def disarm(self) -> None:
        """Let it watch less closely, because it is dark."""
        with self._lock:
            if self._armed:
                self._armed = False
                with contextlib.suppress(OSError):  # one that has ended has nothing to be told
                    self._say("dark")

    def stop(self) -> None:
        """Let it end, because the bench is dark and closed; may be called twice.

        While it is armed, the bench is not proven dark: then it stays, and tries when this process ends.
        """
        with self._lock:
            if self._child is None:
                return
            if self._armed:
                _left_behind.append(self)
                return
            self._ended.set()
            process, self._child = self._child.process, None
            process.kill()
            process.wait(_END_LIMIT_S)
            assert process.stdin is not None
            with contextlib.suppress(OSError):
                process.stdin.close()

    def _say_goodbye(self) -> None:
        """Close the line, because this process ends: silence would be taken for a process that hangs."""
        self._ended.set()
        with contextlib.suppress(OSError, ValueError):
            if self._child is not None and self._child.process.stdin is not None:
                self._child.process.stdin.close()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            with self._lock:
                try:
                    self._say("alive")
                except (OSError, ValueError):  # ValueError: the line was closed, because this process ends
                    if not self._ended.is_set():
                        logger.warning("the watchdog of the bench has ended; it is started again with the next light")
                        self._child, self._armed = None, False
                    return

    def _say(self, word: str) -> None:
        if self._child is not None and self._child.process.stdin is not None:
            self._child.process.stdin.write(word.encode() + b"\n")
            self._child.process.stdin.flush()

    def _expect(self, word: str) -> None:
        assert self._child is not None
        try:
            answer = self._child.answers.get(timeout=_START_LIMIT_S)
        except queue.Empty:
            answer = ""
        if answer != word:
            self._child.process.kill()
            self._child = None
            raise InstrumentError(
                f"the watchdog of the bench did not start ({answer or 'no answer'}), so the bench is not lit:"
                " nothing would make it dark if this process were killed"
            )


def let_go_of(bench_file: Path) -> None:
    """End the watchdogs of a bench that was closed without being proven dark, and is proven dark now."""
    for watchdog in [one for one in _left_behind if one.watches(bench_file)]:
        _left_behind.remove(watchdog)
        watchdog.disarm()
        watchdog.stop()


def _leave_word() -> None:
    for watchdog in _left_behind:
        watchdog._say_goodbye()


atexit.register(_leave_word)


def _spawn(errand: Errand) -> _Child:
    command = [sys.executable, "-m", "labonn.instruments.watchdog_process"]
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    try:
        # A session of its own: what ends this process in its terminal must not end its watchdog.
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Not ours: whoever reads it would wait for the watchdog. What it has to say, it leaves as a note.
            stderr=subprocess.DEVNULL,
            start_new_session=sys.platform != "win32",
            creationflags=flags,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(errand.model_dump(mode="json")).encode() + b"\n")
        process.stdin.flush()
    except OSError as error:
        raise InstrumentError(f"the watchdog of the bench cannot be started: {error}; the bench is not lit") from error
    assert process.stdout is not None
    answers: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(process.stdout, answers), name="the watchdog's answers", daemon=True).start()
    return _Child(process, answers)


def _read(stream: IO[bytes], answers: "queue.SimpleQueue[str]") -> None:
    with stream:
        for line in stream:
            answers.put(line.decode(errors="replace").strip())
    answers.put("it has ended")
