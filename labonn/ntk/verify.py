"""The layer rules held against plain autograd on two samples, once for each model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

SAMPLES = 2
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-7}


@contextmanager
def same_randomness(x: Tensor) -> Iterator[None]:
    """Leave the random state as it was, so that a second run draws what the first did."""
    with torch.random.fork_rng(devices=[x.device] if x.device.type == "cuda" else []):
        yield


def autograd_kernel(
    model: nn.Module,
    x: Tensor,
    parameters: Mapping[str, Tensor],
    outputs: Callable[[Tensor], Tensor] | None,
    readout: Tensor,
) -> Tensor:
    """Return the kernel (N, N) of one combination (*shape) of the outputs, sample after sample by autograd."""
    with torch.enable_grad(), same_randomness(x):
        values = {name: parameter.detach().clone().requires_grad_() for name, parameter in parameters.items()}
        result = torch.func.functional_call(model, values, (x.detach(),))
        result = result if outputs is None else outputs(result)
        scalars = (result * readout).flatten(1).sum(1)
        rows = []
        for scalar in scalars:
            if not scalar.requires_grad:
                rows.append(x.new_zeros(1))
                continue
            gradients = torch.autograd.grad(
                scalar, list(values.values()), retain_graph=True, allow_unused=True, materialize_grads=True
            )
            rows.append(torch.cat([gradient.flatten() for gradient in gradients]))
    gradients_of_all = torch.stack(rows).detach()
    return gradients_of_all @ gradients_of_all.T


def agrees(kernel: Tensor, reference: Tensor) -> bool:
    """Whether two kernels are the same up to rounding; nothing can be said where one overflows."""
    if not bool(torch.isfinite(reference).all()):
        return True
    tolerance = _TOLERANCE.get(reference.dtype, 1e-3)
    return bool((kernel.detach() - reference).norm() <= tolerance * reference.norm())
