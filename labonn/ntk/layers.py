"""How gradients pass the layers that have weights, and what they leave with those weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from labonn.ntk.convolution import ConvolutionFactor, Correlation, Pair
from labonn.ntk.cotangent import Cotangent
from labonn.ntk.factors import LinearFactor, PositionFactor
from labonn.ntk.tape import Operation, Value, value_of
from labonn.ntk.walk import RULES, Rule, Walk


def rule(*functions: Callable[..., Any]) -> Callable[[Rule], Rule]:
    """Register a rule for these functions."""

    def register(one: Rule) -> Rule:
        RULES.update(dict.fromkeys(functions, one))
        return one

    return register


def _is_wanted(argument: object) -> bool:
    return isinstance(argument, Value) and argument.wanted


def _is_weight(argument: object) -> bool:
    return not (isinstance(argument, Value) and argument.sample)


@rule(F.linear)
def linear(walk: Walk, operation: Operation, gradient: Cotangent) -> None:
    """W x + b, on vectors or at every position of a sequence."""
    x, weight, bias = operation.bind("input", "weight", "bias")
    inputs, matrix = value_of(x), value_of(weight)
    if not (_is_weight(weight) and _is_weight(bias)) or inputs.shape[0] != walk.samples or inputs.ndim < 2:
        raise operation.uncovered("the weight depends on the samples, or the first axis is not the batch")
    if inputs.ndim == 2:
        own_weight, own_bias = walk.owns(weight), walk.owns(bias)
        if own_weight or own_bias:
            walk.factors.append(LinearFactor(inputs, gradient, own_weight, own_bias))
        if not own_weight:
            walk.give(weight, lambda: gradient.dense().unsqueeze(-1) * inputs[:, None, None, :])
        if not own_bias:
            walk.give(bias, gradient.dense)
    else:
        if _is_wanted(weight):
            factor = PositionFactor(
                inputs.flatten(1, -2).transpose(1, 2).unsqueeze(1),
                gradient.full(walk.samples).flatten(2, -2).transpose(2, 3).unsqueeze(2),
            )
            if walk.owns(weight):
                walk.factors.append(factor)
            else:
                walk.give(weight, lambda: factor.per_sample().squeeze(2))
        walk.give(bias, lambda: gradient.dense().flatten(2, -2).sum(2))
    if _is_wanted(x):
        walk.send(x, gradient.times_matrix(matrix))


def _keep(walk: Walk, weight: Value, factor: ConvolutionFactor) -> None:
    """Leave a factor with a kernel that is a parameter of its own; else gradients written out."""
    if walk.owns(weight):
        walk.factors.append(factor)
    else:
        walk.give(weight, factor.per_sample)


def _pair(value: Any) -> Pair:
    if isinstance(value, int):
        return value, value
    return (int(value[0]), int(value[0])) if len(value) == 1 else (int(value[0]), int(value[1]))


def _padding(operation: Operation, padding: Any, kernel: Pair, dilation: Pair) -> Pair:
    if padding == "valid":
        return 0, 0
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        if any(side % 2 for side in total):
            raise operation.uncovered("padding 'same' of an even kernel")
        return total[0] // 2, total[1] // 2
    return _pair(padding)


def _channel_sums(gradient: Cotangent) -> Tensor:
    return gradient.dense().flatten(3).sum(3)


@rule(F.conv2d)
def convolution(walk: Walk, operation: Operation, gradient: Cotangent) -> None:
    """2-D cross-correlation with stride, zero padding, dilation and groups."""
    x, weight, bias, stride, padding, dilation, groups = operation.bind(
        "input", "weight", "bias", "stride", "padding", "dilation", "groups", stride=1, padding=0, dilation=1, groups=1
    )
    inputs, kernel = value_of(x), value_of(weight)
    if not (_is_weight(weight) and _is_weight(bias)) or inputs.ndim != 4 or inputs.shape[0] != walk.samples:
        raise operation.uncovered("the weight depends on the samples, or the first axis is not the batch")
    size, stride, dilation = _pair(kernel.shape[2:]), _pair(stride), _pair(dilation)
    padding = _padding(operation, padding, size, dilation)
    correlation = Correlation(size, stride, padding, dilation, groups)
    if _is_wanted(weight):
        _keep(walk, weight, ConvolutionFactor(inputs, gradient, correlation))
    walk.give(bias, lambda: _channel_sums(gradient))
    if _is_wanted(x):
        missing = correlation.missing(inputs, gradient.base)
        geometry = (None, stride, padding, missing, groups, dilation)
        walk.send(x, gradient.linear(lambda g: F.conv_transpose2d(g, kernel, *geometry)))


@rule(F.conv_transpose2d)
def up_convolution(walk: Walk, operation: Operation, gradient: Cotangent) -> None:
    """2-D transposed convolution; its weight is (in, out / groups, k, k)."""
    x, weight, bias, stride, padding, _output_padding, groups, dilation = operation.bind(
        "input",
        "weight",
        "bias",
        "stride",
        "padding",
        "output_padding",
        "groups",
        "dilation",
        stride=1,
        padding=0,
        groups=1,
        dilation=1,
    )
    inputs, kernel = value_of(x), value_of(weight)
    if not (_is_weight(weight) and _is_weight(bias)) or inputs.ndim != 4 or inputs.shape[0] != walk.samples:
        raise operation.uncovered("the weight depends on the samples, or the first axis is not the batch")
    size, stride, padding, dilation = _pair(kernel.shape[2:]), _pair(stride), _pair(padding), _pair(dilation)
    if _is_wanted(weight):
        correlation = Correlation(size, stride, padding, dilation, groups)
        _keep(walk, weight, ConvolutionFactor(inputs, gradient, correlation, transposed=True))
    walk.give(bias, lambda: _channel_sums(gradient))
    if _is_wanted(x):
        walk.send(x, gradient.linear(lambda g: F.conv2d(g, kernel, None, stride, padding, dilation, groups)))


@rule(F.batch_norm)
def batch_norm(walk: Walk, operation: Operation, gradient: Cotangent) -> None:
    """Batch norm in evaluation mode: a scale and an offset a channel."""
    x, mean, variance, weight, bias, _training, _momentum, epsilon = operation.bind(
        "input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps", eps=1e-5
    )
    if not (_is_weight(weight) and _is_weight(bias)) or _is_wanted(mean) or _is_wanted(variance):
        raise operation.uncovered("its statistics are being trained")
    inputs = value_of(x)
    channels = (-1,) + (1,) * (inputs.ndim - 2)
    inverse = torch.rsqrt(value_of(variance) + epsilon).reshape(channels)
    if _is_wanted(weight):
        normal = (inputs - value_of(mean).reshape(channels)) * inverse
        walk.give(
            weight,
            lambda: (
                (gradient.dense() * normal.unsqueeze(1)).flatten(3).sum(3)
                if inputs.ndim > 2
                else gradient.dense() * normal.unsqueeze(1)
            ),
        )
    walk.give(bias, lambda: _channel_sums(gradient) if inputs.ndim > 2 else gradient.dense())
    if _is_wanted(x):
        factor = inverse if weight is None else inverse * value_of(weight).reshape(channels)
        walk.send(x, gradient.times_constant(factor))


@rule(F.prelu, torch.prelu)
def prelu(walk: Walk, operation: Operation, gradient: Cotangent) -> None:
    """Pass x where it is positive, and a x elsewhere; one a, or one a channel."""
    x, weight = operation.bind("input", "weight")
    if not _is_weight(weight):
        raise operation.uncovered("the weight depends on the samples")
    inputs, slope = value_of(x), value_of(weight)
    spread = slope.reshape(-1, *(1,) * (inputs.ndim - 2)) if slope.numel() > 1 else slope.reshape(())

    def of_weight() -> Tensor:
        each = gradient.dense() * inputs.clamp(max=0).unsqueeze(1)
        summed = each.flatten(2).sum(2) if slope.numel() == 1 else each.flatten(3).sum(3) if inputs.ndim > 2 else each
        result: Tensor = summed.reshape(*summed.shape[:2], *slope.shape)
        return result

    walk.give(weight, of_weight)
    if _is_wanted(x):
        walk.send(x, gradient.times(torch.where(inputs > 0, 1.0, spread)))
