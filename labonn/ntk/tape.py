"""What a model computed on one batch, operation by operation, recorded while it ran.

Recording the run itself (instead of tracing the code) takes any Python control flow as it comes, and each operation is
kept with the tensors that really went through it. A value is *sample-wise* if it depends on the batch (its first axis
is then the batch), and *wanted* if it depends on a parameter with respect to which the kernel is taken. Only what is
wanted is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.overrides import TorchFunctionMode

from labonn.errors import TrainingError


class UncoveredError(Exception):
    """No rule applies at this place; a larger part of the model has to go through torch.func."""

    def __init__(self, reason: str, module: str | None = None) -> None:
        super().__init__(reason)
        self.module = module


@dataclass(eq=False, slots=True)
class Value:
    """A tensor of the recorded run. `parameter` is the name where it is itself a wanted parameter."""

    tensor: Tensor
    version: int
    sample: bool
    wanted: bool
    parameter: str | None = None


@dataclass(eq=False, slots=True)
class Operation:
    """A call of `func` with `Value`s in place of known tensors; `index` picks from a tuple of results.

    `where` says which element of each window max pooling took.
    """

    func: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: list[Value]
    output: Value
    index: int | None
    module: str | None
    in_place: bool = False
    where: Tensor | None = None

    @property
    def name(self) -> str:
        """What to call the operation in a message."""
        return str(getattr(self.func, "__name__", None) or self.func)

    def bind(self, *names: str, **defaults: Any) -> tuple[Any, ...]:
        """Return the arguments of these names in order, whether passed by position or by keyword."""
        if len(self.args) > len(names) or any(name not in names for name in self.kwargs):
            raise self.uncovered("unexpected arguments")
        given = dict(zip(names, self.args, strict=False)) | self.kwargs
        return tuple(given.get(name, defaults.get(name)) for name in names)

    def uncovered(self, reason: str) -> UncoveredError:
        """Return the error that says why no rule covers this operation."""
        return UncoveredError(f"{self.name}: {reason}", self.module)

    def replay(self, substitute: Callable[[Value], Tensor]) -> Tensor:
        """Run the operation again with other tensors in the places of its values."""

        def tensor(value: Value) -> Tensor:
            replacement = substitute(value)
            return replacement.clone() if self.in_place else replacement

        result = self.func(*_map(self.args, tensor), **_map(self.kwargs, tensor))
        chosen: Tensor = result if self.index is None else result[self.index]
        return chosen


@dataclass(frozen=True)
class Recording:
    """A finished run: its operations in order and what came out; `samples` is the batch's size."""

    operations: list[Operation]
    output: Value
    samples: int


def value_of(argument: Any) -> Any:
    """Return the tensor of a `Value`, and anything else as it is."""
    return argument.tensor if isinstance(argument, Value) else argument


def _map(tree: Any, tensor: Callable[[Value], Tensor]) -> Any:
    if isinstance(tree, Value):
        return tensor(tree)
    if isinstance(tree, (list, tuple)):
        return type(tree)(_map(item, tensor) for item in tree)
    if isinstance(tree, dict):
        return {key: _map(item, tensor) for key, item in tree.items()}
    return tree


_DROPOUTS = {
    getattr(F, name)
    for name in ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")
} | {torch.dropout}
_STOPS = {  # what comes out has no derivative: noise added to maps is what it is
    *(Tensor.detach, Tensor.data.__get__, torch.poisson, torch.bernoulli),  # type: ignore[attr-defined]
    *(torch.zeros_like, torch.ones_like, torch.empty_like, torch.full_like, torch.rand_like, torch.randn_like),
    *(Tensor.new_zeros, Tensor.new_ones, Tensor.new_empty, Tensor.new_full, Tensor.new_tensor),
}


_GUARDED = _DROPOUTS | {F.batch_norm}


@cache
def _writes(func: Callable[..., Any]) -> bool:
    """Whether a function changes its first argument, going by torch's naming."""
    name = getattr(func, "__name__", "")
    return (name.endswith("_") and not name.endswith("__")) or name == "__setitem__"


