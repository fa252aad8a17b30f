"""Empirical neural tangent kernels of any torch.nn.Module."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from labonn.ntk.cost import DEFAULT_MEMORY_BYTES, Choice, choose
from labonn.ntk.exact import Outputs, contract, factors_of
from labonn.ntk.probes import Readouts, output_probes
from labonn.ntk.tape import Recording
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
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Theta(x, x') = J(x) J(x')^T, J the Jacobian of the outputs with respect to the parameters.

    Differentiable once with respect to whatever of the model requires a gradient, so that a loss on it trains. The
    exact kernel of a batch is contracted layer by layer: for a linear layer, the Gram matrix of its inputs (plus one
    for the bias) times that of the output gradients; for a convolution, gradients written out per sample, or the same
    Grams over pairs of positions, whichever takes fewer multiply-adds. No Jacobian is ever formed of a linear layer.
    What there is no rule for goes through torch.func by itself, and a line on the logger ``labonn.ntk`` says so.

    Parameters
    ----------
    model
        Any module whose output for a sample depends on that sample alone. It is used in the mode that it is in. At the
        kink of a ReLU, the derivative is torch's; max pooling passes the gradient to the first largest element. A
        parameter that is used at several places (tied weights) counts once, with the sum of its gradients.
    x, x2
        Batches of its inputs, (N, ...) and (M, ...), float32 or float64; `x2` is `x` if not given.
    trace
        Sum over outputs; else keep every pair of them.
    method
        ``"exact"``; ``"probe"``: the trace estimated from random combinations of outputs, unbiased, exact in the
        parameters (see `estimate_ntk` for other estimates and standard errors); ``"auto"``: exact, unless that takes
        more memory than allowed or 8 times the work of the probes (`explain_choice` says which, and why). Always exact
        without the trace, and of `Readouts`.
    probes
        For ``"probe"``, and for ``"auto"`` if it comes to that. The error falls with the square root.
    parameters
        With respect to which: parameters of the model, their names, or a part of the model. All by default, including
        those that do not require a gradient. What comes before the first of them only produces inputs, by whatever
        rule, and the kernel is differentiable with respect to it all the same.
    outputs
        A function of the model's outputs to take the kernel of instead, such as ``lambda z: z.softmax(-1)``.
    memory_bytes
        What ``"auto"`` allows the exact kernel.
    generator
        Where probes are drawn from; torch's own by default.

    Returns
    -------
    Tensor
        (N, M); or (N, M, C, C) with ``trace=False``, outputs of `x` before outputs of `x2`, C the number of values in
        one sample's output.

    Raises
    ------
    ValueError
        For an empty batch, NaN or infinite inputs, half precision, no parameters or foreign ones, fewer than one probe,
        an unknown method, or probes of an untraced kernel.
    TypeError
        If the model (after `outputs`) does not return one tensor.
    TrainingError
        If the kernel is not defined sample by sample: batch norm in training mode, active dropout, or anything else
        that makes a sample's output depend on others or on chance.

    Notes
    -----
    Under `torch.autocast`, too, the kernel is computed in the precision of `x`.

    Source: Jacot, Gabriel, Hongler, "Neural tangent kernel", NeurIPS 2018; the contraction by layer as in Novak,
    Sohl-Dickstein, Schoenholz, "Fast finite width neural tangent kernel", ICML 2022, section 3.
    """
    if method not in ("exact", "probe", "auto"):
        raise ValueError(f"method is {method!r}; it can be 'exact', 'probe' or 'auto'")
    if probes < 1:
        raise ValueError(f"probes is {probes}; at least one is needed")
    if method == "probe" and not trace:
        raise ValueError("probes estimate the trace over outputs only; take method='exact' for trace=False")
    wanted = chosen_parameters(model, parameters)
    check_batch(x)
    if x2 is not None:
        check_batch(x2, "x2")
    others = x.shape[0] if x2 is None else x2.shape[0]
    drawn = output_probes(probes, generator)
    open_choice = method == "auto" and trace and not isinstance(outputs, Readouts)
    decided: list[bool] = [] if open_choice else [method == "probe"]

    def readouts(recording: Recording) -> Tensor | None:
        if not decided:
            decided.append(choose(recording, probes, others, memory_bytes).method == "probe")
        return drawn(recording) if decided[0] else None

    left = factors_of(model, x, wanted, outputs, readouts)
    right = left if x2 is None else factors_of(model, x2, wanted, outputs, readouts)
    return contract(left, right, "trace" if trace else "full")


def explain_choice(
    model: nn.Module,
    x: Tensor,
    x2: Tensor | None = None,
    *,
    probes: int = 1,
    parameters: Parameters = None,
    outputs: Outputs | None = None,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
) -> Choice:
    """Say what ``empirical_ntk(..., method="auto")`` would do with these arguments, and what each way would cost.

    `str()` of the result is one paragraph for people. The model is run, without gradients. The arguments are those
    of `empirical_ntk`.
    """
    wanted = chosen_parameters(model, parameters)
    check_batch(x)
    choices = []

    def note(recording: Recording) -> Tensor:
        others = x.shape[0] if x2 is None else x2.shape[0]
        choices.append(choose(recording, probes, others, memory_bytes))
        return recording.output.tensor[:1].detach()

    with torch.no_grad():
        factors_of(model, x, wanted, outputs, note)
    return choices[-1]
