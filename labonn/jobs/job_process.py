"""Commands of labonn as processes of their own, which are asked to stop when this one is."""

import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

from labonn.errors import Aborted, LabonnError

logger = logging.getLogger(__name__)

_STOP_LIMIT_S = 60.0
if sys.platform == "win32":
    _NEW_GROUP, _PLEASE_STOP = subprocess.CREATE_NEW_PROCESS_GROUP, signal.CTRL_BREAK_EVENT
else:
    _NEW_GROUP, _PLEASE_STOP = 0, signal.SIGTERM


class JobProcesses:
    """The jobs that go on. What they say goes to stderr."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._going_on: list[subprocess.Popen[bytes]] = []
        self._stopped = False

    def run(self, words: Sequence[str]) -> int:
        """Run ``labonn WORDS`` and wait for it; may be called from several threads.

        Returns
        -------
        Its exit code.

        Raises
        ------
        LabonnError
            If it cannot be started, or no job is to be begun any more.
        """
        command = [sys.executable, "-m", "labonn", *words]
        with self._lock:
            if self._stopped:
                raise Aborted(f"labonn {' '.join(words)}: not begun, as the daemon is asked to stop")
            try:
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno(), creationflags=_NEW_GROUP
                )
            except OSError as error:
                raise LabonnError(f"{' '.join(command)}: cannot be started: {error}") from error
            self._going_on.append(process)
        try:
            return process.wait()
        finally:
            with self._lock:
                self._going_on.remove(process)

    def stop(self) -> None:
        """Ask every job to stop, and wait: its bench is dark then, and its run closed as aborted."""
        with self._lock:
            self._stopped = True
            going_on = list(self._going_on)
        for process in going_on:
            logger.warning("process %d is asked to stop", process.pid)
            process.send_signal(_PLEASE_STOP)
        for process in going_on:
            try:
                process.wait(_STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                logger.error("process %d does not stop, and is killed; its watchdog makes the bench dark", process.pid)
                process.kill()
