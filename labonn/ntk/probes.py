"""Estimates of the traced kernel from random probes, and how far they can be trusted."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from labonn.ntk.exact import Outputs, contract, factors_of
from labonn.ntk.tape import Recording, Tape
from labonn.ntk.validate import Parameters, check_batch, chosen_parameters

ProbeKind = Literal["outputs", "jvp", "finite-difference"]


@dataclass(frozen=True)
class Estimate:
    """An estimated kernel.

    Attributes
    ----------
    kernel
        (N, M), the mean over probes; differentiable as the exact one.
    standard_error
        (N, M), of that mean, from the spread of the probes; None for a single probe, which says nothing about itself. A
        probe scales or tilts the whole kernel, so the errors of its entries are not independent.
    probes, kind
        How it was made.
    """

    kernel: Tensor
    standard_error: Tensor | None
    probes: int
    kind: ProbeKind


def random_signs(
    shape: tuple[int, ...], count: int, generator: torch.Generator | None, device: torch.device | None = None
) -> Tensor:
    """Return `count` independent arrays of +1 and -1, (count, *shape)."""
    where = generator.device if generator is not None else device
    return torch.randint(0, 2, (count, *shape), generator=generator, device=where).float() * 2 - 1


def output_probes(count: int, generator: torch.Generator | None) -> Callable[[Recording], Tensor]:
    """Return readouts for `factors_of` whose traced kernel estimates the outputs': signs / sqrt(count), drawn once."""
    drawn: list[Tensor] = []

    def readouts(recording: Recording) -> Tensor:
        if not drawn:
            shape = tuple(recording.output.tensor.shape[1:])
            drawn.append(random_signs(shape, count, generator) / count**0.5)
        return drawn[0]

    return readouts


def estimate_ntk(
    model: nn.Module,
    x: Tensor,
    x2: Tensor | None = None,
    *,
    kind: ProbeKind = "outputs",
    probes: int = 1,
    step: float = 1e-3,
    parameters: Parameters = None,
    outputs: Outputs | None = None,
    generator: torch.Generator | None = None,
) -> Estimate:
    r"""Estimate the traced kernel from random probes.

    Parameters
    ----------
    model, x, x2, parameters, outputs
        As for `empirical_ntk`.
    kind
        ``"outputs"``
            Hutchinson over outputs: E[(v^T J)(v^T J')^T] = tr(J J'^T) for random signs v, common to all samples. Exact
            in the parameters, so a model with one output has no error at all. Unbiased.
        ``"jvp"``
            Forward mode over parameters: E[(J v) . (J' v)] = tr(J J'^T) for standard normal v. A kernel of rank C a
            probe. Unbiased.
        ``"finite-difference"``
            The same with J v replaced by (f(theta + step v) - f(theta)) / step: two runs of the model, no derivative.
            Biased, by the curvature along v for a large step and by rounding for a small one. Source: Wang et al.,
            "NTK-SAP", ICLR 2023, eq. 5.
    probes
        How many; the error falls with its square root.
    step
        For ``finite-difference``, in units of the parameters.
    generator
        Where the probes are drawn from; torch's own by default.

    Returns
    -------
    Estimate
        With a standard error from two probes on.

    Raises
    ------
    ValueError, TrainingError
        As `empirical_ntk` does, and for fewer than one probe.
    """
    wanted = chosen_parameters(model, parameters)
    check_batch(x)
    if x2 is not None:
        check_batch(x2, "x2")
    if probes < 1:
        raise ValueError(f"probes is {probes}; at least one is needed")
    kernels = []
    for _ in range(probes):
        if kind == "outputs":
            readouts = output_probes(1, generator)
            left = factors_of(model, x, wanted, outputs, readouts)
            right = left if x2 is None else factors_of(model, x2, wanted, outputs, readouts)
            kernels.append(contract(left, right, "trace"))
            continue
        direction = {name: _normal(parameter, generator) for name, parameter in wanted.items()}
        tangents = [
            _tangent(model, batch, wanted, direction, outputs, None if kind == "jvp" else step).flatten(1)
            for batch in ((x,) if x2 is None else (x, x2))
        ]
        kernels.append(tangents[0] @ tangents[-1].T)
    stack = torch.stack(kernels)
    error = None if probes == 1 else stack.detach().std(0) / probes**0.5
    return Estimate(stack.mean(0), error, probes, kind)


def _normal(parameter: Tensor, generator: torch.Generator | None) -> Tensor:
    where = parameter.device if generator is None else generator.device
    return torch.randn(parameter.shape, generator=generator, device=where, dtype=parameter.dtype).to(parameter.device)


def _tangent(
    model: nn.Module,
    x: Tensor,
    parameters: Mapping[str, Tensor],
    direction: Mapping[str, Tensor],
    outputs: Outputs | None,
    step: float | None,
) -> Tensor:
    """Return J v of every sample, or its finite difference, (N, ...)."""

    def function(values: dict[str, Tensor]) -> Tensor:
        guard = Tape(x, {})
        guard.muted = True
        with guard:
            result = torch.func.functional_call(model, values, (x,))
            result = result if outputs is None else outputs(result)
        return result

    here = dict(parameters)
    if step is None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*torch.jit.script")  # torch's own, at the first call
            _, tangent = torch.func.jvp(function, (here,), (dict(direction),))  # type: ignore[misc]
        return _checked(tangent, x)
    there = {name: value + step * direction[name] for name, value in here.items()}
    return _checked((function(there) - function(here)) / step, x)


def _checked(tangent: Tensor, x: Tensor) -> Tensor:
    if tangent.shape[:1] != x.shape[:1]:
        raise ValueError(
            f"the model gives {tuple(tangent.shape)} for {x.shape[0]} samples; the first axis has to be the batch"
        )
    return tangent


class Readouts:
    """A fixed set of random combinations of a dense output, to be given as ``outputs=``.

    The traced kernel of these `count` readouts is the ``outputs`` estimate with `count` probes, always the same ones:
    what a teacher's kernel that is kept on disk needs, and what makes a segmentation network's kernel (C = H W outputs)
    affordable.

    Parameters
    ----------
    outputs
        How many outputs one sample has, C.
    count
        How many readouts, signs / sqrt(count) each.
    seed
        Of their drawing.
    of
        A function of a module, which is applied to the outputs before they are combined.
    """

    def __init__(self, outputs: int, count: int, seed: int = 0, of: Outputs | None = None) -> None:
        self.key = f"Readouts({outputs}, {count}, {seed})"
        if of is not None:
            self.key = f"Readouts({outputs}, {count}, {seed}, {of.__module__}.{of.__qualname__})"
        self._of = of
        generator = torch.Generator().manual_seed(seed)
        self._matrix = random_signs((outputs,), count, generator) / count**0.5

    def __call__(self, outputs: Tensor) -> Tensor:
        """Combine outputs (N, ...) of C values each to (N, count)."""
        if self._of is not None:
            outputs = self._of(outputs)
        return nn.functional.linear(outputs.flatten(1), self._matrix.to(outputs))
