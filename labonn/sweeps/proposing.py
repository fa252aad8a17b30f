"""Which settings are tried: all of a grid, drawn ones, or what Optuna proposes after what it saw.

Trial n's settings follow from the sweep and from the outcomes of earlier groups of trials, never from who computed
these or in which order they ended: so a sweep is the same on one worker, on many, on a cluster, and after a kill.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import exp, log
from typing import Any

import numpy as np

from labonn.errors import ConfigError
from labonn.sweeps.sweep import Span, Sweep
from labonn.sweeps.trial import Outcome

Settings = dict[str, Any]
WORST = 1e9  # what a trial without figures came to, for Optuna


def groups(sweep: Sweep) -> Iterator[tuple[int, int]]:
    """Numbers (from, to) of the trials whose settings are known together."""
    if sweep.search != "optuna":
        yield 0, trials_of(sweep)
        return
    for first in range(0, trials_of(sweep), sweep.together):
        yield first, min(first + sweep.together, trials_of(sweep))


def trials_of(sweep: Sweep) -> int:
    """How many trials there are."""
    whole = 1
    for values in sweep.keys.values():
        whole *= 1 if isinstance(values, Span) else len(values)
    return whole if sweep.search == "grid" else int(sweep.trials or 0)


def settings_of(sweep: Sweep, first: int, last: int, before: Mapping[int, Outcome]) -> list[Settings]:
    """Settings of the trials from `first` on, before `last`.

    Parameters
    ----------
    sweep
        What is searched.
    first, last
        A group of `groups`.
    before
        Outcomes of at least all trials before `first`.
    """
    if sweep.search == "grid":
        names = list(sweep.keys)
        every = product(*(values for values in sweep.keys.values() if not isinstance(values, Span)))
        return [dict(zip(names, values, strict=True)) for values in list(every)[first:last]]
    if sweep.search == "random":
        return [_drawn(sweep, number) for number in range(first, last)]
    return _proposed(sweep, first, last, [before[number] for number in range(first)])


def _drawn(sweep: Sweep, number: int) -> Settings:
    chance = np.random.default_rng([sweep.seed, number])
    drawn: Settings = {}
    for key, values in sweep.keys.items():
        if not isinstance(values, Span):
            drawn[key] = values[int(chance.integers(len(values)))]
        elif values.log:
            drawn[key] = exp(chance.uniform(log(values.low), log(values.high)))
        elif values.step is not None:
            steps = int((values.high - values.low) / values.step + 1e-9)
            found = values.low + values.step * int(chance.integers(steps + 1))
            drawn[key] = int(found) if values.whole else found
        else:
            drawn[key] = float(chance.uniform(values.low, values.high))
    return drawn


def _proposed(sweep: Sweep, first: int, last: int, before: Sequence[Outcome]) -> list[Settings]:
    try:
        import optuna
    except ImportError as error:
        raise ConfigError('search = "optuna": Optuna is not installed here: pip install "labonn[search]"') from error
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    searched: dict[str, BaseDistribution] = {}
    for key, values in sweep.keys.items():
        if not isinstance(values, Span):
            # Optuna's choices are plain values: what is chosen is the place in the list.
            searched[key] = CategoricalDistribution(list(range(len(values))))
        elif values.whole:
            searched[key] = IntDistribution(int(values.low), int(values.high), step=int(values.step or 1))
        else:
            searched[key] = FloatDistribution(values.low, values.high, log=values.log, step=values.step)
    sampler = optuna.samplers.TPESampler(seed=sweep.seed + first, n_startup_trials=2 * sweep.together)
    study = optuna.create_study(
        directions=["maximize" if goal == "max" else "minimize" for goal in sweep.goals.values()], sampler=sampler
    )
    for outcome in before:
        reached = [outcome.figures.get(name, -WORST if goal == "max" else WORST) for name, goal in sweep.goals.items()]
        params = {key: _place(sweep, key, value) for key, value in outcome.settings.items()}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=searched, values=reached))
    asked = [study.ask(searched).params for _ in range(first, last)]
    return [{key: _value(sweep, key, found) for key, found in one.items()} for one in asked]


def _place(sweep: Sweep, key: str, value: Any) -> Any:
    values = sweep.keys[key]
    return value if isinstance(values, Span) else [_plain(one) for one in values].index(_plain(value))


def _value(sweep: Sweep, key: str, found: Any) -> Any:
    values = sweep.keys[key]
    return found if isinstance(values, Span) else values[int(found)]


def _plain(value: Any) -> Any:
    """A value as JSON gives it back."""
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value
