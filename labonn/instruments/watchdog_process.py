"""The watchdog's own process: `python -m labonn.instruments.watchdog_process`.

`labonn.instruments.watchdog` starts it, and kills it when the bench is closed and dark. It reads an errand, then lines:
"armed" (answered; light comes), "dark" (the shutter is closed), "alive". The end of its input is a holder that was
killed; silence is one that hangs.
"""

import json
import logging
import os
import queue
import signal
import sys
import threading
import time
from typing import Literal

from labonn.errors import BenchInUse, LabonnError
from labonn.instruments.darkness import WayToDark
from labonn.instruments.lock import holder_of, leave_note
from labonn.instruments.processes import kill
from labonn.instruments.watchdog import DARK_LIMIT_S, LIT_LIMIT_S, Errand

logger = logging.getLogger(__name__)

Reason = Literal["was killed", "hung"]

_KILL_LIMIT_S = 1.0
_RETRY_S = 0.2
_ENDING_S = 0.5
_GIVE_UP_S = 120.0


def main() -> int:
    """Watch one holder of one bench; return the exit code."""
    logging.basicConfig(level=logging.WARNING, format="labonn's watchdog: %(message)s")
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    errand = Errand.model_validate(json.loads(sys.stdin.buffer.readline()))
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    way = WayToDark(errand.bench_file, errand.doors)
    way.get_ready()
    reason = _watch(lines)
    began_s = time.monotonic()
    if reason == "hung":
        _end(errand)
    return _darken(way, errand, reason, began_s)


def _read(lines: "queue.SimpleQueue[str | None]") -> None:
    for line in sys.stdin.buffer:
        lines.put(line.decode().strip())
    lines.put(None)


def _watch(lines: "queue.SimpleQueue[str | None]") -> Reason:
    """Wait until the holder is killed or hangs."""
    limit_s = DARK_LIMIT_S
    while True:
        try:
            line = lines.get(timeout=limit_s)
        except queue.Empty:
            return "hung"
        if line is None:
            return "was killed"
        if line == "armed":
            limit_s = LIT_LIMIT_S
            print("armed", flush=True)
        elif line == "dark":
            limit_s = DARK_LIMIT_S


def _end(errand: Errand) -> None:
    """Kill the holder if it still exists: it may hold the ports, and the lock."""
    try:
        kill(errand.holder_pid, errand.holder_started_s, _KILL_LIMIT_S)
    except PermissionError as error:
        logger.warning("%s, and cannot be ended", error)


def _darken(way: WayToDark, errand: Errand, reason: Reason, began_s: float) -> int:
    failure = ""
    while time.monotonic() - began_s < _GIVE_UP_S:
        try:
            was_lit = way.make_dark()
        except BenchInUse as error:
            holder = holder_of(way.name)
            if holder is not None and holder.pid != errand.holder_pid and holder.lives:
                return 0  # it made the bench dark when it opened it, and is responsible now
            if time.monotonic() - began_s > _ENDING_S:
                _end(errand)  # it has said goodbye, and does not end
            failure = str(error)
        except LabonnError as error:
            failure = str(error)
            logger.warning("%s", error)
        else:
            found = "it was lit" if was_lit else "it was dark already"
            leave_note(
                way.name,
                f"process {errand.holder_pid} {reason}, and the watchdog made the bench dark"
                f" {time.monotonic() - began_s:.1f} s later ({found})",
            )
            return 0
        time.sleep(_RETRY_S)
    leave_note(way.name, f"process {errand.holder_pid} {reason}, and the watchdog could NOT make it dark: {failure}")
    return 3


if __name__ == "__main__":
    # Not sys.exit: it would wait for the thread that waits for the holder's next line.
    os._exit(main())
