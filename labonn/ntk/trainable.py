"""Refuse to train on a kernel that training cannot change."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from labonn.errors import TrainingError
from labonn.ntk.exact import Outputs
from labonn.ntk.kernel import empirical_ntk
from labonn.ntk.validate import Parameters

_ENOUGH_SAMPLES = 16


def require_trainable_kernel(
    model: nn.Module,
    x: Tensor,
    *,
    trained: Iterable[Tensor] | None = None,
    parameters: Parameters = None,
    outputs: Outputs | None = None,
) -> None:
    """Check, before a training on `empirical_ntk(model, x, parameters=..., outputs=...)`, that it can change anything.

    The kernel of a single linear layer's logits, (x x' + 1) for each output, does not contain the layer's weights: a
    loss on it has no gradient, and a training would silently ignore it. The kernel of a hidden ReLU layer alone is
    constant but for jumps, which is as bad. Computing such a kernel is fine and stays allowed.

    Parameters
    ----------
    model, x, parameters, outputs
        As they will be given to `empirical_ntk`; a few samples of the training data are enough for `x`.
    trained
        The parameters that the optimiser moves; by default those of the model that require a gradient.

    Raises
    ------
    TrainingError
        If the kernel of these samples has no gradient with respect to any trained parameter, or a zero one.
    """
    moved = [p for p in (model.parameters() if trained is None else trained) if p.requires_grad]
    if not moved:
        raise TrainingError("no parameter of this training requires a gradient; nothing can be trained on the kernel")
    with torch.enable_grad():
        kernel = empirical_ntk(model, x[:_ENOUGH_SAMPLES], method="exact", parameters=parameters, outputs=outputs)
        gradients: tuple[Tensor | None, ...] = ()
        if kernel.requires_grad:
            weights = torch.linspace(1.0, 2.0, kernel.numel(), dtype=kernel.dtype, device=kernel.device)
            gradients = torch.autograd.grad(kernel.flatten() @ weights, moved, allow_unused=True)
    if not any(gradient is not None and bool(gradient.any()) for gradient in gradients):
        raise TrainingError(
            "the neural tangent kernel of this model does not depend on the parameters that are trained, so a loss "
            "on it has "
            "no gradient and would train nothing (the kernel of a single linear layer's logits does not contain its "
            "weights). "
            "Three ways out: take the kernel of the softmax outputs (outputs=lambda z: z.softmax(-1)); include the "
            "frontend's parameters, or its gains, in the kernel and in the training; or give the backend a hidden layer"
        )
