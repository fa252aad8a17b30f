"""How gradients pass the operations that have no weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from labonn.ntk.cotangent import Cotangent
from labonn.ntk.layers import rule
from labonn.ntk.tape import Operation, Value, value_of
from labonn.ntk.walk import Walk


def _named(*names: str) -> list[Callable[..., Any]]:
    """Return everything that torch offers under these names: functions, methods, and their in-place twins."""
    found = []
    for name in names:
        for place in (torch, F, torch.Tensor):
            for spelling in (name, name + "_"):
                if callable(function := getattr(place, spelling, None)):
                    found.append(function)
    return found


def _only_input(operation: Operation) -> Value:
    """Return the one value that gradients go to; an error if a weight is among the inputs."""
    wanted = [value for value in operation.inputs if value.wanted]
    if len(wanted) != 1 or not wanted[0].sample:
        raise operation.uncovered("more than one input")
    return wanted[0]


def _output_gate(slope: Callable[[Operation, Tensor], Tensor | float]) -> Callable[[Walk, Operation, Cotangent], None]:
    def apply(walk: Walk, operation: Operation, gradient: Cotangent) -> None:
        x = _only_input(operation)
        gate = slope(operation, operation.output.tensor.detach())
        walk.send(x, gradient.times_constant(gate) if isinstance(gate, float) else gradient.times(gate))

    return apply


rule(*_named("relu"))(_output_gate(lambda _, y: y.sign()))


@rule(*_named("abs"), torch.Tensor.__abs__)
def absolute(walk: Walk, operation: Operation, gradient: Cotangent) -> None:
    """|x|, with derivative 0 at 0 as in torch."""
    x = _only_input(operation)
    walk.send(x, gradient.times(x.tensor.detach().sign()))


@rule(
    *_named(
        *("gelu", "leaky_relu", "elu", "selu", "celu", "silu", "mish", "relu6", "hardtanh", "hardswish", "hardsigmoid"),
        *("softplus", "softsign", "logsigmoid", "sigmoid", "tanh", "exp", "expm1", "log", "log1p", "sqrt", "rsqrt"),
        *("square", "sin", "cos", "erf", "pow", "clamp", "clip", "clamp_min", "reciprocal", "tanhshrink"),
    ),
    torch.Tensor.__pow__,
)
def pointwise(walk: Walk, operation: Operation, gradient: Cotangent) -> None:
    """Any function of each element by itself: pulling back ones gives its derivative."""
    x = _only_input(operation)
    if x.tensor.shape != operation.output.tensor.shape:
        raise operation.uncovered("the shape changes")

    def function(tensor: Tensor) -> Tensor:
        return operation.replay(lambda value: tensor if value is x else value.tensor)

    _, pull = torch.func.vjp(function, x.tensor)  # type: ignore[misc]
    (derivative,) = pull(torch.ones_like(x.tensor))
    walk.send(x, gradient.times(derivative))


@rule(*_named("flatten", "reshape", "view", "view_as", "reshape_as", "unflatten", "squeeze", "unsqueeze"))
@rule(*_named("contiguous", "clone"))
def reshape(walk: Walk, operation: Operation, gradient: Cotangent) -> None:
    """Anything that keeps the order of the elements."""
    x = _only_input(operation)
    if x.tensor.shape[0] != walk.samples or x.tensor.numel() != operation.output.tensor.numel():
        raise operation.uncovered("the batch axis is not kept")
    walk.send(x, gradient.reshape(x.tensor.shape[1:]))


@rule(*_named("permute"))
def permute(walk: Walk, operation: Operation, gradient: Cotangent) -> None:
    """Reorder axes behind the batch."""
    axes = (
        operation.args[1] if len(operation.args) == 2 and not isinstance(operation.args[1], int) else operation.args[1:]
    )
    axes = [axis % operation.output.tensor.ndim for axis in (axes or operation.kwargs["dims"])]
    if axes[0] != 0:
        raise operation.uncovered("the batch axis moves")
    back = sorted(range(1, len(axes)), key=lambda place: axes[place])
    walk.send(_only_input(operation), gradient.permute([place - 1 for place in back]))


@rule(*_named("transpose", "swapaxes", "swapdims"))
def transpose(walk: Walk, operation: Operation, gradient: Cotangent) -> None:
    """Swap two axes behind the batch."""
    x = _only_input(operation)
    _, *given = operation.args + tuple(operation.kwargs.values())
    first, second = (axis % x.tensor.ndim for axis in given)
    if 0 in (first, second):
        raise operation.uncovered("the batch axis moves")
    axes = list(range(x.tensor.ndim - 1))
    axes[first - 1], axes[second - 1] = axes[second - 1], axes[first - 1]
    walk.send(x, gradient.permute(axes))


@rule(*_named("cat", "concat", "concatenate"))
def concatenation(walk: Walk, operation: Operation, gradient: Cotangent) -> None:
    """Join along an axis behind the batch."""
    parts, axis = operation.bind("tensors", "dim", dim=0)
    axis %= operation.output.tensor.ndim
    if axis == 0 or any(isinstance(part, Value) and part.wanted and not part.sample for part in parts):
        raise operation.uncovered("along the batch axis, or with a weight")
    start = 0
    for part in parts:
        length = value_of(part).shape[axis]
        walk.send(part, gradient.narrow(axis - 1, start, length))
        start += length


def _through_vjp(walk: Walk, operation: Operation, gradient: Cotangent) -> None:
    """Any operation without weights that treats samples alike: the whole batch at once, over the outputs."""
    x = _only_input(operation)

    def function(tensor: Tensor) -> Tensor:
        return operation.replay(lambda value: tensor if value is x else value.tensor)

    _, pull = torch.func.vjp(function, x.tensor)  # type: ignore[misc]
    (result,) = torch.func.vmap(pull)(gradient.full(walk.samples).transpose(0, 1))
    walk.send(x, Cotangent(result.transpose(0, 1)))


rule(
    *_named(
        "interpolate", "upsample", "pad", "adaptive_avg_pool2d", "pixel_shuffle", "pixel_unshuffle", "unfold", "fold"
    ),
    F.avg_pool1d,
    F.adaptive_avg_pool1d,
)(_through_vjp)


@rule(
    *_named("mean", "sum", "softmax", "log_softmax", "amax", "amin", "logsumexp", "narrow", "select", "chunk", "split")
)
@rule(*_named("unbind"))
def along_axes(walk: Walk, operation: Operation, gradient: Cotangent) -> None:
    """Reductions and cuts along axes that are named and are not the batch."""
    name = operation.name
    place = 2 if name in ("chunk", "split") else 1
    axes = (
        operation.args[place]
        if len(operation.args) > place
        else operation.kwargs.get("dim", operation.kwargs.get("dims"))
    )
    axes = (axes,) if isinstance(axes, int) else axes
    ndim = _only_input(operation).tensor.ndim
    if not axes or any(axis % ndim == 0 for axis in axes):
        raise operation.uncovered("along the batch axis")
    _through_vjp(walk, operation, gradient)


@rule(torch.Tensor.__getitem__)
def cut(walk: Walk, operation: Operation, gradient: Cotangent) -> None:
    """Indexing that keeps the batch whole."""
    _, index = operation.args
    first = index[0] if isinstance(index, tuple) and index else index
    if not (first is Ellipsis or (isinstance(first, slice) and first == slice(None))):
        raise operation.uncovered("the batch axis is indexed")
    _through_vjp(walk, operation, gradient)


@rule(F.max_pool2d, F.max_pool2d_with_indices)
def max_pool(walk: Walk, operation: Operation, gradient: Cotangent) -> None:
    """Each window's gradient goes to its largest element."""
    x, kernel, stride, padding, dilation, ceil_mode, _ = operation.bind(
        *("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"),
        padding=0,
        dilation=1,
        ceil_mode=False,
    )
    inputs = x.tensor
    if inputs.ndim != 4 or operation.index:
        raise operation.uncovered("not a batch of images")
    where = operation.where
    if where is None:
        _, where = F.max_pool2d(inputs.detach(), kernel, stride, padding, dilation, ceil_mode, return_indices=True)
    sides = [(k, k) if isinstance(k, int) else tuple(k) for k in (kernel, stride or kernel, padding, dilation)]
    where = where.flatten(2)
    apart = sides[0] == sides[1] and sides[2] == (0, 0) and sides[3] == (1, 1)
    if apart and not ceil_mode and gradient.base.shape[0] == 1:
        kept = torch.ones_like(operation.output.tensor) if gradient.scale is None else gradient.scale
        scale = inputs.new_zeros(inputs.shape).flatten(2).scatter(2, where, kept.flatten(2)).reshape(inputs.shape)
        rows, columns = sides[0]
        base = gradient.base.repeat_interleave(rows, -2).repeat_interleave(columns, -1)
        missing = (0, inputs.shape[3] - base.shape[-1], 0, inputs.shape[2] - base.shape[-2])
        walk.send(x, Cotangent(F.pad(base, missing) if any(missing) else base, scale))
        return
    dense = gradient.full(walk.samples).flatten(3)
    result = dense.new_zeros(*dense.shape[:3], inputs.shape[2] * inputs.shape[3])
    result = result.scatter_add(3, where.unsqueeze(1).expand_as(dense), dense)
    walk.send(x, Cotangent(result.reshape(*result.shape[:3], *inputs.shape[2:])))


