"""Re-matching: fine-tune the digital backend, and only it, until it reads what the optics really produce."""

import copy
from collections.abc import Callable
from dataclasses import replace
from itertools import count

from torch import Tensor, nn

from labonn.compensation.material import Material
from labonn.compensation.methods import Recipe
from labonn.compensation.ridge_map import fit_ridge_map, fold_in
from labonn.networks import split_backend
from labonn.ntk import require_trainable_kernel
from labonn.training import distillation_loss
from labonn.training.fitting import fit, seeded


def rematch(
    backend: nn.Module,
    method: str,
    material: Material,
    *,
    seed: int,
    on_step: Callable[[], None] = lambda: None,
    on_part: Callable[[], None] = lambda: None,
) -> nn.Module:
    """Fine-tune a copy of the backend by one method.

    Parameters
    ----------
    backend
        The one in use; it is not changed.
    method
        One of ``Method``. ``e2e``, ``kd`` and ``ntkd`` train on the captures alone; ``map`` solves for a linear map
        from captured to simulated features, which becomes part of the first layer; ``twin+...`` train on what the twin
        predicts for the whole training set, and on the captures themselves. They begin with the backend in use; or,
        where the student was trained on flipped or moved images and its backend begins fully connected, with the
        student as trained, its first layer solved for (`Recipe.solved`).
    material
        Captures, twin, and what the teacher says.
    seed
        For everything random.
    on_step
        Called after each step.
    on_part
        Called with each part of the images that a layer is solved for.

    Returns
    -------
    The new backend, in evaluation mode.
    """
    if method == "map":
        simulated = copy.deepcopy(material.lecture.student.backend)
        fold_in(fit_ridge_map(material.features, material.simulated), split_backend(simulated)[1])
        return simulated.eval()
    if method == "none":
        return copy.deepcopy(backend).eval()
    recipe = material.recipe(method)
    matched = copy.deepcopy(material.lecture.student.backend if recipe.solved else backend)
    layers = split_backend(matched)[1]
    if recipe.solved:
        layers[0].load_state_dict(material.solved(twin=recipe.twin, on_part=on_part))
    _train(layers, recipe, material, seed, on_step)
    return matched.eval()


def _train(layers: nn.Sequential, recipe: Recipe, material: Material, seed: int, on_step: Callable[[], None]) -> None:
    lecture, captured = material.lecture, material.captured
    teaching = lecture.teaching if recipe.twin else lecture.teaching.of(captured.indices)
    features = material.predicted if recipe.twin else material.features
    weights, outputs = replace(recipe.weights, overlap=lecture.overlap), teaching.outputs
    if weights.ntkd:
        few = features[: min(len(captured.indices), teaching.batch)].float()
        require_trainable_kernel(layers, few, outputs=outputs)

    step = count()

    def loss_of(indices: Tensor) -> Tensor:
        mine = weights.at(next(step), recipe.kernel_every)
        return distillation_loss(
            layers, features[indices].float(), teaching.lesson(indices, mine), mine, outputs=outputs
        )

    layers.train()
    with seeded(seed):
        fit(
            [(recipe.learning_rate, layers.parameters())],
            teaching.batches(recipe.steps),
            loss_of,
            steps=recipe.steps,
            on_step=on_step,
        )
