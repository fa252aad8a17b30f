"""The report of a run, from what lies in its folder; so it can be made again at any time."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labonn.protocol.next_step import command_of, next_step
from labonn.records import RunRecord, read_run
from labonn.records.disk import write_atomically
from labonn.report import Page, flatten

REPORT = "report.html"


def write_report(run_folder: Path) -> Path:
    """Write ``report.html`` into a run's folder and give its path.

    Raises
    ------
    RecordError
        If the folder is no run's, its record is damaged, or the page cannot be written.
    """
    record = read_run(run_folder)
    page = Page(f"{record.protocol} on {record.bench}" if record.bench else record.protocol)
    _answer(page, record)
    if record.figures:
        page.heading("Pictures")
    for figure in record.figures:
        try:
            page.figure((run_folder / figure.file).read_bytes(), figure.name, figure.caption)
        except OSError:
            page.banner("bad", f"The picture {figure.name!r} ({figure.file}) is missing from the run's folder.")
    if facts := _facts(record.result or {}):
        page.heading("Result")
        page.facts(facts)
    for table in record.tables:
        page.heading(table.name)
        page.table(table.rows)
    if record.notes:
        page.heading("Notes")
        page.facts(flatten(record.notes))
    if record.seconds:
        page.heading("Time")
        page.table([{"step": step, "seconds": round(seconds, 1)} for step, seconds in record.seconds.items()])
    _how_to_repeat(page, record)
    path = run_folder / REPORT
    write_atomically(path, page.html().encode("utf-8"))
    return path


def _facts(result: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a result says in single values: its rows are in the run's tables, its ending in the banner."""
    own = {key: value for key, value in result.items() if key not in ("status", "reason", "exit_code")}
    return flatten({key: value for key, value in own.items() if not _is_rows(value)})


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, Mapping) for row in value)


def _answer(page: Page, record: RunRecord) -> None:
    """Say what was done, whether it worked, and what to do next."""
    minutes = ""
    if record.stop_monotonic_s is not None:
        minutes = f" after {record.stop_monotonic_s - record.start_monotonic_s:.0f} s"
    kind = {"done": "good", "running": "neutral"}.get(record.status, "bad")
    reason = f": {record.reason}" if record.reason else ""
    page.banner(kind, f"{record.status}{minutes}{reason}")
    page.text(f"Next: {next_step(record)}")
    page.facts(
        {
            "run": record.id,
            "begun (UTC)": f"{record.start_utc:%Y-%m-%d %H:%M:%S}",
            "operator": record.operator,
            "bench": record.bench,
        }
    )


def _how_to_repeat(page: Page, record: RunRecord) -> None:
    page.heading("How to repeat it")
    page.command(command_of(record))
    page.facts(
        {
            "script": record.script,
            "script's sha256": record.script_sha256,
            "bench file": record.bench_file,
            "seed": record.seed,
            "git commit": record.git_commit,
        }
        | record.versions
    )
    page.folded("Parameters", record.parameters)
    if record.instruments is not None:
        page.folded("Instruments' settings when the bench was opened", record.instruments)