@rule(F.avg_pool2d)
def average_pool(walk: Walk, operation: Operation, gradient: Cotangent) -> None:
    """Each window's gradient is shared by its elements."""
    x, kernel, stride, padding, _ceil, _include, divisor = operation.bind(
        *("input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"), padding=0
    )
    inputs = x.tensor
    rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
    whole = inputs.shape[-2:] == (gradient.shape[-2] * rows, gradient.shape[-1] * columns)
    if stride not in (None, kernel, (rows, columns)) or padding not in (0, (0, 0)) or divisor or not whole:
        _through_vjp(walk, operation, gradient)
        return

    def grow(tensor: Tensor) -> Tensor:
        return tensor.repeat_interleave(rows, -2).repeat_interleave(columns, -1)

    spread = Cotangent(grow(gradient.base), None if gradient.scale is None else grow(gradient.scale))
    walk.send(x, spread.times_constant(1 / (rows * columns)))


def _sum_to(gradients: Tensor, shape: torch.Size) -> Tensor:
    """Sum gradients (b, C, *out) over the axes along which a weight of this shape was broadcast."""
    out = gradients.shape[2:]
    aligned = (1,) * (len(out) - len(shape)) + tuple(shape[max(0, len(shape) - len(out)) :])
    axes = [
        axis + 2 for axis, (a, b) in enumerate(zip(out, aligned, strict=True)) if a == 1 != b or (a != b and b == 1)
    ]
    summed = gradients.sum(axes, keepdim=True) if axes else gradients
    return summed.reshape(*summed.shape[:2], *shape)


