"""The driver of a sweep: what is done stays done, whoever is killed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from labonn.errors import RecordError
from labonn.sweeps.engine import Engine
from labonn.sweeps.front import pareto_front
from labonn.sweeps.keeping import Kept
from labonn.sweeps.proposing import groups, settings_of, trials_of
from labonn.sweeps.reporting import write_report
from labonn.sweeps.sweep import ReadSweep
from labonn.sweeps.trial import Order, Outcome


@dataclass(frozen=True)
class Swept:
    """A sweep that is at its end."""

    outcomes: tuple[Outcome, ...]
    front: tuple[Outcome, ...]
    made_before: int
    """Trials that an earlier call had made."""
    results: Path
    report: Path
    designs: tuple[Path, ...]
    """Of the front, the best of the first goal first."""


def run_sweep(
    lab: Path,
    read: ReadSweep,
    engine: Engine,
    *,
    fresh: bool = False,
    retry: bool = False,
    tell: Callable[[Outcome, int, int], None] = lambda outcome, done, whole: None,
) -> Swept:
    """Make the trials that are not made yet, then the results' file, the report and the best designs.

    Parameters
    ----------
    lab
        The laboratory's folder.
    read
        The sweep, and the design that it varies.
    engine
        Who computes; it is closed in any case.
    fresh
        Forget what was made before.
    retry
        Forget what failed before; what was refused would be refused again.
    tell
        Told of each trial, how many are done, and how many there are.

    Raises
    ------
    ConfigError
        If another sweep's results are in its place.
    RecordError
        If another process drives the same sweep, or the disk refuses.
    """
    sweep = read.sweep
    lock = FileLock(str(lab.absolute() / "sweeps" / f".{sweep.name}.lock"))
    try:
        (lab.absolute() / "sweeps").mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        engine.close()
        raise RecordError(f"sweep {sweep.name!r}: another process makes its trials; wait for it, or end it") from error
    try:
        kept = Kept(lab, read, fresh=fresh)
        made = kept.outcomes()
        if retry:
            made = {number: outcome for number, outcome in made.items() if outcome.status != "failed"}
            kept.forget(made.values())
        before, whole = len(made), trials_of(sweep)

        def keep(outcome: Outcome) -> None:
            kept.add(outcome)
            made[outcome.number] = outcome
            tell(outcome, len(made), whole)

        for first, last in groups(sweep):
            if all(number in made for number in range(first, last)):
                continue
            orders = [
                _order(lab, read, number, settings)
                for number, settings in enumerate(settings_of(sweep, first, last, made), first)
                if number not in made
            ]
            engine.run(orders, keep)
        outcomes = tuple(made[number] for number in sorted(made))
        front = tuple(pareto_front(outcomes, sweep.goals))
        results = kept.write_results(outcomes)
        report, designs = write_report(kept.folder, read, outcomes, front)
        return Swept(outcomes, front, before, results, report, designs)
    finally:
        engine.close()
        lock.release()


def _order(lab: Path, read: ReadSweep, number: int, settings: dict[str, object]) -> Order:
    return Order(
        number,
        settings,
        read.sweep.model_dump(mode="json", by_alias=True),
        read.design.model_dump(mode="json", by_alias=True),
        str(lab.absolute()),
    )
