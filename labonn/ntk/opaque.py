"""One operation or module of which nothing is known, differentiated by torch.func sample by sample."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from labonn.ntk.tape import Operation, Value

Gradients = list[tuple[Value, Tensor]]


def through_torch_func(operation: Operation, gradients: Tensor) -> tuple[Gradients, Gradients]:
    """Pull gradients (N, C, *out) back to an operation's wanted inputs and weights, each (N, C, *shape).

    Every sample goes through the operation by itself. If that gives another result than the batch did, the operation
    mixes samples (or is random), and `UncoveredError` says so.
    """
    values = list(dict.fromkeys(operation.inputs))
    samples = [value for value in values if value.sample]
    batch = gradients.shape[0]
    for value in samples:
        if value.tensor.shape[:1] != (batch,):
            raise operation.uncovered(f"an input of shape {tuple(value.tensor.shape)} has no batch axis in front")
    pulled = [value for value in samples if value.wanted]
    kept = [value for value in samples if not value.wanted]
    weights = [value for value in values if not value.sample]

    def one(
        of_pulled: tuple[Tensor, ...], of_kept: tuple[Tensor, ...], gradient: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        fixed = {value: tensor.unsqueeze(0) for value, tensor in zip(kept, of_kept, strict=True)}

        def function(*tensors: Tensor) -> Tensor:
            now = dict(zip((*pulled, *weights), tensors, strict=True))

            def substitute(value: Value) -> Tensor:
                if value in fixed:
                    return fixed[value]
                return now[value].unsqueeze(0) if value.sample else now[value]

            return operation.replay(substitute).squeeze(0)

        primals = (*of_pulled, *(value.tensor for value in weights))
        result, pull = torch.func.vjp(function, *primals)  # type: ignore[misc]
        return result, torch.func.vmap(pull)(gradient)

    try:
        with sdpa_kernel(SDPBackend.MATH):  # the others cannot be differentiated twice
            again, results = torch.func.vmap(one)(
                tuple(value.tensor for value in pulled), tuple(value.tensor for value in kept), gradients
            )
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        raise operation.uncovered(f"it cannot be run on one sample alone ({error})") from error
    output = operation.output.tensor.detach()
    tolerance = 1e4 * torch.finfo(output.dtype).eps
    if again.shape != output.shape or not torch.allclose(
        again.detach(), output, rtol=tolerance, atol=tolerance * float(output.abs().amax())
    ):
        raise operation.uncovered("one sample alone gives another result than within its batch; it mixes samples")
    wanted = zip((*pulled, *weights), results, strict=True)
    pairs = [(value, result) for value, result in wanted if value.wanted]
    return [pair for pair in pairs if pair[0].sample], [pair for pair in pairs if not pair[0].sample]
