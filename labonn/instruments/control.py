"""The control channel: whoever holds a bench answers here, on the loopback interface only.

One JSON object a line, `{"op": ..., "secret": ..., "by": ...}`; the answer has `ok`, and `error` where that is false.
The secret lies in a file that its owner alone can read. `dark` needs no secret: an emergency stop has no key. Who
asked, as they say themselves, is in the run's log, and in the reason of what ends it.
"""

import json
import logging
import os
import secrets
import socket
import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

import platformdirs

from labonn.errors import Aborted, InstrumentError, LabonnError
from labonn.instruments.guard import Guard
from labonn.instruments.lock import Holder, holder_of, this_process

logger = logging.getLogger(__name__)

Operation = Literal["status", "pause", "resume", "abort", "dark"]
OPERATIONS: Final[tuple[Operation, ...]] = ("status", "pause", "resume", "abort", "dark")

_SCHEMA = 1
_LONGEST_LINE = 4096
_LONGEST_NAME = 300
_ANSWER_LIMIT_S = 30.0
_CONNECT_LIMIT_S = 2.0
_SILENT_LIMIT_S = 5.0


class NotHeld(LabonnError):
    """Nobody holds the bench, so there is nobody to ask."""


@dataclass(frozen=True)
class Door:
    """Where the holder of a bench can be reached; written down beside the bench's lock."""

    port: int
    secret_file: str


