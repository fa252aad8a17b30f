"""The methods of compensation: what each trains on, by which losses, for how long."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from labonn.errors import ConfigError
from labonn.training import LossWeights

Method = Literal["none", "e2e", "kd", "ntkd", "map", "twin+ce", "twin+kd", "twin+ntkd"]
CANDIDATES: tuple[Method, ...] = ("twin+ntkd", "twin+kd")
"""What a recalibration may release; the first on a tie."""
CANDIDATES_OF_PIXELS: tuple[Method, ...] = ("twin+kd",)
"""Where each pixel has a class: matching kernels as well takes two more minutes there, and is not better."""
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
    solved
        Whether to begin with the student as trained, whose first layer is solved for so that it makes of what it reads
        now what it made of the simulated maps; or with the backend in use.
    """

    twin: bool
    weights: LossWeights
    steps: int
    learning_rate: float
    kernel_every: int = 1
    solved: bool = False


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
_KERNEL_EVERY = 4  # of images with masks, and of large backends that are solved for
# A student that was trained on flipped and moved images forgets in a long training on images as they are what it had
# learnt from the others. Its first layer is solved for, and little is left to train.
_STEPS_OF_SOLVED, _RATE_OF_SOLVED = 1000, 3e-4


def recipe_of(method: str, *, of_pixels: bool = False, solved: bool = False) -> Recipe:
    """The recipe of a method, for images with a class, or of whose pixels each has one.

    `solved` asks for that of students whose first layer is better solved for than trained, where a method has one: on
    many images.
    """
    recipe = RECIPES[method]
    if solved and (recipe.twin or method == "ceiling"):
        short = replace(recipe, steps=_STEPS_OF_SOLVED, learning_rate=_RATE_OF_SOLVED)
        return replace(short, solved=True, kernel_every=_KERNEL_EVERY)
    if not of_pixels:
        return recipe
    steps = 2 * _STEPS_OF_PIXELS[True] if method == "ceiling" else _STEPS_OF_PIXELS[recipe.twin]
    rate = min(recipe.learning_rate, _RATE_OF_PIXELS)
    return replace(recipe, steps=steps, learning_rate=rate, kernel_every=_KERNEL_EVERY)


def match_kernels(methods: Iterable[str]) -> bool:
    """Whether any of the methods matches the teacher's kernel, which takes long to compute where it is not kept."""
    return any(RECIPES[method].weights.ntkd for method in methods if method in RECIPES)


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
