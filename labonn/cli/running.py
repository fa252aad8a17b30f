"""The commands that run protocols and report on runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from labonn.cli.answer import Answer
from labonn.errors import ConfigError
from labonn.protocol.runtime import plan_protocol, run_protocol
from labonn.protocol.settings import describe_parameters, split_settings
from labonn.protocol.write_report import write_report
from labonn.records import find_run
from labonn.records.disk import plain
from labonn.report import flatten, show

if TYPE_CHECKING:
    from rich.console import Console

    from labonn.protocol import Outcome


def run_command(
    protocol: str,
    bench: Path,
    lab: Path,
    settings: Sequence[str],
    continue_run: str | None = None,
    *,
    fresh: bool = False,
) -> Answer:
    """Run a protocol; continue a run that is named, or a lost one that was the same, or none."""
    if continue_run is not None and fresh:
        raise ConfigError(f"--continue {continue_run} and --fresh: give one of them")
    outcome = run_protocol(protocol, bench, lab, split_settings(settings), continue_run=continue_run, fresh=fresh)
    return Answer(outcome.as_json(), lambda console: show_outcome(console, outcome), outcome.exit_code, outcome.error)


def show_outcome(console: "Console", outcome: "Outcome") -> None:
    """Show how a run ended: what it found, how long it took, where its report is."""
    from rich.table import Table

    table = Table("", "", show_header=False, box=None, padding=(0, 2, 0, 0))
    own = {"run": outcome.run_folder.name, "status": outcome.status}
    found = {key: value for key, value in outcome.result.items() if key not in ("status", "reason", "seconds")}
    for key, value in (own | flatten(found) | {"seconds": round(outcome.seconds["total"], 1)}).items():
        table.add_row(key, show(value))
    console.print(table)
    console.print(f"report: {outcome.report or 'could not be written, see log.jsonl in ' + str(outcome.run_folder)}")


def plan_command(protocol: str, bench: Path, settings: Sequence[str]) -> Answer:
    """Say what a run would do."""
    plan = plan_protocol(protocol, bench, split_settings(settings))
    values = plain(plan.parameters)
    content = {
        "dry_run": True,
        "protocol": plan.script.name,
        "script": str(plan.script.path),
        "purpose": plan.script.purpose,
        "bench": plan.bench_config.name,
        "parameters": values,
    }

    def print_plan(console: "Console") -> None:
        from rich.table import Table

        table = Table("key", "value", "default", "help", box=None, padding=(0, 2, 0, 0))
        for key in describe_parameters(plan.script.parameters):
            table.add_row(key["key"], show(values[key["key"]]), key["default"], key["help"])
        console.print(f"{plan.script.name} on {plan.bench_config.name}: {plan.script.purpose}", markup=False)
        console.print(table)
        console.print("Everything was checked that can be without the bench; nothing was touched.")

    return Answer(content, print_plan)


def report_command(run: str, lab: Path) -> Answer:
    """Write a run's report again."""
    folder = find_run(lab, run)
    path = write_report(folder)
    return Answer({"run": folder.name, "report": str(path)}, lambda console: console.print(str(path), markup=False))
