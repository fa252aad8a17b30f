"""Which trials nothing beats."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from labonn.sweeps.trial import Outcome


def pareto_front(outcomes: Sequence[Outcome], goals: Mapping[Any, Literal["max", "min"]]) -> list[Outcome]:
    """Trials of which no other is as good in every goal and better in one; the best of the first goal first.

    Trials without all of the figures are passed over.
    """
    rated = {
        outcome.number: tuple(outcome.figures[name] * (1 if goal == "max" else -1) for name, goal in goals.items())
        for outcome in outcomes
        if outcome.status == "done" and goals.keys() <= outcome.figures.keys()
    }
    best = [
        number
        for number, own in rated.items()
        if not any(other != own and all(a >= b for a, b in zip(other, own, strict=True)) for other in rated.values())
    ]
    known = {outcome.number: outcome for outcome in outcomes}
    return [known[number] for number in sorted(best, key=lambda number: (-rated[number][0], number))]
