"""The command that tries many designs."""

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labonn.cli.answer import Answer
from labonn.errors import ConfigError, TrainingError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from labonn.sweeps import Outcome, Swept
    from labonn.sweeps.engine import Engine
    from labonn.sweeps.sweep import ReadSweep

LAST = 8  # trials in the live table


def sweep_command(
    file: Path,
    lab: Path,
    engine: str,
    address: str | None,
    workers: int | None,
    *,
    fresh: bool,
    retry: bool,
) -> Answer:
    """Make a sweep's trials, from where an earlier call was ended, and write its results and its report.

    Raises
    ------
    ConfigError
        If the sweep or its design is wrong, another sweep's results are in its place, or no cluster answers.
    RecordError
        If another process drives it, or the disk refuses.
    """
    from labonn.sweeps import read_sweep, run_sweep

    read = read_sweep(file)
    if address is not None and engine != "ray":
        raise ConfigError("--address is of a Ray cluster: add --engine ray")
    count = workers or max(1, (os.cpu_count() or 1) // read.sweep.trial.cpus)
    with _Live(read) as live:
        swept = run_sweep(lab, read, _engine(read, engine, address, count), fresh=fresh, retry=retry, tell=live.tell)
    content = _content(read, swept, engine)
    error = None
    if not any(one.status == "done" for one in swept.outcomes):
        error = f"not one of {len(swept.outcomes)} trials came to its end: {swept.outcomes[0].error}"
    return Answer(
        content, lambda console: _show(console, content), 0 if error is None else TrainingError.exit_code, error
    )


def _engine(read: "ReadSweep", name: str, address: str | None, workers: int) -> "Engine":
    if name == "ray":
        from labonn.sweeps.on_ray import RayEngine

        return RayEngine(read.sweep.trial, address=address, workers=workers)
    from labonn.sweeps.local import LocalEngine

    return LocalEngine(workers, read.sweep.trial)


def _content(read: "ReadSweep", swept: "Swept", engine: str) -> dict[str, Any]:
    counts = Counter(one.status for one in swept.outcomes)
    return {
        "sweep": read.sweep.name,
        "engine": engine,
        "trials": len(swept.outcomes),
        "made_before": swept.made_before,
        **{status: counts.get(status, 0) for status in ("done", "refused", "failed")},
        "goals": dict(read.sweep.goals),
        "front": [{"trial": one.number, "settings": one.settings, "figures": one.figures} for one in swept.front],
        "results": str(swept.results),
        "report": str(swept.report),
        "designs": [str(path) for path in swept.designs],
    }


class _Live:
    """On a terminal a table of the last trials; elsewhere a line a trial; always on stderr."""

    def __init__(self, read: "ReadSweep") -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._goals = list(read.sweep.goals)
        self._last: list[Outcome] = []
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None

    def __enter__(self) -> "_Live":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def tell(self, outcome: "Outcome", done: int, whole: int) -> None:
        """Show what came of a trial."""
        self._last = [*self._last, outcome][-LAST:]
        if self._live is None:
            said = outcome.error or ", ".join(f"{name} {outcome.figures.get(name, 0):.4g}" for name in self._goals)
            line = f"{done}/{whole}: trial {outcome.number} {outcome.status} in {outcome.seconds:.1f} s: {said}"
            self._console.print(line, markup=False)
        else:
            self._live.update(self._table(done, whole), refresh=True)

    def _table(self, done: int, whole: int) -> "Table":
        from rich.table import Table

        table = Table("trial", "status", *self._goals, "settings", "s", title=f"{done} of {whole} trials")
        for one in self._last:
            settings = ", ".join(f"{key.removeprefix('design.')} {value}" for key, value in one.settings.items())
            figures = [f"{one.figures[name]:.4g}" if name in one.figures else "-" for name in self._goals]
            table.add_row(str(one.number), one.status, *figures, one.error or settings, f"{one.seconds:.1f}")
        return table


def _show(console: "Console", content: dict[str, Any]) -> None:
    from rich.table import Table

    from labonn.report import show as written

    table = Table("", "", show_header=False, box=None, padding=(0, 2, 0, 0))
    for key, value in content.items():
        if key not in ("front", "designs"):
            table.add_row(key.replace("_", " "), written(value))
    console.print(table)
    for one in content["front"][:10]:
        console.print(f"trial {one['trial']}: {written(one['figures'])}; {written(one['settings'])}", markup=False)
    for path in content["designs"]:
        console.print(path, markup=False)
