"""A server that answers lines: one line in, one line out, on the loopback interface only."""

import logging
import socketserver
import threading
import time
from collections.abc import Callable
from typing import cast

LONGEST_LINE = 1 << 16
log = logging.getLogger(__name__)


class Presence:
    """Whether anybody has been there lately; shared by all doors of a world."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._guests = 0
        self._last = time.monotonic()

    def comes(self) -> None:
        """Somebody has connected."""
        with self._lock:
            self._guests += 1
            self._last = time.monotonic()

    def goes(self) -> None:
        """Somebody has gone."""
        with self._lock:
            self._guests -= 1
            self._last = time.monotonic()

    def is_heard(self) -> None:
        """Somebody has said something on a line on which nobody comes or goes."""
        with self._lock:
            self._last = time.monotonic()

    def idle_s(self) -> float:
        """For how long nobody has been connected."""
        with self._lock:
            return 0.0 if self._guests else time.monotonic() - self._last


class LineServer(socketserver.ThreadingTCPServer):
    """Answers each line with what `answer` returns; says nothing where it returns None.

    Parameters
    ----------
    answer
        Gets a line without its end, must not raise.
    presence
        Told who comes and goes.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 32

    def __init__(self, answer: Callable[[str], str | None], presence: Presence) -> None:
        self.answer = answer
        self.presence = presence
        self.guests = 0
        self.counting = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Guest)

    @property
    def address(self) -> str:
        """Host and port."""
        host, port = self.server_address[:2]
        return f"{host if isinstance(host, str) else host.decode()}:{port}"

    def start(self) -> None:
        """Serve from now on, in a thread."""
        threading.Thread(target=self.serve_forever, args=(0.2,), name=f"door {self.address}", daemon=True).start()


class _Guest(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    wbufsize = -1

    def handle(self) -> None:
        server = cast("LineServer", self.server)
        server.presence.comes()
        with server.counting:
            server.guests += 1
        try:
            self._talk(server)
        except OSError as error:  # the other side has gone: nobody is left to be told
            log.info("a client has gone: %s", error)
        finally:
            with server.counting:
                server.guests -= 1
            server.presence.goes()

    def finish(self) -> None:
        try:
            super().finish()
        except OSError as error:
            log.info("a client has gone: %s", error)

    def _talk(self, server: LineServer) -> None:
        while line := self.rfile.readline(LONGEST_LINE + 1):
            if len(line) > LONGEST_LINE:
                self._say(server.answer("") or "")
                return
            reply = server.answer(line.decode("utf-8", "replace").strip("\r\n"))
            if reply is not None:
                self._say(reply)

    def _say(self, reply: str) -> None:
        self.wfile.write(reply.encode() + b"\n")
        self.wfile.flush()