def _send_broadcast(walk: Walk, operation: Operation, argument: object, gradient: Cotangent) -> None:
    if not isinstance(argument, Value) or not argument.wanted:
        return
    shape = argument.tensor.shape
    if argument.sample:
        if shape != operation.output.tensor.shape:
            raise operation.uncovered("broadcasting between sample-wise values")
        walk.send(argument, gradient)
    else:
        if len(shape) == operation.output.tensor.ndim and shape[0] != 1:
            raise operation.uncovered("a weight with a batch axis")
        walk.give(argument, lambda: _sum_to(gradient.dense(), shape))


@rule(*_named("add", "sub", "subtract", "neg"), torch.Tensor.__rsub__, torch.rsub)
def addition(walk: Walk, operation: Operation, gradient: Cotangent) -> None:
    """Sums and differences."""
    a, b, alpha = operation.bind("input", "other", "alpha", alpha=1)
    name = operation.name.strip("_")
    if alpha != 1 or (isinstance(a, Value) and a is b):
        raise operation.uncovered("a scaled sum")
    minus = gradient.times_constant(-1.0)
    _send_broadcast(walk, operation, a, minus if name in ("rsub", "neg") else gradient)
    _send_broadcast(walk, operation, b, minus if name in ("sub", "subtract") else gradient)


@rule(*_named("mul", "multiply", "div", "divide", "true_divide"))
def product(walk: Walk, operation: Operation, gradient: Cotangent) -> None:
    """Products, and quotients by what is not trained."""
    a, b = operation.bind("input", "other")
    if operation.name.startswith(("div", "true")):
        if isinstance(b, Value) and b.wanted:
            raise operation.uncovered("by something that is trained")
        factors = [(a, 1 / value_of(b))]
    else:
        factors = [(a, value_of(b)), (b, value_of(a))]
    if isinstance(a, Value) and a is b:
        raise operation.uncovered("a square")
    others = {id(a): b, id(b): a}
    for argument, factor in factors:
        if not isinstance(argument, Value) or not argument.wanted:
            continue
        other = others[id(argument)]
        if isinstance(other, Value) and other.sample:
            if factor.shape != operation.output.tensor.shape:
                raise operation.uncovered("broadcasting between sample-wise values")
            _send_broadcast(walk, operation, argument, gradient.times(factor))
        else:
            if isinstance(factor, Tensor) and factor.ndim == operation.output.tensor.ndim:
                if factor.shape[0] != 1:
                    raise operation.uncovered("a constant with a batch axis")
                factor = factor[0]
            _send_broadcast(walk, operation, argument, gradient.times_constant(factor))
