"""What the exact kernel and its estimate would cost on a model and batch, and which of them to take."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch.nn import functional as F  # noqa: N812

from labonn.ntk.tape import Operation, Recording, Value, value_of

DEFAULT_MEMORY_BYTES = 2_000_000_000
PATIENCE = 8.0  # how many times the estimate's multiply-adds the exact kernel may take before it is not worth them
_ONLY_SHAPE = {"flatten", "view", "reshape", "unflatten", "squeeze", "unsqueeze", "permute", "transpose", "contiguous"}
_KEPT_WITH_GRADIENT = 3  # what is kept, its gradient, and what an operation needs while it runs


@dataclass(frozen=True)
class Cost:
    """Of one kernel with the backward pass of a loss on it."""

    multiply_adds: float
    nbytes: float

    def __str__(self) -> str:
        return f"{self.multiply_adds / 1e9:.3g} G multiply-adds, {self.nbytes / 1e6:.3g} MB"


@dataclass(frozen=True)
class Choice:
    """What ``method="auto"`` does, and why; `str()` of it is the explanation."""

    method: str
    samples: int
    outputs: int
    probes: int
    exact: Cost
    probe: Cost
    step: Cost
    memory_bytes: int

    def __str__(self) -> str:
        ratio = self.exact.multiply_adds / self.probe.multiply_adds
        if self.exact.nbytes > self.memory_bytes:
            reason = f"the exact kernel would need more than the {self.memory_bytes / 1e6:.4g} MB allowed"
        else:
            verdict = "more than" if ratio > PATIENCE else "no more than"
            reason = (
                f"the exact kernel takes {ratio:.3g} times the work of the estimate, {verdict} the {PATIENCE:g} allowed"
            )
        return (
            f"{self.method}: {reason}. {self.samples} samples, {self.outputs} outputs. Exact: {self.exact}. "
            f"{self.probes} probe{'s' * (self.probes > 1)}: {self.probe}. "
            f"A cross-entropy step, for comparison: {self.step}."
        )


def choose(recording: Recording, probes: int, others: int, memory_bytes: int) -> Choice:
    """Choose between the exact traced kernel and an estimate from `probes`, against `others` samples."""
    outputs = math.prod(recording.output.tensor.shape[1:])
    exact = kernel_cost(recording, outputs, others)
    probe = kernel_cost(recording, probes, others)
    fits = exact.nbytes <= memory_bytes
    worth = exact.multiply_adds <= PATIENCE * probe.multiply_adds
    method = "exact" if outputs <= probes or (fits and worth) else "probe"
    return Choice(method, recording.samples, outputs, probes, exact, probe, _step_cost(recording), memory_bytes)


@dataclass(frozen=True)
class _Layer:
    forward: int  # multiply-adds of one sample
    outer: int  # rows of the weight
    inner: int  # columns of the weight
    positions: int
    values: int  # outputs of one sample
    element: int  # bytes
    weight: bool  # wanted
    inputs: bool  # wanted


def _layers(recording: Recording) -> list[_Layer]:
    return [_layer(op) for op in recording.operations if op.output.sample and op.name not in _ONLY_SHAPE]


def _layer(operation: Operation) -> _Layer:
    out = operation.output.tensor
    values, element = math.prod(out.shape[1:]), out.element_size()
    inputs = any(value.wanted and value.sample for value in operation.inputs)
    if operation.func in (F.linear, F.conv2d, F.conv_transpose2d):
        weight = operation.args[1] if len(operation.args) > 1 else operation.kwargs["weight"]
        shape = value_of(weight).shape
        outer, inner = shape[0], math.prod(shape[1:])
        positions = values // outer
        if operation.func is F.conv_transpose2d:
            positions = math.prod(value_of(operation.args[0]).shape[2:])
        wanted = isinstance(weight, Value) and weight.wanted
        return _Layer(positions * outer * inner, outer, inner, positions, values, element, wanted, inputs)
    weights = sum(value.tensor.numel() for value in operation.inputs if not value.sample)
    return _Layer(values, 1, weights, 1, values, element, weights > 0, inputs)


def _step_cost(recording: Recording) -> Cost:
    n = recording.samples
    layers = _layers(recording)
    work = sum(layer.forward * (1 + layer.weight + layer.inputs) for layer in layers)
    return Cost(n * work, 2.0 * n * sum(layer.values * layer.element for layer in layers))


def kernel_cost(recording: Recording, classes: int, others: int) -> Cost:
    """Count the traced kernel of a batch with `others` samples (its own, if as many), following `classes` gradients."""
    n, c = recording.samples, classes
    pairs = n * others
    work = kept = 0.0
    tail, factored = (
        True,
        False,
    )  # above the last nonlinearity gradients are common; below it, once more, up to a factor
    for layer in reversed(_layers(recording)):
        rows = 1 if tail else n
        # forwards; then each product's parts of the backward pass: one for each factor that depends on what is trained,
        # and one for a Gram matrix of something with itself
        work += n * layer.forward * (1 + layer.weight + layer.inputs)
        if layer.inputs:
            work += 3 * rows * c * layer.forward
        if layer.weight and layer.positions == 1:
            of_gradients = 0 if tail else layer.outer if factored else c * layer.outer
            work += pairs * (layer.inner * (1 + layer.inputs) + 2 * of_gradients)
        elif layer.weight:
            matrix = c * layer.outer * layer.inner
            written = n * layer.positions * matrix * (2 + layer.inputs) + 2 * pairs * matrix
            of_positions = pairs * layer.positions**2 * (layer.inner * (1 + layer.inputs) + 2 * c * layer.outer)
            work += min(written, of_positions)
            kept += layer.element * (n * matrix if written <= of_positions else 2 * pairs * layer.positions**2)
        followed = rows * c if tail or not factored else n + c
        kept += layer.element * (n + followed) * layer.values
        if layer.forward == layer.values:  # not a layer with a weight: taken for a nonlinearity
            tail, factored = False, tail or factored
        else:
            factored = False
    return Cost(work, _KEPT_WITH_GRADIENT * kept + 8.0 * pairs)
