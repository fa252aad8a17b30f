"""Re-matching: fine-tune the digital backend, and only it, until it reads what the optics really produce."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from labonn.compensation.twin import Twin
from labonn.errors import ConfigError
from labonn.ntk import require_trainable_kernel
from labonn.training import LossWeights, Teaching, distillation_loss
from labonn.training.fitting import fit, seeded

Method = Literal["none", "e2e", "kd", "ntkd", "twin+kd", "twin+ntkd"]


@dataclass(frozen=True)
class _Recipe:
    """What a method trains on, and by which losses."""

    twin: bool
    weights: LossWeights
    steps: int
    learning_rate: float


# On a handful of captures a long training only memorises them; on the twin's maps, of the whole training set, it pays.
RECIPES: Mapping[str, _Recipe] = {
    "e2e": _Recipe(False, LossWeights(task=1.0), 300, 1e-3),
    "kd": _Recipe(False, LossWeights(task=1.0, kd=0.7), 300, 1e-3),
    "ntkd": _Recipe(False, LossWeights(task=1.0, ntkd=1.0), 300, 1e-3),
    "twin+kd": _Recipe(True, LossWeights(task=1.0, kd=0.7), 1500, 2e-3),
    "twin+ntkd": _Recipe(True, LossWeights(task=1.0, kd=0.7, ntkd=1.0), 1500, 2e-3),
    # No method for operators: what the optics allow, trained on thousands of captures; benchmarks compare with it.
    "ceiling": _Recipe(False, LossWeights(task=1.0, kd=0.7), 3000, 2e-3),
}


@dataclass(frozen=True)
class Captured:
    """Feature maps that the optics really produced, of some training images.

    Attributes
    ----------
    indices
        (n,) int64, which training images.
    maps
        (n, K, H, W) float32, signed, in the student's units.
    """

    indices: Tensor
    maps: Tensor


@dataclass(frozen=True)
class Lecture:
    """The training set as a backend is taught it: images, and what the teacher says of them."""

    images: Tensor  # (N, 1, H, W)
    teaching: Teaching


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


def steps_of(method: str) -> int:
    """How many steps a method takes."""
    return 0 if method == "none" else RECIPES[method].steps


def rematch(
    backend: nn.Module,
    method: str,
    captured: Captured,
    twin: Twin | None,
    lecture: Lecture,
    *,
    seed: int,
    on_step: Callable[[], None] = lambda: None,
) -> nn.Module:
    """Fine-tune a copy of the backend by one method.

    Parameters
    ----------
    backend
        The one in use; it is not changed.
    method
        One of ``Method``. ``e2e``, ``kd`` and ``ntkd`` train on the captures alone; ``twin+...`` on what the twin
        predicts for the whole training set, with noise as large as what it could not predict, and on the captures
        themselves.
    captured
        The captures that may be used.
    twin
        Fitted to these captures; needed by ``twin+...``.
    lecture
        The training set and what the teacher says of it.
    seed
        For everything random.
    on_step
        Called after each step.

    Returns
    -------
    The new backend, in evaluation mode.
    """
    matched = copy.deepcopy(backend)
    if method == "none":
        return matched.eval()
    recipe = RECIPES[method]
    teaching = lecture.teaching if recipe.twin else lecture.teaching.of(captured.indices)
    maps, noise = _maps(captured, twin, lecture.images) if recipe.twin else (captured.maps, None)

    def loss_of(indices: Tensor) -> Tensor:
        batch = maps[indices]
        if noise is not None:
            batch = batch + noise[indices, :, None, None] * torch.randn_like(batch)
        return distillation_loss(matched, batch, teaching.lesson(indices, recipe.weights), recipe.weights)

    if recipe.weights.ntkd:
        require_trainable_kernel(matched, maps[: len(captured.indices)])
    with seeded(seed):
        fit(
            [(recipe.learning_rate, matched.parameters())],
            teaching.batches(recipe.steps),
            loss_of,
            steps=recipe.steps,
            on_step=on_step,
        )
    return matched.eval()


def _maps(captured: Captured, twin: Twin | None, images: Tensor) -> tuple[Tensor, Tensor]:
    """Maps (N, K, H, W) of the training set and the noise (N, K) to draw on them; captures stand for themselves."""
    if twin is None:
        raise ValueError("a method that trains on the twin's maps needs a twin")
    maps = twin.maps(images)
    noise = twin.map_noise.expand(len(images), -1).clone()
    maps[captured.indices] = captured.maps
    noise[captured.indices] = 0.0
    return maps, noise
