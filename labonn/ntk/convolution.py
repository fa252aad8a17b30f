"""The contribution of a convolution's kernel, or an up-convolution's, and the arithmetic of per-sample gradients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F  # noqa: N812

from labonn.ntk.cotangent import Cotangent
from labonn.ntk.factors import Mode, PositionFactor, class_gram

Pair = tuple[int, int]
_WORTH_A_CALL = 500_000  # multiply-adds of one sample above which its own call of the CPU's convolution is the fastest
_TOGETHER, _FEW_CHANNELS, _FEW_POSITIONS = 32, 64, 1024
_CHUNK_BYTES = 8_000_000  # of gradients written out at once: what a cache holds


@dataclass(frozen=True)
class Correlation:
    """The products of an image (n, I, H, W), a kernel (n, O, I / groups, *size) and their outputs (n, O, h, w).

    `outputs` is the correlation; `image` and `kernel` are its two transposes. Every sample has a kernel of its own.
    """

    size: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int

    def by_sample(self, image: Tensor, outputs: Tensor) -> bool:
        """Whether each sample is worth a convolution of its own; else all are unfolded into matrix products."""
        work = outputs[0].numel() * image.shape[1] // self.groups * self.size[0] * self.size[1]
        return self.groups > 1 or (image.device.type == "cpu" and work >= _WORTH_A_CALL)

    def calls(self, outputs: Tensor) -> Iterator[slice]:
        """Yield the samples that share a call, as its groups: small ones, which alone would get a slow convolution."""
        few = outputs.shape[1] <= _FEW_CHANNELS and outputs[0, 0].numel() <= _FEW_POSITIONS
        together = _TOGETHER if few else 1
        for start in range(0, outputs.shape[0], together):
            yield slice(start, min(start + together, outputs.shape[0]))

    def kernel(self, image: Tensor, outputs: Tensor) -> Tensor:
        """Return the gradient with respect to each sample's kernel, (n, O, I / groups, *size)."""
        shape = (outputs.shape[1], image.shape[1] // self.groups, *self.size)
        if not self.by_sample(image, outputs):
            return torch.bmm(outputs.flatten(2), self.unfold(image).transpose(1, 2)).view(-1, *shape)
        result = image.new_empty((image.shape[0], *shape))
        for call in self.calls(outputs):
            many = call.stop - call.start
            _, found, _ = torch.ops.aten.convolution_backward(
                *(_joined(outputs[call]), _joined(image[call]), result[call].flatten(0, 1), None),
                *(self.stride, self.padding, self.dilation, False, (0, 0), self.groups * many, (False, True, False)),
            )
            result[call] = found.view(many, *shape)
        return result

    def outputs(self, image: Tensor, kernel: Tensor, like: Tensor) -> Tensor:
        """Return the correlation of each image with its kernel, of the shape of `like`."""
        if not self.by_sample(image, like):
            return torch.bmm(kernel.flatten(2), self.unfold(image)).view_as(like)
        result = torch.empty_like(like, memory_format=torch.contiguous_format)
        for call in self.calls(like):
            weight, groups = kernel[call].flatten(0, 1), self.groups * (call.stop - call.start)
            found = F.conv2d(_joined(image[call]), weight, None, self.stride, self.padding, self.dilation, groups)
            result[call] = found.view_as(result[call])
        return result

    def image(self, outputs: Tensor, kernel: Tensor, like: Tensor) -> Tensor:
        """Return the gradient with respect to each image, of the shape of `like`."""
        if not self.by_sample(like, outputs):
            patches = torch.bmm(kernel.flatten(2).transpose(1, 2), outputs.flatten(2))
            return F.fold(patches, like.shape[2:], self.size, self.dilation, self.padding, self.stride)
        result = torch.empty_like(like, memory_format=torch.contiguous_format)
        missing = self.missing(like, outputs)
        for call in self.calls(outputs):
            weight, groups = kernel[call].flatten(0, 1), self.groups * (call.stop - call.start)
            found = F.conv_transpose2d(
                *(_joined(outputs[call]), weight, None, self.stride, self.padding, missing, groups, self.dilation)
            )
            result[call] = found.view_as(result[call])
        return result

    def missing(self, image: Tensor, outputs: Tensor) -> list[int]:
        """Return the rows and columns of the image that no output reaches: the transpose's output padding."""
        return [
            side - ((out - 1) * s - 2 * p + d * (k - 1) + 1)
            for side, out, s, p, d, k in zip(
                image.shape[-2:], outputs.shape[-2:], self.stride, self.padding, self.dilation, self.size, strict=True
            )
        ]

    def unfold(self, image: Tensor) -> Tensor:
        """Return the image's patches, (n, I * size, positions)."""
        return F.unfold(image, self.size, self.dilation, self.padding, self.stride)


def _joined(samples: Tensor) -> Tensor:
    """Put the channels of samples (n, C, H, W) side by side, (1, n C, H, W)."""
    return samples.reshape(1, -1, *samples.shape[2:])


@dataclass(frozen=True)
class ConvolutionFactor:
    """A convolution's kernel, or an up-convolution's, where inputs and outputs change roles."""

    inputs: Tensor  # (N, I, H, W)
    gradients: Cotangent  # of (O, h, w)
    correlation: Correlation
    transposed: bool = False

    def per_sample(self) -> Tensor:
        """Return the gradients of the kernel, (N, C, *its shape)."""
        gradients: Tensor = _PerSample.apply(self, self.inputs, self.gradients.base, self.gradients.scale)  # type: ignore[no-untyped-call]
        return gradients

    def prefers_positions(self, other: ConvolutionFactor, mode: Mode) -> bool:
        """Whether the Gram over pairs of positions takes fewer multiply-adds than per-sample gradients."""
        n, m, c = self.inputs.shape[0], other.inputs.shape[0], self.gradients.classes
        length, k, o = self._sizes()
        times = 1 if mode == "trace" else c
        halves = n if self is other else n + m
        pairs = n * m * length**2 * (k * self.correlation.groups + times * c * o)
        return pairs < halves * c * o * k * length + n * m * c * times * o * k

    def prefers_positions_of_many(self) -> bool:
        """Whether it does for the traced kernel of so many samples that only pairs of them count."""
        length, k, o = self._sizes()
        c = self.gradients.classes
        return length**2 * (k * self.correlation.groups + c * o) < c * o * k

    def _sizes(self) -> tuple[int, int, int]:
        """Return positions, columns and rows of the matrix that is applied at each of them."""
        outer, image = self.inputs.shape[1:], self.gradients.shape
        if not self.transposed:
            outer, image = image, outer
        taps = self.correlation.size[0] * self.correlation.size[1]
        return outer[1] * outer[2], image[0] // self.correlation.groups * taps, outer[0]

    def gram(self, other: ConvolutionFactor, mode: Mode) -> Tensor:
        """Contract with another batch's half."""
        if self.prefers_positions(other, mode):
            left = self._positions()
            return left.gram(left if self is other else other._positions(), mode)
        gradients = self.per_sample()
        return class_gram(gradients, gradients if self is other else other.per_sample(), mode)

    def _positions(self) -> PositionFactor:
        samples, groups = self.inputs.shape[0], self.correlation.groups
        if self.transposed:
            patches = self.gradients.linear(self.correlation.unfold).full(samples)
            inputs = self.inputs.flatten(2).reshape(samples, groups, -1, patches.shape[-1])
        else:
            inputs = self.correlation.unfold(self.inputs)
            inputs = inputs.reshape(samples, groups, -1, inputs.shape[-1])
            patches = self.gradients.full(samples).flatten(3)
        return PositionFactor(inputs, patches.reshape(*patches.shape[:2], groups, -1, patches.shape[-1]))

    def tensors(self) -> list[Tensor]:
        """Return what is kept in memory."""
        return [self.inputs, self.gradients.base, *([] if self.gradients.scale is None else [self.gradients.scale])]

    def chunks(self) -> Iterator[slice]:
        """Yield samples few enough for their gradients to stay in a cache."""
        base = self.gradients.base
        samples = self.inputs.shape[0]
        step = max(1, _CHUNK_BYTES // (base[0].numel() * base.element_size()))
        for start in range(0, samples, step):
            yield slice(start, min(start + step, samples))

    def classes_first(self, kernels: Tensor) -> Tensor:
        """Turn kernels (n, O', I', *size), with outputs folded into channels, into (n, C, *shape of the kernel)."""
        c, size = self.gradients.classes, kernels.shape[3:]
        if self.transposed:
            return kernels.reshape(*kernels.shape[:2], c, -1, *size).transpose(1, 2)
        groups = self.correlation.groups
        kernels = kernels.reshape(kernels.shape[0], groups, c, -1, *kernels.shape[2:]).transpose(1, 2)
        return kernels.flatten(2, 3)

    def channels_first(self, kernels: Tensor) -> Tensor:
        """Undo `classes_first`."""
        n, c = kernels.shape[:2]
        if self.transposed:
            return kernels.transpose(1, 2).flatten(2, 3)
        groups = self.correlation.groups
        return kernels.reshape(n, c, groups, -1, *kernels.shape[3:]).transpose(1, 2).flatten(1, 3)

    def fold(self, gradients: Tensor) -> Tensor:
        """Fold outputs into channels, within each group: (n, C, O, h, w) -> (n, groups * C * O / groups, h, w)."""
        n, c = gradients.shape[:2]
        groups = self.correlation.groups
        return gradients.reshape(n, c, groups, -1, *gradients.shape[3:]).transpose(1, 2).flatten(1, 3)

    def unfold(self, folded: Tensor) -> Tensor:
        """Undo `fold`."""
        n, groups = folded.shape[0], self.correlation.groups
        parts = folded.reshape(n, groups, self.gradients.classes, -1, *folded.shape[2:])
        return parts.transpose(1, 2).flatten(2, 3)


class _PerSample(torch.autograd.Function):
    """Per-sample gradients of a kernel, chunk by chunk; what is large is computed again in the backward pass."""

    @staticmethod
    def forward(ctx: Any, factor: ConvolutionFactor, inputs: Tensor, base: Tensor, scale: Tensor | None) -> Tensor:
        ctx.factor = factor
        ctx.save_for_backward(inputs, base, scale)
        parts = []
        for chunk in factor.chunks():
            folded = factor.fold(_written_out(base, scale, chunk))
            image, outputs = (folded, inputs[chunk]) if factor.transposed else (inputs[chunk], folded)
            parts.append(factor.classes_first(factor.correlation.kernel(image, outputs)))
        return torch.cat(parts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor | None, Tensor | None, Tensor | None]:
        factor: ConvolutionFactor = ctx.factor
        inputs, base, scale = ctx.saved_tensors
        _, needs_inputs, needs_base, needs_scale = ctx.needs_input_grad
        of_inputs = torch.empty_like(inputs) if needs_inputs else None
        of_base = torch.zeros_like(base) if needs_base else None
        of_scale = torch.empty_like(scale) if needs_scale else None
        products = factor.correlation
        for chunk in factor.chunks():
            kernels = factor.channels_first(gradients[0][chunk])
            mine = inputs[chunk]
            folded = factor.fold(_written_out(base, scale, chunk))
            if of_inputs is not None:
                of_inputs[chunk] = (
                    products.outputs(folded, kernels, mine)
                    if factor.transposed
                    else products.image(folded, kernels, mine)
                )
            if of_base is None and of_scale is None:
                continue
            back = (
                products.image(mine, kernels, folded) if factor.transposed else products.outputs(mine, kernels, folded)
            )
            back = factor.unfold(back)
            if of_scale is not None:
                of_scale[chunk] = (back * base).sum(1)
            if of_base is None:
                continue
            if scale is not None:
                of_base += (back * scale[chunk].unsqueeze(1)).sum(0, keepdim=True)
            elif base.shape[0] == 1:
                of_base += back.sum(0, keepdim=True)
            else:
                of_base[chunk] = back
        return None, of_inputs, of_base, of_scale


def _written_out(base: Tensor, scale: Tensor | None, chunk: slice) -> Tensor:
    if scale is not None:
        return scale[chunk].unsqueeze(1) * base
    return base.expand(chunk.stop - chunk.start, *base.shape[1:]) if base.shape[0] == 1 else base[chunk]
