"""Settings that `tests.benchmarks.training_search` found, and how it searches: where they are kept and read."""

import json
from dataclasses import dataclass
from typing import Any

from labonn.design import Design, load_design
from labonn.records.disk import write_atomically
from tests.benchmarks.results import RESULTS

TRIALS_FILE = RESULTS.parent / "results" / "training-search.json"
METHODS = ("none", "kd", "rkd", "fitnet", "ntkd", "ntkd+kd")


@dataclass(frozen=True)
class Budget:
    """What every method of a task has for its search."""

    design: str
    images: int  # of the training set, the first
    epochs: int
    trials: int = 10
    seed: int = 1000  # of no cell of the table


BUDGETS = {
    "mnist": Budget("mnist-mono", images=10_000, epochs=3),
    "cifar10": Budget("cifar10-poly", images=10_000, epochs=5),
    "carvana": Budget("carvana-poly", images=800, epochs=4),
}


def read_trials() -> dict[str, list[dict[str, Any]]]:
    """The trials that are made, by ``task/method``: settings, value on the validation images, seconds."""
    return json.loads(TRIALS_FILE.read_text(encoding="utf-8")) if TRIALS_FILE.exists() else {}


def keep_trial(task: str, method: str, trial: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Add a trial to those that are made, and give all of them."""
    trials = read_trials()  # another process may have added some meanwhile
    trials.setdefault(f"{task}/{method}", []).append(trial)
    write_atomically(TRIALS_FILE, (json.dumps(trials, indent=1) + "\n").encode())
    return trials


def best_settings(task: str, method: str) -> dict[str, float]:
    """Keys of [training] as the search left them; none before the method's search is at its end."""
    made = read_trials().get(f"{task}/{method}", [])
    if len(made) < BUDGETS[task].trials:
        return {}
    settings: dict[str, float] = max(made, key=lambda trial: trial["value"])["settings"]
    return settings


def with_settings(design: Design | str, settings: dict[str, Any]) -> Design:
    """A design with other values in [training], checked as if they stood in its file."""
    known = load_design(design) if isinstance(design, str) else design
    content = known.model_dump(by_alias=True)
    return Design.model_validate(content | {"training": content["training"] | settings})
