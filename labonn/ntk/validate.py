"""What the kernel functions accept, and what they say about the rest."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

Parameters = Iterable[nn.Parameter] | Iterable[str] | nn.Module | None


def chosen_parameters(model: nn.Module, parameters: Parameters) -> dict[str, nn.Parameter]:
    """Return the parameters that the kernel is taken with respect to, by name.

    All of the model's by default, whether or not they require a gradient (a frozen teacher has a kernel too); else the
    given ones: parameters, their names, or a part of the model.
    """
    own = dict(model.named_parameters())
    if parameters is None:
        chosen = own
    else:
        given = list(parameters.parameters() if isinstance(parameters, nn.Module) else parameters)
        names = {id(parameter): name for name, parameter in own.items()}
        chosen = {}
        for one in given:
            name = one if isinstance(one, str) else names.get(id(one))
            if name not in own:
                shown = f"a parameter of shape {tuple(one.shape)}" if isinstance(one, Tensor) else repr(one)
                raise ValueError(f"{shown} is not a parameter of this model; it has {', '.join(own) or 'none'}")
            chosen[name] = own[name]
    if not chosen:
        raise ValueError(
            "the kernel needs at least one parameter to be taken with respect to; this model or choice has none"
        )
    for name, parameter in chosen.items():
        if parameter.dtype not in (torch.float32, torch.float64):
            raise ValueError(
                f"the kernel needs float32 or float64 parameters, and {name} is {parameter.dtype}: products of "
                "gradients overflow and cancel in less; convert with model.float()"
            )
    return chosen


def listed(parameters: Parameters) -> Parameters:
    """Return the same choice in a form that can be read more than once, where it was an iterator."""
    if parameters is None or isinstance(parameters, nn.Module):
        return parameters
    return list(parameters)  # type: ignore[return-value]


def check_batch(x: Tensor, name: str = "x") -> None:
    """Raise ValueError for an empty batch, half precision, NaN or infinity, or inference mode."""
    if x.ndim == 0 or x.shape[0] == 0:
        raise ValueError(
            f"{name} has shape {tuple(x.shape)}: the kernel needs a batch of at least one sample, first axis"
        )
    if torch.is_inference_mode_enabled() or x.is_inference():
        raise ValueError(
            f"{name} or this call is under torch.inference_mode, where changes are not tracked; use no_grad"
        )
    if not x.is_floating_point():
        return
    if x.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{name} is {x.dtype}: the kernel needs float32 or float64; convert with {name}.float()")
    detached = x.detach()
    if not math.isfinite(float(detached.sum())) and not bool(torch.isfinite(detached).all()):
        raise ValueError(f"{name} has NaN or infinite values; the kernel of such samples is not defined")
