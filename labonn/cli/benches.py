"""The commands about a bench itself: make it dark, check it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from labonn.cli.answer import Answer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from labonn.protocol import Outcome

_COLOURS = {"ok": "green", "drifted": "yellow", "failed": "bold red", "skipped": "dim"}


def dark_command(bench: Path) -> Answer:
    """Make a bench dark, whoever holds it."""
    from labonn.instruments import darken_bench, read_bench

    name = read_bench(bench).name
    done = darken_bench(bench)
    before = "it was LIT" if done.was_lit else "it was dark already"
    content = {"bench": name, "dark": True, "by": done.by, "was_lit": done.was_lit, "seconds": round(done.seconds, 3)}
    words = f"bench {name} is dark, after {done.seconds:.2f} s, by {done.by}; {before}"
    return Answer(content, lambda console: console.print(words, markup=False))


def check_command(bench: Path, lab: Path, settings: Sequence[str]) -> Answer:
    """Check a bench: the protocol ``check_bench``, its table shown."""
    from labonn.protocol.runtime import run_protocol
    from labonn.protocol.settings import split_settings

    outcome = run_protocol("check_bench", bench, lab, split_settings(settings))
    return Answer(outcome.as_json(), lambda console: _show(console, outcome), outcome.exit_code, outcome.error)


def _show(console: "Console", outcome: "Outcome") -> None:
    from labonn.report import readable_checks, readable_instruments

    instruments = readable_instruments(outcome.result.get("instruments", []))
    checks = readable_checks(outcome.result.get("checks", []))
    for rows in filter(None, (instruments, checks)):
        remarks = [_remark(row) for row in rows]
        console.print(_table(rows))
        for words in filter(None, remarks):
            console.print(words, markup=False)
        console.print()
    if checks:
        console.print(_conclusion(outcome), markup=False)
    console.print(f"report: {outcome.report or 'could not be written'}", markup=False)


def _remark(row: dict[str, str]) -> str:
    """Take what needs a line of its own, as a terminal is narrow, out of a row."""
    name, remark, was = next(iter(row.values())), row.pop("remark"), row.pop("last good", "")
    if row["state"] == "skipped":
        row["measured"] = remark
        return ""
    if row["state"] == "drifted" and was:
        remark = f"was {was}; {remark}"
    return f"{row['state']}: {name}: {remark}" if remark else ""


def _table(rows: Sequence[Mapping[str, str]]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in rows[0]:
        table.add_column(column, no_wrap=column in ("check", "state", "must be"))
    for row in rows:
        style = _COLOURS.get(row["state"], "")
        table.add_row(*(Text(text, style=style if column == "state" else "") for column, text in row.items()))
    return table


def _conclusion(outcome: "Outcome") -> str:
    failed, drifted = outcome.result["failed"], outcome.result["drifted"]
    if failed:
        return f"{len(failed)} failed, {len(drifted)} drifted; the last good check stands"
    if drifted and not outcome.result["good"]:
        return (
            f"WARNING: {len(drifted)} drifted since the last good check, which stands;"
            " --set accept_drift=true takes this one for good"
        )
    compared = "" if outcome.result["compared_with"] else "; there was none to compare it with"
    return f"all is well; this is the last good check now{compared}"
