"""Kernel ridge regression with a neural tangent kernel: what a network of a design could learn, before training."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

from labonn.errors import TrainingError
from labonn.ntk.blocks import blockwise_ntk
from labonn.ntk.cost import DEFAULT_MEMORY_BYTES
from labonn.ntk.exact import Outputs
from labonn.ntk.validate import Parameters, listed

logger = logging.getLogger("labonn.ntk")

Array = NDArray[np.float64]
DEFAULT_PENALTIES = tuple(10.0**exponent for exponent in range(-7, 1))


@dataclass(frozen=True)
class KernelRidge:
    """A fitted kernel ridge regression, y(x) = K(x, train) (K(train, train) + penalty I)^-1 y_train.

    Attributes
    ----------
    coefficients
        (n, C), the solution for the training targets.
    penalty
        lambda, in units of the kernel.
    left_out
        (n, C), each sample's prediction from all the others.
    left_out_error
        Their mean squared error. An estimate of the error on new samples, slightly optimistic as the penalty was chosen
        by it.
    left_out_accuracy
        Share of samples whose largest left-out prediction is at their largest target; None for a single target.
    temperature
        Of the softmax that turns predictions into class probabilities, fitted to the left-out predictions.
    """

    coefficients: Array
    penalty: float
    left_out: Array
    left_out_error: float
    left_out_accuracy: float | None
    temperature: float | None

    def predict(self, kernel: Array | Tensor) -> Array:
        """Predict the targets (m, C) from the kernel (m, n) of new samples with the training samples."""
        values = _array(kernel)
        if values.ndim != 2 or values.shape[1] != len(self.coefficients):
            raise ValueError(
                f"a kernel (m, {len(self.coefficients)}) with the training samples is wanted, not {values.shape}"
            )
        return values @ self.coefficients

    def probabilities(self, kernel: Array | Tensor) -> Array:
        """Return class probabilities (m, C) from the kernel (m, n) of new samples with the training samples."""
        if self.temperature is None:
            raise ValueError("a regression on a single target has no class probabilities")
        return _softmax(self.predict(kernel) / self.temperature)


def one_hot(labels: Array | Tensor, classes: int | None = None) -> Array:
    """Return targets (n, C) for labels (n,): 1 - 1/C at the label and -1/C elsewhere, so that ignorance is zero."""
    whole = np.asarray(labels).astype(np.int64)
    count = int(whole.max()) + 1 if classes is None else classes
    return np.eye(count)[whole] - 1 / count


def fit_kernel_ridge(
    kernel: Array | Tensor, targets: Array | Tensor, *, penalties: tuple[float, ...] = DEFAULT_PENALTIES
) -> KernelRidge:
    r"""Fit on a kernel of the training samples, with the penalty chosen by leave-one-out error in closed form.

    Parameters
    ----------
    kernel
        (n, n), symmetric, positive semi-definite up to rounding.
    targets
        (n,) or (n, C); for classes, `one_hot` of the labels.
    penalties
        What to choose from, as multiples of the kernel's mean diagonal value.

    Raises
    ------
    ValueError
        If shapes do not fit, there are fewer than two samples, or values are not finite.
    TrainingError
        If the penalised kernel has no Cholesky factor for any of the penalties.

    Notes
    -----
    The prediction for a sample from all the others is y_i - alpha_i / (A^-1)_ii with A = K + lambda I and alpha = A^-1
    y. Two matrices (n, n) in float64 are held besides the kernel: 4,000 samples take 0.4 GB, and one factorisation a
    penalty. Source: Rasmussen, Williams, "Gaussian processes for machine learning", MIT Press 2006, eqs. 5.10-5.12.
    """
    values, wanted = _array(kernel), _array(targets)
    wanted = wanted[:, None] if wanted.ndim == 1 else wanted
    if values.ndim != 2 or values.shape[0] != values.shape[1] or len(values) != len(wanted) or len(values) < 2:
        raise ValueError(f"a kernel (n, n) and targets (n, C) are wanted, n > 1, not {values.shape} and {wanted.shape}")
    if not (np.isfinite(values).all() and np.isfinite(wanted).all()):
        raise ValueError("the kernel or the targets have NaN or infinite values")
    unit = float(np.mean(np.diagonal(values)))
    best: tuple[float, float, Array, Array] | None = None
    for relative in sorted(penalties, reverse=True):
        solved = _solve(values, wanted, relative * unit)
        if solved is None:
            logger.info(
                "ntk: no Cholesky factor with a penalty of %g of the mean diagonal; smaller ones skipped", relative
            )
            break
        coefficients, left_out = solved
        error = float(np.mean((left_out - wanted) ** 2))
        if best is None or error < best[0]:
            best = error, relative * unit, coefficients, left_out
    if best is None:
        raise TrainingError(
            "the kernel is not positive definite, whatever the penalty; is it symmetric, of the same samples?"
        )
    error, penalty, coefficients, left_out = best
    accuracy = temperature = None
    if wanted.shape[1] > 1:
        classes = wanted.argmax(1)
        accuracy = float(np.mean(left_out.argmax(1) == classes))
        temperature = _fit_temperature(left_out, classes)
    return KernelRidge(coefficients, penalty, left_out, error, accuracy, temperature)


@dataclass(frozen=True)
class NtkRidge:
    """A kernel ridge regression on the neural tangent kernel of a model, with the training samples it needs."""

    model: nn.Module
    samples: Tensor
    ridge: KernelRidge
    parameters: Parameters
    outputs: Outputs | None
    memory_bytes: int

    def predict(self, x: Tensor) -> Array:
        """Predict the targets (m, C) of new samples (m, ...)."""
        return self.ridge.predict(self._kernel(x))

    def probabilities(self, x: Tensor) -> Array:
        """Return class probabilities (m, C) of new samples (m, ...)."""
        return self.ridge.probabilities(self._kernel(x))

    def _kernel(self, x: Tensor) -> Tensor:
        return blockwise_ntk(
            *(self.model, x, self.samples),
            parameters=self.parameters,
            outputs=self.outputs,
            memory_bytes=self.memory_bytes,
        )


def fit_ntk_ridge(
    model: nn.Module,
    x: Tensor,
    targets: Array | Tensor,
    *,
    parameters: Parameters = None,
    outputs: Outputs | None = None,
    penalties: tuple[float, ...] = DEFAULT_PENALTIES,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
) -> NtkRidge:
    """Fit a kernel ridge regression on a model's exact traced kernel; the model itself is not trained.

    The arguments are those of `blockwise_ntk` and `fit_kernel_ridge`; `memory_bytes` is for the kernel's computation,
    and the regression takes 24 n^2 bytes after it.
    """
    parameters = listed(parameters)
    kernel = blockwise_ntk(
        model, x, parameters=parameters, outputs=outputs, memory_bytes=memory_bytes, dtype=torch.float64
    )
    ridge = fit_kernel_ridge(kernel, targets, penalties=penalties)
    return NtkRidge(model, x, ridge, parameters, outputs, memory_bytes)


def _array(values: Array | Tensor) -> Array:
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    return np.asarray(values, dtype=np.float64)


def _solve(kernel: Array, targets: Array, penalty: float) -> tuple[Array, Array] | None:
    """Return the coefficients and the left-out predictions; None if the matrix is not positive definite."""
    matrix = np.array(kernel, order="F")
    matrix[np.diag_indices_from(matrix)] += penalty
    factor, failed = scipy.linalg.lapack.dpotrf(matrix, lower=1, overwrite_a=1, clean=0)
    if failed:
        return None
    coefficients, _ = scipy.linalg.lapack.dpotrs(factor, targets, lower=1)
    inverse, failed = scipy.linalg.lapack.dpotri(factor, lower=1, overwrite_c=1)
    if failed:
        return None
    return coefficients, targets - coefficients / np.diagonal(inverse)[:, None]


def _softmax(values: Array) -> Array:
    shifted = np.exp(values - values.max(1, keepdims=True))
    result: Array = shifted / shifted.sum(1, keepdims=True)
    return result


def _fit_temperature(left_out: Array, classes: NDArray[np.int64]) -> float:
    """Return the temperature whose softmax of the left-out predictions makes the classes most likely."""
    rows = np.arange(len(classes))

    def loss(log_temperature: float) -> float:
        scaled = left_out / np.exp(log_temperature)
        top = scaled.max(1)
        return float(np.mean(top + np.log(np.exp(scaled - top[:, None]).sum(1)) - scaled[rows, classes]))

    found = minimize_scalar(loss, bounds=(-8.0, 4.0), method="bounded")
    return float(np.exp(found.x))
