"""Settings that `tests.benchmarks.training_search` found, and how it searches: where they are kept and read."""

from dataclasses import dataclass
from typing import Any

from labonn.design import Design, load_design
from tests.benchmarks.results import cells_file, changed_cells, read_cells

TRIALS_FILE = cells_file("training-search")
DESIGNS = {
    "mnist": ("mnist-mono", "mnist-lens", "mnist-lens-whole", "mnist-random", "mnist-random-500", "mnist-random-1000"),
    "cifar10": (
        "cifar10-poly", "cifar10-poly-48", "cifar10-lens", "cifar10-random", "cifar10-random-500",
        "cifar10-random-1000",
    ),
    "carvana": ("carvana-poly", "carvana-lens", "carvana-random", "carvana-random-500", "carvana-random-1000"),
}  # fmt: skip
METHODS = ("none", "kd", "rkd", "fitnet", "ntkd", "ntkd+kd")
BASELINE_METHODS = ("none", "kd", "ntkd")
"""Of optics that are not trained."""


@dataclass(frozen=True)
class Budget:
    """What every method has for its search on a design."""

    images: int  # of the training set, the first
    epochs: int
    trials: int = 10
    seed: int = 1000  # of no cell of the table


BUDGETS = {
    "mnist-mono": Budget(images=10_000, epochs=3),
    "mnist-lens": Budget(images=10_000, epochs=3),
    "mnist-random": Budget(images=10_000, epochs=3),
    "cifar10-poly": Budget(images=45_000, epochs=4),
    "cifar10-lens": Budget(images=45_000, epochs=4),
    "cifar10-random": Budget(images=45_000, epochs=4),
    "carvana-poly": Budget(images=800, epochs=4),
    "carvana-lens": Budget(images=800, epochs=4),
    "carvana-random": Budget(images=800, epochs=4),
}
"""Designs that are searched on: what is bold enough for trained optics kills a student behind random ones.

Trials on CIFAR-10 see all images. Of 10,000, bold rates win that lose with all of them: `kd` came to 56.1 against the
shipped settings' 54.4, and then, as long as the table's cells, to 74.9 against 76.9.
"""
SEARCHED_ON = {"mnist-lens-whole": "mnist-lens", "cifar10-poly-48": "cifar10-poly"}
"""Of designs that are like another, that one. Those in neither are trained as they are shipped: a trial takes long."""


def read_trials() -> dict[str, list[dict[str, Any]]]:
    """The trials that are made, by ``design/method``: settings, value on the validation images, seconds."""
    return read_cells(TRIALS_FILE)


def keep_trial(design: str, method: str, trial: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Add a trial to those that are made, and give all of them."""
    with changed_cells(TRIALS_FILE) as trials:
        trials.setdefault(f"{design}/{method}", []).append(trial)
    return trials


def best_settings(design: str, method: str) -> dict[str, float]:
    """Keys of [training] as the search left them; none before the method's search is at its end."""
    searched = SEARCHED_ON.get(design, design)
    made = read_trials().get(f"{searched}/{method}", [])
    if searched not in BUDGETS or len(made) < BUDGETS[searched].trials:
        return {}
    settings: dict[str, float] = max(made, key=lambda trial: trial["value"])["settings"]
    return settings


def with_settings(design: Design | str, settings: dict[str, Any]) -> Design:
    """A design with other values in [training], checked as if they stood in its file."""
    known = load_design(design) if isinstance(design, str) else design
    content = known.model_dump(by_alias=True)
    return Design.model_validate(content | {"training": content["training"] | settings})


def methods_of(design: str) -> tuple[str, ...]:
    """By which a design is trained for the table: baselines by some only."""
    return METHODS if load_design(design).optic.kind == "trained" else BASELINE_METHODS
