"""From the outputs back through a recorded run: which gradients reach which parameters.

The backward pass is written as ordinary forward operations on the recorded tensors, with the outputs as one more axis,
so that a loss on the kernel needs only a first-order backward pass of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor

from labonn.ntk.cotangent import Cotangent
from labonn.ntk.factors import DirectFactor, Factor
from labonn.ntk.opaque import through_torch_func
from labonn.ntk.tape import Operation, Recording, UncoveredError, Value

Rule = Callable[["Walk", Operation, Cotangent], None]
RULES: dict[Callable[..., object], Rule] = {}


class Walk:
    """The gradients that are on their way back, and what the parameters have received of them."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.samples = recording.samples
        self.factors: list[Factor] = []
        self.fallen_back: list[str] = []
        self._arriving: dict[Value, Cotangent] = {}
        self._explicit: dict[Value, Tensor] = {}
        self._sent: list[tuple[Value, Cotangent]] = []
        self._given: list[tuple[Value, Callable[[], Tensor]]] = []
        self._uses = Counter(
            id(value) for operation in recording.operations for value in operation.inputs if not value.sample
        )

    def owns(self, argument: object) -> bool:
        """Whether this is a wanted parameter that nothing else uses, so that its layer may keep a factor of its own."""
        return isinstance(argument, Value) and argument.parameter is not None and self._uses[id(argument)] == 1

    def send(self, argument: object, gradient: Cotangent) -> None:
        """Pass a gradient on to a sample-wise value, if anything wanted is behind it."""
        if isinstance(argument, Value) and argument.wanted:
            self._sent.append((argument, gradient))

    def give(self, argument: object, gradients: Callable[[], Tensor]) -> None:
        """Pass gradients (1 or N, C, *shape), written out, to a parameter or to what is computed from parameters."""
        if isinstance(argument, Value) and argument.wanted:
            self._given.append((argument, gradients))

    def _deliver(self) -> None:
        for value, gradient in self._sent:
            arrived = self._arriving.get(value)
            self._arriving[value] = gradient if arrived is None else arrived.plus(gradient)
        for value, gradients in self._given:
            if self.owns(value):
                self.factors.append(DirectFactor(gradients()))
            else:
                before = self._explicit.get(value)
                self._explicit[value] = gradients() if before is None else before + gradients()

    def run(self, outputs: Cotangent) -> list[Factor]:
        """Walk back from `outputs`, the gradients to start with, and return every layer's factor."""
        if not self.recording.output.wanted:
            return []
        self._arriving[self.recording.output] = outputs
        for operation in reversed(self.recording.operations):
            gradient = self._arriving.pop(operation.output, None)
            if gradient is None or not operation.output.sample:
                continue
            self._pass(operation, gradient)
        self._through_computed_weights()
        return self.factors

    def _pass(self, operation: Operation, gradient: Cotangent) -> None:
        """Apply the operation's rule, wholly or not at all; torch.func where there is none or it does not apply."""
        self._sent, self._given = [], []
        kept = len(self.factors)
        rule = RULES.get(operation.func)
        try:
            if rule is None:
                raise operation.uncovered("no rule")
            rule(self, operation, gradient)
        except UncoveredError:
            self._sent, self._given = [], []
            del self.factors[kept:]
            self._fall_back(operation, gradient)
        self._deliver()

    def _fall_back(self, operation: Operation, gradient: Cotangent) -> None:
        self.fallen_back.append(operation.name)
        inputs, weights = through_torch_func(operation, gradient.full(self.samples))
        for value, result in inputs:
            self.send(value, Cotangent(result))
        for value, result in weights:
            self.give(value, lambda result=result: result)  # type: ignore[misc]

    def _through_computed_weights(self) -> None:
        """Bring gradients of computed weights (non-negative, normalised ...) down to the parameters themselves."""
        computed = [value for value in self._explicit if value.parameter is None]
        if computed:
            operations = [op for op in self.recording.operations if not op.output.sample]
            leaves = list({v: None for op in operations for v in op.inputs if v.parameter is not None})

            def weights(*parameters: Tensor) -> tuple[Tensor, ...]:
                now = dict(zip(leaves, parameters, strict=True))
                for operation in operations:
                    now[operation.output] = operation.replay(lambda value: now.get(value, value.tensor))
                return tuple(now[value] for value in computed)

            given = [self._explicit.pop(value) for value in computed]
            rows = max(tensor.shape[0] for tensor in given)
            flat = tuple(tensor.expand(rows, *tensor.shape[1:]).flatten(0, 1) for tensor in given)
            _, pull = torch.func.vjp(weights, *(leaf.tensor for leaf in leaves))  # type: ignore[misc]
            classes = given[0].shape[1]
            for leaf, result in zip(leaves, torch.func.vmap(pull)(flat), strict=True):
                result = result.unflatten(0, (rows, classes))
                before = self._explicit.get(leaf)
                self._explicit[leaf] = result if before is None else before + result
        self.factors += [DirectFactor(gradients) for gradients in self._explicit.values()]
