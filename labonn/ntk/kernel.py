"""Empirical neural tangent kernels of any torch.nn.Module."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from labonn.ntk.exact import Outputs, contract, factors_of
from labonn.ntk.validate import Parameters, check_batch, chosen_parameters

Method = Literal["exact", "probe", "auto"]


def empirical_ntk(
    model: nn.Module,
    x: Tensor,
    x2: Tensor | None = None,
    *,
    trace: bool = True,
    method: Method = "auto",
    probes: int = 1,
    parameters: Parameters = None,
    outputs: Outputs | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    wanted = chosen_parameters(model, parameters)
    check_batch(x)
    if x2 is not None:
        check_batch(x2, "x2")
    if method == "probe":

        def readouts(shape: torch.Size) -> Tensor:
            signs = torch.randint(0, 2, (probes, *shape), generator=generator)
            return (2.0 * signs - 1) / probes**0.5

        drawn: list[Tensor] = []

        def once(shape: torch.Size) -> Tensor:
            if not drawn:
                drawn.append(readouts(shape))
            return drawn[0]

        chosen = once
    else:
        chosen = None
    left = factors_of(model, x, wanted, outputs, chosen)
    right = left if x2 is None else factors_of(model, x2, wanted, outputs, chosen)
    return contract(left, right, "trace" if trace else "full")
