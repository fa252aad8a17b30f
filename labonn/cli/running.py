"""The commands that run protocols and report on runs."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from labonn.cli.answer import Answer
from labonn.errors import ConfigError
from labonn.protocol.planning import plan_protocol
from labonn.protocol.runtime import run_protocol
from labonn.protocol.settings import describe_parameters, split_settings
from labonn.protocol.write_report import write_report
from labonn.records import find_run
from labonn.records.disk import plain
from labonn.report import flatten, show

if TYPE_CHECKING:
    from rich.console import Console

    from labonn.protocol import Outcome, Plan


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


def plan_command(protocol: str, bench: Path, lab: Path, settings: Sequence[str]) -> Answer:
    """Say what a run would do, and how long it would take."""
    plan = plan_protocol(protocol, bench, split_settings(settings), lab)
    content = {
        "dry_run": True,
        "protocol": plan.script.name,
        "script": str(plan.script.path),
        "purpose": plan.script.purpose,
        "bench": plan.bench_config.name,
        "release": plan.release,
        "parameters": plain(plan.parameters),
        "estimate": None if plan.estimate is None else asdict(plan.estimate),
    }
    return Answer(content, lambda console: show_plan(console, plan))


def show_plan(console: "Console", plan: "Plan") -> None:
    """Show the parameters, the steps, and the time they will take."""
    from rich.table import Table

    values, found = plain(plan.parameters), plan.estimate
    table = Table("key", "value", "default", "help", box=None, padding=(0, 2, 0, 0))
    for key in describe_parameters(plan.script.parameters):
        table.add_row(key["key"], show(values[key["key"]]), key["default"], key["help"])
    console.print(f"{plan.script.name} on {plan.bench_config.name}: {plan.script.purpose}", markup=False)
    console.print(table)
    console.print(f"\nin use on the bench: {plan.release or 'no release yet'}", markup=False)
    if found is None:
        console.print(f"time: not known: {plan.remark}", markup=False)
    else:
        which = "with these parameters" if found.same_parameters else "with other parameters: there was none with these"
        console.print(
            f"time: about {found.seconds:.0f} s ({found.shortest_s:.0f} to {found.longest_s:.0f} s in "
            f"{found.runs} earlier run{'s' if found.runs > 1 else ''} {which})",
            markup=False,
        )
        steps = Table("step", "seconds", box=None, padding=(0, 2, 0, 0))
        for name, seconds in found.steps.items():
            steps.add_row(name, f"{seconds:.1f}")
        console.print(steps)
    console.print("Everything was checked that can be without the bench; nothing was touched.")


def report_command(run: str, lab: Path) -> Answer:
    """Write a run's report again."""
    folder = find_run(lab, run)
    path = write_report(folder)
    return Answer({"run": folder.name, "report": str(path)}, lambda console: console.print(str(path), markup=False))