def _refuse_random_or_mixing(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if func is F.batch_norm:
        training = kwargs.get("training", args[5] if len(args) > 5 else False)
        if training:
            raise TrainingError(
                "the kernel of this model is not defined: a batch norm in training mode mixes the samples of a batch; "
                "call .eval() on it first, so that it uses its running statistics"
            )
    elif func in _DROPOUTS:
        rate = args[1] if len(args) > 1 else kwargs.get("p", 0.5)
        training = args[2] if len(args) > 2 else kwargs.get("training", True)
        if training and rate > 0:
            raise TrainingError(
                f"the kernel of this model is not defined: dropout with p = {rate} is active and draws another "
                "network at every call; call .eval() on it first"
            )


class Tape(TorchFunctionMode):
    """Records what happens to `x` and to the wanted parameters while it is entered."""

    def __init__(self, x: Tensor, parameters: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.samples = x.shape[0]
        self.operations: list[Operation] = []
        self.muted = False
        self.modules: list[str] = []
        self._known: dict[int, Value] = {}
        self._add(x, sample=True, wanted=False)
        for name, parameter in parameters.items():
            self._add(parameter, sample=False, wanted=True, parameter=name)

    def _add(self, tensor: Tensor, *, sample: bool, wanted: bool, parameter: str | None = None) -> Value:
        value = Value(tensor, tensor._version, sample, wanted, parameter)
        self._known[id(tensor)] = value
        return value

    def _uncovered(self, reason: str) -> UncoveredError:
        return UncoveredError(reason, self.modules[-1] if self.modules else None)

    def _swap(self, tree: Any, found: list[Value]) -> Any:
        """Put what is known of them in the places of tensors, and list it in `found`."""
        if isinstance(tree, Tensor):
            value = self._known.get(id(tree))
            if value is None:
                return tree
            if value.version != tree._version:
                raise self._uncovered("a tensor was changed in place through a view")
            found.append(value)
            return value
        if type(tree) is tuple:
            return tuple([self._swap(item, found) for item in tree])
        if type(tree) is list:
            return [self._swap(item, found) for item in tree]
        return tree

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _GUARDED:
            _refuse_random_or_mixing(func, args, kwargs)
        if self.muted:
            return func(*args, **kwargs)
        inputs: list[Value] = []
        swapped = self._swap(args, inputs)
        swapped_kwargs = {key: self._swap(item, inputs) for key, item in kwargs.items()} if kwargs else {}
        if not inputs:
            return func(*args, **kwargs)
        in_place = _writes(func) or kwargs.get("inplace") is True
        if in_place:
            self._keep_what_is_overwritten(args[0])
        if func is F.max_pool2d and not kwargs.get("return_indices") and len(args) < 7:
            result, where = F.max_pool2d_with_indices(*args, **kwargs)
        else:
            result, where = func(*args, **kwargs), None
        self.note(func, swapped, swapped_kwargs, inputs, result, in_place=in_place, where=where)
        return result

    def _keep_what_is_overwritten(self, tensor: Tensor) -> None:
        value = self._known.get(id(tensor))
        if value is None:
            return
        if value.parameter is not None:
            raise self._uncovered("a parameter is changed in place")
        value.tensor = tensor.clone()
        value.version = value.tensor._version

    def note(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        inputs: list[Value],
        result: Any,
        *,
        in_place: bool = False,
        where: Tensor | None = None,
    ) -> None:
        """Write down a call that was made, with what it returned."""
        if func is Tensor.__setitem__:
            raise self._uncovered("assignment to a part of a tensor")
        sample = wanted = False
        for value in inputs:
            sample = sample or value.sample
            wanted = wanted or value.wanted
        wanted = wanted and func not in _STOPS
        if isinstance(result, Tensor):
            results: list[tuple[int | None, Any]] = [(None, result)]
        else:
            results = list(enumerate(result)) if isinstance(result, (tuple, list)) else []
        for index, tensor in results:
            if not isinstance(tensor, Tensor):
                continue
            known = self._known.get(id(tensor))
            if known is not None and known in inputs and known.version == tensor._version and not in_place:
                continue  # the operation did nothing: dropout in evaluation mode, contiguous() of what is contiguous
            differentiable = wanted and tensor.is_floating_point()
            output = self._add(tensor, sample=sample, wanted=differentiable)
            if not differentiable:
                continue
            if sample and tensor.shape[:1] != (self.samples,):
                shape = tuple(tensor.shape)
                raise self._uncovered(f"{getattr(func, '__name__', func)} gives {shape}: no batch axis in front")
            module = self.modules[-1] if self.modules else None
            self.operations.append(Operation(func, args, kwargs, inputs, output, index, module, in_place, where))

    def apply(self, function: Callable[[Tensor], Tensor], tensor: Tensor) -> Tensor:
        """Call a function and write it down as one operation; for what cannot be recorded inside."""
        result = function(tensor)
        value = self._known.get(id(tensor))
        if value is not None:
            self.note(function, (value,), {}, [value], result)
        return result

    def finish(self, result: Any) -> Recording:
        """Return the recording, once nothing was found to have been changed behind its back."""
        if not isinstance(result, Tensor):
            raise TypeError(
                f"the kernel needs a model that returns one tensor, not {type(result).__name__}; use outputs="
            )
        if result.shape[:1] != (self.samples,):
            raise TrainingError(
                f"the kernel of this model is not defined: {self.samples} samples went in and {tuple(result.shape)} "
                "came out; the first axis has to be the batch"
            )
        for operation in self.operations:
            for value in (*operation.inputs, operation.output):
                if value.tensor._version != value.version:
                    raise operation.uncovered("a tensor was changed in place later on")
        output = self._known.get(id(result))
        return Recording(self.operations, output or Value(result, result._version, True, False), self.samples)


@contextmanager
def listening(tape: Tape, model: nn.Module, opaque: frozenset[str], *, track: bool) -> Iterator[None]:
    """Make the tape take each module named in `opaque` as one operation, and know where it is if `track`."""
    handles = []
    wanted = {id(value.tensor): value for value in tape._known.values() if value.parameter is not None}
    for name, module in model.named_modules():
        if name in opaque:
            handles += _hook_opaque(tape, module, name, wanted)
        elif track:
            handles += _hook_tracked(tape, module, name)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hook_tracked(tape: Tape, module: nn.Module, name: str) -> list[Any]:
    def before(_module: nn.Module, _args: Any) -> None:
        tape.modules.append(name)

    def after(_module: nn.Module, _args: Any, _result: Any) -> None:
        tape.modules.pop()

    return [module.register_forward_pre_hook(before), module.register_forward_hook(after)]


def _hook_opaque(tape: Tape, module: nn.Module, name: str, wanted: dict[int, Value]) -> list[Any]:
    own = {own_name: wanted[id(p)] for own_name, p in module.named_parameters() if id(p) in wanted}

    def before(_module: nn.Module, _args: Any, _kwargs: Any) -> None:
        if tape.muted:
            raise UncoveredError("an opaque module inside another", name)
        tape.muted = True
        tape.modules.append(name)

    def after(_module: nn.Module, args: Any, kwargs: Any, result: Any) -> None:
        tape.muted = False
        inputs: list[Value] = []
        swapped = tape._swap(tuple(args), inputs)
        named = {key: tape._swap(item, inputs) for key, item in kwargs.items()}
        inputs += own.values()

        def whole_module(*parts: Any, weights: dict[str, Tensor], **rest: Any) -> Any:
            return torch.func.functional_call(module, weights, parts, rest)

        whole_module.__name__ = type(module).__name__
        tape.note(whole_module, swapped, {**named, "weights": dict(own)}, inputs, result)
        tape.modules.pop()

    return [
        module.register_forward_pre_hook(before, with_kwargs=True),
        module.register_forward_hook(after, with_kwargs=True),
    ]