class Control:
    """What the holder of a bench lets others do, from other processes.

    Parameters
    ----------
    name
        The bench's name.
    guard
        What `abort` and `dark` trip.
    folder
        Where the secret is kept: the laboratory's own folder, or the user's where None.
    """

    def __init__(self, name: str, guard: Guard, folder: Path | None = None) -> None:
        self._name = name
        self._guard = guard
        self._folder = folder or platformdirs.user_state_path("labonn") / "control"
        self._secret = secrets.token_urlsafe(32)
        self._server: _Server | None = None
        self._lit: Callable[[], bool] = bool
        self._told: Callable[[], dict[str, Any]] = dict
        self._status: Callable[[], dict[str, Any]] = dict
        self._pause: Callable[[], None] | None = None
        self._resume: Callable[[], None] | None = None

    def attach(
        self, status: Callable[[], dict[str, Any]], pause: Callable[[], None], resume: Callable[[], None]
    ) -> None:
        """Say what is going on here, and how it is paused; each is called from another thread and must not wait."""
        self._status, self._pause, self._resume = status, pause, resume

    def tell(self, told: Callable[[], dict[str, Any]]) -> None:
        """Say how the bench is, besides what goes on there; called from another thread, and must not wait."""
        self._told = told

    def start(self, lit: Callable[[], bool]) -> Door:
        """Answer from now on; `lit` says whether the bench was told to be.

        Raises
        ------
        InstrumentError
            If there is no port, or the secret cannot be written.
        """
        self._lit = lit
        try:
            secret_file = _write_secret(self._folder, self._name, self._secret)
            self._server = _Server(self._answer)
        except OSError as error:
            raise InstrumentError(f"bench {self._name!r}: its control channel cannot be opened: {error}") from error
        threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name=f"control of {self._name}", daemon=True
        ).start()
        return Door(int(self._server.server_address[1]), str(secret_file))

    def stop(self) -> None:
        """Answer no more; may be called twice."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _answer(self, line: bytes) -> dict[str, Any] | None:
        """Answer one line; None where whoever wrote it does not speak this, and is left."""
        try:
            request = json.loads(line)
            operation, secret = request["op"], str(request.get("secret", ""))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        if operation not in OPERATIONS:
            return {"ok": False, "error": f"op {operation!r} is not one of {', '.join(OPERATIONS)}"}
        if operation != "dark" and not secrets.compare_digest(secret.encode(), self._secret.encode()):
            return {"ok": False, "error": "the secret is not the one of this bench's holder"}
        try:
            return {"ok": True, **self._do(operation, _name(request.get("by")))}
        except LabonnError as error:
            return {"ok": False, "error": str(error)}
        except Exception as error:  # whoever asks must not end the run
            logger.exception("the request %r failed", operation)
            return {"ok": False, "error": f"{type(error).__name__}: {error}"}

    def _do(self, operation: Operation, by: str) -> dict[str, Any]:
        if operation == "status":
            tripped = self._guard.error
            return {"tripped": None if tripped is None else str(tripped), **self._told(), **self._status()}
        if operation in ("abort", "dark"):
            why = "told to abort" if operation == "abort" else "told to make the bench dark"
            was_lit = self._lit()
            self._guard.trip(Aborted(f"{why} by {by}"))
            return {"dark": True, "was_lit": was_lit}
        change = self._pause if operation == "pause" else self._resume
        if change is None:
            raise InstrumentError(f"bench {self._name!r} is held by a program that cannot {operation}")
        logger.info("told to %s by %s", operation, by)
        change()
        return self._status()


def ask_holder(
    bench: str, operation: Operation, limit_s: float = _ANSWER_LIMIT_S, *, by: str | None = None
) -> dict[str, Any]:
    """Ask the process that holds a bench.

    Parameters
    ----------
    bench
        Its name.
    operation
        What it is to do.
    limit_s
        How long its answer may take.
    by
        Who asks, for the record; this process's user and command where None.

    Returns
    -------
    Its answer, without `ok`.

    Raises
    ------
    NotHeld
        If nobody holds the bench.
    InstrumentError
        If the holder does not answer, or refuses.
    """
    holder = holder_of(bench)
    if holder is None or not holder.lives:
        raise NotHeld(f"nobody holds bench {bench!r}")
    if holder.control is None:
        raise InstrumentError(f"bench {bench!r} is held by {holder}, which has no control channel")
    asking = this_process()
    request = {
        "op": operation,
        "secret": "" if operation == "dark" else _read_secret(holder),
        "by": by or f"{asking.user} ({asking.command}, process {asking.pid})",
    }
    try:
        answer = _exchange(int(holder.control["port"]), request, limit_s)
    except (OSError, ValueError) as error:
        raise InstrumentError(f"bench {bench!r} is held by {holder}, which does not answer: {error}") from error
    if not answer.pop("ok", False):
        raise InstrumentError(f"bench {bench!r}: {holder} refused to {operation}: {answer.get('error')}")
    return answer


def _name(said: object) -> str:
    """Who asks, as they say themselves, in one line."""
    name = " ".join(str(said or "").split())[:_LONGEST_NAME]
    return "".join(letter for letter in name if letter.isprintable()) or "another process"


def _exchange(port: int, request: dict[str, str], limit_s: float) -> dict[str, Any]:
    with socket.create_connection(("127.0.0.1", port), timeout=min(limit_s, _CONNECT_LIMIT_S)) as connection:
        connection.settimeout(limit_s)
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("rb") as lines:
            answer = json.loads(lines.readline())
    if not isinstance(answer, dict):
        raise ValueError(f"answered {answer!r}")
    return answer


def _read_secret(holder: Holder) -> str:
    path = Path(str((holder.control or {}).get("secret_file")))
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["secret"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InstrumentError(
            f"the secret of {holder} in {path} cannot be read: {error}; only {holder.user} can control that run"
            " (`labonn bench dark` needs no secret)"
        ) from error


def _write_secret(folder: Path, bench: str, secret: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder.absolute() / f"{bench}.json"
    beside = path.with_suffix(f".{os.getpid()}.partial")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump({"schema": _SCHEMA, "bench": bench, "pid": os.getpid(), "secret": secret}, file)
    beside.replace(path)
    return path


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, answer: Callable[[bytes], dict[str, Any] | None]) -> None:
        self.answer = answer
        super().__init__(("127.0.0.1", 0), _Guest)


class _Guest(socketserver.StreamRequestHandler):
    timeout = _SILENT_LIMIT_S

    def handle(self) -> None:
        server = cast("_Server", self.server)
        try:
            while line := self.rfile.readline(_LONGEST_LINE):
                answer = server.answer(line)
                if answer is None:
                    # A browser's request, say: whatever follows its first line must not be read as ours.
                    return
                self.wfile.write(json.dumps(answer).encode() + b"\n")
        except OSError as error:
            logger.info("whoever asked has gone: %s", error)
