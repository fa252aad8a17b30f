"""The command that replays captures, and those about releases."""

from pathlib import Path
from typing import TYPE_CHECKING

from labonn.cli.answer import Answer

if TYPE_CHECKING:
    from rich.console import Console


def compensate_command(run: str, lab: Path, methods: str, seed: int) -> Answer:
    """Re-match by methods on the captures of an earlier run."""
    from labonn.compensation import check_methods
    from labonn.protocol.progress import Screen
    from labonn.protocol.replaying import replay
    from labonn.records import find_run

    chosen, screen = check_methods(methods), Screen()
    done = replay(
        find_run(lab, run), lab, chosen, lambda name, total: screen.step(name, total, lambda: None), seed=seed
    )
    percent = {method: answers.percent for method, answers in done.answers.items()}
    content = {
        "run": done.run,
        "captures": done.captures,
        "validation_captures": done.validation_captures,
        "methods": percent,
        "loss": {method: float(answers.loss.mean()) for method, answers in done.answers.items()},
        "twin_r2": float(done.fitted.twin.held_out_r2.mean()),
        "warning": done.fitted.warning,
    }

    def show(console: "Console") -> None:
        from rich.table import Table

        table = Table("method", "%", "points gained", "loss, nats", box=None, padding=(0, 2, 0, 0))
        for method, answers in done.answers.items():
            gain = "" if method == "none" else f"{answers.percent - percent['none']:+.2f}"
            table.add_row(method, f"{answers.percent:.2f}", gain, f"{answers.loss.mean():.4f}")
        console.print(table)
        console.print(
            f"{done.captures} captures for the fit, {done.validation_captures} for the comparison, of run {done.run}",
            markup=False,
        )
        if done.fitted.warning is not None:
            console.print(f"WARNING: {done.fitted.warning}", markup=False)

    return Answer(content, show)
