"""The commands about what happens by itself. What is not due must be said at once: little is imported here."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from labonn.cli.answer import Answer
from labonn.errors import ConfigError
from labonn.jobs.recalibrating import Shot, recalibrate_if_due

if TYPE_CHECKING:
    from rich.console import Console


def if_due_command(bench: Path, lab: Path, settings: Sequence[str], continue_run: str | None, *, fresh: bool) -> Answer:
    """Recalibrate a bench if that is due."""
    if continue_run is not None or fresh:
        raise ConfigError("--if-due: goes on with a lost run by itself; --continue and --fresh are for operators")
    shot = recalibrate_if_due(bench, lab, _split(settings))
    outcome = shot.outcome
    if outcome is None:
        return Answer(shot.as_json(), _not_due(shot))

    def show(console: "Console") -> None:
        from labonn.cli.running import show_outcome

        console.print(f"bench {shot.bench} was due: {shot.look.why}", markup=False)
        show_outcome(console, outcome)

    return Answer(shot.as_json(), show, outcome.exit_code, outcome.error)


def _split(settings: Sequence[str]) -> dict[str, str]:
    if not settings:
        return {}
    from labonn.protocol.settings import split_settings

    return split_settings(settings)


def _not_due(shot: Shot) -> str:
    words = [f"run {run.id} is closed as lost: {run.reason}" for run in shot.left.runs]
    if shot.left.darkened is not None:
        was = "it was LIT" if shot.left.darkened.was_lit else "it was dark already"
        words.append(f"bench {shot.bench} was left by {shot.left.left_by}; {was}, and was made dark")
    when = "" if shot.look.next is None else f" ({shot.look.next.astimezone():%Y-%m-%d %H:%M})"
    return "\n".join([*words, f"bench {shot.bench} is not due: {shot.look.why}{when}"])
