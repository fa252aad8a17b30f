"""The methods of compensation: what each trains on, by which losses, for how long."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from labonn.errors import ConfigError
from labonn.training import LossWeights

Method = Literal["none", "e2e", "kd", "ntkd", "map", "twin+ce", "twin+kd", "twin+ntkd"]
CANDIDATES: tuple[Method, ...] = ("twin+ntkd", "twin+kd")
"""What a recalibration may release; the first on a tie."""
KD_WEIGHT = 0.7


@dataclass(frozen=True)
class Recipe:
    """What a method trains on, and by which losses.

    Attributes
    ----------
    twin
        Whether on what the optical twin predicts of the whole training set, or on the captures alone.
    weights
        Of task, KD and NTK matching.
    steps, learning_rate
        Of Adam; the rate is the highest of its cycle.
    kernel_every
        Kernels are matched in every so many steps, and weigh as much more then.
    """

    twin: bool
    weights: LossWeights
    steps: int
    learning_rate: float
    kernel_every: int = 1


# On a handful of captures a long training only memorises them; on the twin's maps, of the whole training set, it pays.
# Steps and rate of those on captures: one setting for 8 and 32 captures, from a grid (tests/benchmarks/tuning.py).
RECIPES: Mapping[str, Recipe] = {
    "e2e": Recipe(False, LossWeights(task=1.0), 100, 3e-4),
    "kd": Recipe(False, LossWeights(task=1.0, kd=KD_WEIGHT), 300, 3e-4),
    "ntkd": Recipe(False, LossWeights(task=1.0, ntkd=1.0), 100, 3e-4),
    "twin+ce": Recipe(True, LossWeights(task=1.0), 2500, 2e-3),
    "twin+kd": Recipe(True, LossWeights(task=1.0, kd=KD_WEIGHT), 2500, 2e-3),
    "twin+ntkd": Recipe(True, LossWeights(task=1.0, kd=KD_WEIGHT, ntkd=1.0), 2500, 2e-3),
    # No method for operators: what the optics allow, trained on thousands of captures; benchmarks compare with it.
    "ceiling": Recipe(False, LossWeights(task=1.0, kd=KD_WEIGHT), 6000, 2e-3),
}
# Where each pixel has a class, an image teaches thousands of times as much, and a step takes longer: on one core 0.14 s
# for carvana-poly, and 0.95 s with its kernel.
_STEPS_OF_PIXELS = {True: 600, False: 60}
_RATE_OF_PIXELS = 1e-3
_KERNEL_EVERY_OF_PIXELS = 4


def recipe_of(method: str, *, of_pixels: bool = False) -> Recipe:
    """The recipe of a method, for images with a class, or of whose pixels each has one."""
    recipe = RECIPES[method]
    if not of_pixels:
        return recipe
    steps = 2 * _STEPS_OF_PIXELS[True] if method == "ceiling" else _STEPS_OF_PIXELS[recipe.twin]
    rate = min(recipe.learning_rate, _RATE_OF_PIXELS)
    return replace(recipe, steps=steps, learning_rate=rate, kernel_every=_KERNEL_EVERY_OF_PIXELS)


def check_methods(methods: str) -> tuple[str, ...]:
    """Split a comma-separated list of methods; ``all`` means every one.

    Raises
    ------
    ConfigError
        If one is unknown.
    """
    known = get_args(Method)
    chosen = known if methods == "all" else tuple(name.strip() for name in methods.split(","))
    for name in chosen:
        if name not in known:
            raise ConfigError(f"there is no compensation method {name!r}: known are {', '.join(known)}, or all")
    return chosen


def steps_of(method: str, *, of_pixels: bool = False) -> int:
    """How many steps a method takes; none where it solves for its backend."""
    return recipe_of(method, of_pixels=of_pixels).steps if method in RECIPES else 0
