"""What a protocol gives back, and how a run ends."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from labonn.errors import Aborted, InstrumentError, LabonnError, ReleaseRefused
from labonn.protocol.script import Script, last_line_in
from labonn.records import Status
from labonn.records.disk import plain


class Result(BaseModel):
    """What a protocol found: any names and values, ``Result(drift=0.2, due=False)``.

    A protocol whose gate refused returns ``Result(status="refused", reason=..., ...)``: the run ends as refused, with
    exit code 4, and its figures are kept as those of any other. ``status="failed"`` ends it with exit code 1, or with
    3 where ``exit_code=3`` says that it was an instrument. Without ``status`` the run is done.
    """

    model_config = ConfigDict(frozen=True, extra="allow", arbitrary_types_allowed=True)


@dataclass(frozen=True)
class Ending:
    """How a run ended."""

    status: Status
    exit_code: int
    reason: str | None = None


@dataclass(frozen=True)
class Outcome:
    """A run that is over."""

    run_folder: Path
    status: Status
    exit_code: int
    result: dict[str, Any]
    error: str | None
    report: Path | None
    seconds: dict[str, float]  # of each step, and "total"

    def as_json(self) -> dict[str, Any]:
        """Give the object that ``--json`` prints: the protocol's result and what the runtime adds to it."""
        own = {
            "ok": self.exit_code == 0,
            "exit_code": self.exit_code,
            "error": self.error,
            "run": self.run_folder.name,
            "status": self.status,
            "report": None if self.report is None else str(self.report),
        }
        seconds = dict(self.result.get("seconds") or {}) | {"total": round(self.seconds["total"], 3)}
        rest = {key: value for key, value in self.result.items() if key not in own}
        return {**own, **rest, "seconds": seconds}


def as_result(returned: Any) -> dict[str, Any]:
    """Take what a script's `run` returned as a mapping of names to values for JSON.

    Raises
    ------
    LabonnError
        If it is neither a mapping, a pydantic model nor None, or its ``status`` is not one that a script can give.
    """
    if returned is None:
        return {}
    if isinstance(returned, BaseModel):
        returned = returned.model_dump()
    if not isinstance(returned, Mapping):
        raise LabonnError(
            f"run() returned {type(returned).__name__}; a Result, a pydantic model or a mapping is expected"
        )
    result: dict[str, Any] = plain(returned)
    if result.get("status", "done") not in ("done", "refused", "failed"):
        raise LabonnError(
            f"run() returned status {result['status']!r}; 'done', 'refused' or 'failed' is expected, or none"
        )
    if result.get("status") == "failed" and result.get("exit_code", 1) not in (1, InstrumentError.exit_code):
        raise LabonnError(f"run() returned exit_code {result['exit_code']!r}; a failed run ends with 1 or 3")
    return result


def ending_of_result(result: Mapping[str, Any]) -> Ending:
    """Say how a run ended whose script returned."""
    if result.get("status") == "refused":
        return Ending("refused", ReleaseRefused.exit_code, result.get("reason") or "the gate refused the new release")
    if result.get("status") == "failed":
        return Ending("failed", result.get("exit_code", 1), result.get("reason") or "the protocol says that it failed")
    return Ending("done", 0)


def ending_of_error(error: BaseException, script: Script) -> Ending:
    """Say how a run ended that an exception ended."""
    reason = "\n".join([_message(error, script), *getattr(error, "__notes__", [])])
    if isinstance(error, (KeyboardInterrupt, Aborted)):
        return Ending("aborted", Aborted.exit_code, reason)
    if isinstance(error, ReleaseRefused):
        return Ending("refused", error.exit_code, reason)
    if isinstance(error, LabonnError):
        return Ending("failed", error.exit_code, reason)
    return Ending("failed", 1, reason)


def _message(error: BaseException, script: Script) -> str:
    if isinstance(error, LabonnError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return str(error) or "asked to stop by Ctrl-C"
    line = last_line_in(script.path, error.__traceback__)
    place = f"{script.path}, line {line}" if line else script.path
    return f"{place}: {type(error).__name__}: {error}"
