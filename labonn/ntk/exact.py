"""The exact kernel: record the model, walk back, contract every layer's factor with its counterpart."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from labonn.errors import TrainingError
from labonn.ntk import rules as _rules  # noqa: F401  (fills the table of rules)
from labonn.ntk.cotangent import Cotangent
from labonn.ntk.factors import Factor, LinearFactor, Mode
from labonn.ntk.fused import linear_traces
from labonn.ntk.tape import Recording, Tape, UncoveredError, listening
from labonn.ntk.verify import SAMPLES, agrees, autograd_kernel, same_randomness
from labonn.ntk.walk import Walk

logger = logging.getLogger("labonn.ntk")

Outputs = Callable[[Tensor], Tensor]
Readouts = Callable[[Recording], Tensor | None]
_OUTPUTS = "(outputs)"


def full_precision(device: torch.device) -> torch.autocast:
    """Under `torch.autocast`, too, a kernel is computed in the precision of its inputs."""
    return torch.autocast(device.type, enabled=False)


@dataclass
class _Learned:
    """What earlier runs of a model found out, for one choice of parameters."""

    opaque: frozenset[str] = frozenset()
    announced: frozenset[str] = frozenset()
    verified: bool = False


_learned: WeakKeyDictionary[nn.Module, dict[tuple[object, ...], _Learned]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Factors:
    """Everything about one batch that its kernels with other batches need."""

    parts: list[Factor]
    samples: int
    classes: int
    like: Tensor

    def nbytes(self) -> int:
        """Memory that the factors keep alive."""
        kept = {tensor.data_ptr(): tensor.nbytes for part in self.parts for tensor in part.tensors()}
        return sum(kept.values())


def factors_of(
    model: nn.Module,
    x: Tensor,
    parameters: Mapping[str, Tensor],
    outputs: Outputs | None = None,
    readouts: Readouts | None = None,
) -> Factors:
    """Run the model on a batch and return each layer's factor.

    The first time for a model and a choice of parameters, the result for two samples is compared with autograd's.

    Parameters
    ----------
    model, x
        Any module, and a batch of its inputs, (N, ...).
    parameters
        The parameters with respect to which the kernel is taken, by name.
    outputs
        A function of the model's outputs to take the kernel of, sample by sample.
    readouts
        Given the recording, the combinations of outputs (C', *shape) whose gradients are followed instead of each
        output's by itself (probes), or None for that.
    """
    code = getattr(outputs, "__code__", outputs)
    learned = _learned.setdefault(model, {}).setdefault((tuple(parameters), code, model.training), _Learned())
    with full_precision(x.device):
        if not learned.verified:
            try:
                _verify(model, x[:SAMPLES], parameters, outputs, learned)
            except (RuntimeError, IndexError):  # a model for batches of one size
                _verify(model, x, parameters, outputs, learned)
            learned.verified = True
        return _follow(model, x, parameters, outputs, readouts, learned)


def _verify(
    model: nn.Module, x: Tensor, parameters: Mapping[str, Tensor], outputs: Outputs | None, learned: _Learned
) -> None:
    """Hold the rules against autograd; where they differ, let torch.func take the whole model, and hold that."""
    drawn: list[Tensor] = []

    def readout(recording: Recording) -> Tensor:
        shape = recording.output.tensor.shape[1:]
        signs = torch.randint(0, 2, (1, *shape), generator=torch.Generator().manual_seed(0))
        drawn.append((2 * signs - 1).to(recording.output.tensor))
        return drawn[-1]

    def kernel() -> Tensor:
        with torch.no_grad(), same_randomness(x):
            factors = _follow(model, x, parameters, outputs, readout, learned)
            return contract(factors, factors, "trace")

    first = kernel()
    reference = autograd_kernel(model, x, parameters, outputs, drawn[-1][0])
    if agrees(first, reference):
        return
    logger.info("ntk: by layer rules, this model's kernel is not what autograd says; torch.func takes the whole model")
    learned.opaque = frozenset({"", _OUTPUTS} if outputs is not None else {""})
    if not agrees(kernel(), reference):
        raise TrainingError(
            "the kernel of this model, sample by sample, is not what autograd says of a whole batch: a sample's output "
            "depends on the other samples or on chance, or the model has a derivative of its own that torch.func "
            "cannot follow. Use evaluation mode, parameters= or outputs= to leave that part out"
        )


def _follow(
    model: nn.Module,
    x: Tensor,
    parameters: Mapping[str, Tensor],
    outputs: Outputs | None,
    readouts: Readouts | None,
    learned: _Learned,
) -> Factors:
    opaque = learned.opaque
    track = bool(opaque)
    while True:
        try:
            recording = record(model, x, parameters, outputs, opaque, track=track)
            shape = recording.output.tensor.shape[1:]
            like = recording.output.tensor.detach()
            probes = None if readouts is None else readouts(recording)
            combinations = _each_output(tuple(shape), like.dtype, like.device) if probes is None else probes.to(like)
            walk = Walk(recording)
            parts = walk.run(Cotangent(combinations.unsqueeze(0), identity=probes is None and len(shape) == 1))
        except UncoveredError as error:
            if not track:
                track = True
                continue
            opaque = _widen(outputs, opaque, error)
            continue
        for name in set(walk.fallen_back) - learned.announced:
            logger.info("ntk: no layer rule for %s here; torch.func takes this layer alone", name)
        learned.opaque, learned.announced = opaque, learned.announced | set(walk.fallen_back)
        return Factors(parts, recording.samples, combinations.shape[0], like)


def record(
    model: nn.Module,
    x: Tensor,
    parameters: Mapping[str, Tensor],
    outputs: Outputs | None,
    opaque: frozenset[str] = frozenset(),
    *,
    track: bool = False,
) -> Recording:
    """Run the model once with the tape on."""
    tape = Tape(x, parameters)
    with ExitStack() as stack:
        if opaque or track:
            stack.enter_context(listening(tape, model, opaque, track=track))
        stack.enter_context(tape)
        result = model(x)
        if outputs is not None and _OUTPUTS not in opaque:
            result = outputs(result)
    if outputs is not None and _OUTPUTS in opaque:
        result = tape.apply(outputs, result)
    return tape.finish(result)


@lru_cache(maxsize=16)
def _each_output(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    count = math.prod(shape)
    return torch.eye(count, dtype=dtype, device=device).reshape(count, *shape)


def _widen(outputs: Outputs | None, opaque: frozenset[str], error: UncoveredError) -> frozenset[str]:
    """Return what torch.func has to take as a whole, now that this much was not enough."""
    name = error.module if error.module is not None else _OUTPUTS if outputs is not None else ""
    while name in opaque and name not in (_OUTPUTS, ""):
        name = name.rpartition(".")[0]
    if name in opaque:
        raise TrainingError(
            f"the kernel of this model is not defined sample by sample: {error}. The kernel needs outputs that "
            "depend on one sample each; use evaluation mode, or outputs= to choose a part that does"
        ) from error
    shown = "the function given as outputs" if name == _OUTPUTS else (name or "the whole model")
    logger.info("ntk: %s; torch.func takes %s as one layer", error, shown)
    if name == _OUTPUTS:
        return opaque | {name}
    prefix = f"{name}." if name else ""
    return frozenset(other for other in opaque if other == _OUTPUTS or not other.startswith(prefix)) | {name}


def contract(left: Factors, right: Factors, mode: Mode) -> Tensor:
    """Sum the layers' contributions: (N, M), or (N, M, C, C) for mode ``full``."""
    shape: tuple[int, ...] = (left.samples, right.samples)
    if mode == "full":
        shape += (left.classes, right.classes)
    if not left.parts:
        return left.like.new_zeros(shape)
    pairs = list(zip(left.parts, right.parts, strict=True))
    grams = []
    with full_precision(left.like.device):
        if left is right and mode == "trace" and torch.is_grad_enabled():
            linear = [part for part in left.parts if isinstance(part, LinearFactor)]
            pairs = [pair for pair in pairs if not isinstance(pair[0], LinearFactor)]
            grams = [linear_traces(linear)] if linear else []
        grams += [one.gram(other, mode) for one, other in pairs]
    kernel, *others = grams
    for other in others:
        kernel = kernel + other
    return kernel if kernel.shape == shape else kernel.expand(shape)
