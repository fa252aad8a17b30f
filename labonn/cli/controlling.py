"""Asking the process that holds a bench: where its run is, to pause it, to let it go on, to end it."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from labonn.cli.answer import Answer
from labonn.errors import LabonnError

if TYPE_CHECKING:
    from rich.console import Console

Operation = Literal["status", "pause", "resume", "abort"]

# How long `pause` and `resume` wait for the run's next checkpoint before they say that it is not there yet.
_PATIENCE_S = 5.0
_SLICE_S = 0.1


def control_command(operation: Operation, bench: Path) -> Answer:
    """Ask the holder of a bench."""
    from labonn.instruments import NotHeld, ask_holder, read_bench

    name = read_bench(bench).name
    try:
        said = ask_holder(name, operation)
        if operation in ("pause", "resume"):
            said = _awaited(name, "paused" if operation == "pause" else "running", said)
    except NotHeld as error:
        if operation != "status":
            raise LabonnError(f"{error}: there is no run to {operation}") from error
        return Answer(
            {"bench": name, "held": False}, lambda console: console.print(f"nobody holds bench {name}", markup=False)
        )
    content = {"bench": name, "held": True, "holder": _holder(name), **said}
    return Answer(content, lambda console: _show(console, operation, content))


def _awaited(name: str, state: str, said: dict[str, Any]) -> dict[str, Any]:
    """Ask again until the run is in a state, or has ended, or patience has."""
    from labonn.instruments import ask_holder

    deadline = time.monotonic() + _PATIENCE_S
    while said.get("state") != state and time.monotonic() < deadline:
        time.sleep(_SLICE_S)
        said = ask_holder(name, "status")
    return said


def _holder(name: str) -> str | None:
    from labonn.instruments.lock import holder_of

    holder = holder_of(name)
    return None if holder is None else str(holder)


def _show(console: "Console", operation: Operation, content: Mapping[str, Any]) -> None:
    from rich.table import Table

    console.print(_headline(operation, content), markup=False)
    table = Table("", "", show_header=False, box=None, padding=(0, 2, 0, 0))
    facts = {
        "held by": content["holder"],
        "run": content.get("run"),
        "protocol": content.get("protocol"),
        "operator": content.get("operator"),
        "begun (UTC)": content.get("since_utc"),
        "step": _progress(content),
        "seconds": content.get("seconds"),
        "last checkpoint": _checkpoint(content),
        "made dark": content.get("tripped"),
    }
    for name, value in facts.items():
        if value is not None:
            table.add_row(name, str(value))
    console.print(table)


def _headline(operation: Operation, content: Mapping[str, Any]) -> str:
    bench, state = content["bench"], content.get("state", "held, by a program that runs no protocol")
    if operation == "abort":
        return f"bench {bench}: dark; the run ends at its next checkpoint"
    if operation == "pause" and state == "pausing":
        return f"bench {bench}: the run will pause at its next checkpoint"
    return f"bench {bench}: {state}{', and dark' if state == 'paused' else ''}"


def _checkpoint(content: Mapping[str, Any]) -> str | None:
    """Say where a script is that has come to no checkpoint for a while."""
    ago_s, line = content.get("checkpoint_s"), content.get("line")
    if ago_s is None or ago_s < _PATIENCE_S:
        return None
    return f"{ago_s:.0f} s ago; now in line {line} of the script" if line else f"{ago_s:.0f} s ago"


def _progress(content: Mapping[str, Any]) -> str | None:
    step, done, total = content.get("step"), content.get("done"), content.get("total")
    return f"{step}, {done} of {total}" if step and total else step
