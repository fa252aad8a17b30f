"""What to do after a run: said by how it ended, in one or two sentences, with the command."""

import shlex
from pathlib import Path
from typing import Any

from labonn.records import RunRecord
from labonn.records.disk import plain

_CHECK, _RECALIBRATE, _WATCH = "check_bench", "recalibrate", "watch_drift"


def next_step(record: RunRecord) -> str:
    """Say what to do next."""
    bench = shlex.quote(record.bench_file or "BENCH")
    result = record.result or {}
    if record.status == "running":
        return f"It goes on. `labonn control status {bench}` says where it is."
    if record.status == "lost":
        return "Run it again: what it captured is taken over, if the bench still is what it was then."
    if record.status == "aborted":
        return f"Nothing is left to put right. To go on from what it captured, repeat it with --continue {record.id}."
    if record.status == "refused":
        return (
            "The release in use stands; nothing has changed. If the captures are too few to decide, take more"
            " (validation_captures); if they show a loss, check the bench:"
            f" labonn bench check {bench}"
        )
    if record.status == "failed":
        return _after_failure(record, bench)
    if result.get("due"):
        return f"More is lost than is tolerated. Recalibrate: labonn recalibrate {bench}"
    if record.protocol == _WATCH:
        return "Nothing. The next watch goes on with the control chart."
    if result.get("released"):
        return f"The release is in use. Watch it for drift: labonn run {_WATCH} {bench}"
    if result.get("failed"):
        return "Put right what failed, the first of it first, and check again."
    if record.protocol == _CHECK:
        return "Nothing: the bench is as it should be."
    return "Nothing has to be done."


def command_of(record: RunRecord) -> str:
    """Give the command that repeats a run, its parameters written out."""
    script = record.script or record.protocol
    if Path(script).parent.name == "protocols" and Path(script).stem == record.protocol:
        script = record.protocol
    words = ["labonn", "run", script, record.bench_file or "BENCH"]
    for key, value in record.parameters.items():
        words += ["--set", f"{key}={_written(value)}"]
    return " ".join(shlex.quote(word) for word in words)


def _after_failure(record: RunRecord, bench: str) -> str:
    if record.exit_code == 2:
        return "Correct what is named, and repeat it. Nothing was touched."
    if record.exit_code == 5:
        return f"Wait until the bench is free, and repeat it. Who has it: labonn control status {bench}"
    if record.exit_code == 3:
        return f"The bench was made dark. Look at the instrument that is named, then: labonn bench check {bench}"
    return "Read the reason, and the end of log.jsonl in the run's folder."


def _written(value: Any) -> str:
    """Write a value as ``--set`` takes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ",".join(_written(item) for item in value)
    return str(plain(value))
