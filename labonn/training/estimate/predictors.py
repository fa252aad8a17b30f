"""Everything that is known of a design before it is trained and may foretell its accuracy."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from labonn.config import Frozen
from labonn.data import DataSet, Split
from labonn.design import Design, parameters
from labonn.design.design import Optic
from labonn.design.operations import dense_widths
from labonn.errors import ConfigError
from labonn.ntk import KernelRidge, centred_alignment, fit_kernel_ridge, one_hot
from labonn.training.estimate import short_training, single_layer
from labonn.training.estimate.curve import LearningCurve, fit_curve, told_apart
from labonn.training.estimate.references import LIMIT_KERNELS, drawn_features, gram, infinitely_wide
from labonn.training.estimate.single_layer import single_layer_curve
from labonn.training.estimate.student_kernel import student_kernel

LEAST_IMAGES = 64
PENALTIES = tuple(10.0**exponent for exponent in range(-5, 1))


class Settings(Frozen):
    """How much is computed for an estimate."""

    images: int = 800
    """Training images of the tangent kernels."""
    initialisations: int = 2
    seed: int = 0
    references: bool = True
    """Whether the kernels that the estimate is compared with are computed, too."""


@dataclass(frozen=True)
class Predictors:
    """Of one design. Accuracies are per cent, extrapolated to all training images; None where they were not asked for.

    Attributes
    ----------
    ntk
        Of regression with the finite student's tangent kernel, mean over initialisations, after as many images as its
        parameters can tell apart (`told_apart`).
    ntk_of_all
        The same after all images, whatever the parameters.
    ntk_each
        Of each of them.
    infinite_width
        With infinitely many drawn kernels and an infinitely wide backend: blind to their numbers.
    random_kernels
        Of a single layer on as many drawn kernels as the design has, with its sensor's noise.
    short
        Of a student that was shown a few thousand images once, as it came out: not extrapolated.
    infinite_kernels
        Of a single layer on infinitely many drawn kernels, without noise.
    lens
        Of the same backend behind a plain lens, by its finite kernel.
    alignment
        Centred alignment of the student's kernel with the labels', in [0, 1].
    kare
        The kernel alignment risk estimator of the regression's squared error.
    parameters
        Of the student.
    bottleneck
        The narrowest of what its backend passes on: pooled maps, or a hidden layer.
    curve
        Of the regression with the student's kernel, mean error over initialisations.
    training_images
        To how many it is extrapolated.
    seconds
        Of the processor, that what is foretold of the design itself took, and the references.
    """

    ntk: float
    ntk_of_all: float
    ntk_each: tuple[float, ...]
    infinite_width: float | None
    random_kernels: float
    short: float
    infinite_kernels: float | None
    lens: float | None
    alignment: float
    kare: float
    parameters: int
    bottleneck: int
    curve: LearningCurve
    training_images: int
    seconds: dict[str, float] = field(compare=False)


def predictors_of(content: Mapping[str, Any]) -> Predictors:
    """As they were, from a JSON object that was written of them; TypeError or KeyError if it was not."""
    own = dict(content)
    curve = own.pop("curve")
    whole = LearningCurve(**(curve | {name: tuple(curve[name]) for name in ("images", "errors")}))
    return Predictors(curve=whole, **(own | {"ntk_each": tuple(own["ntk_each"])}))


def predict(design: Design, data: DataSet, settings: Settings) -> Predictors:
    """Compute them; a few seconds.

    Raises
    ------
    ConfigError
        If the task's images have a class a pixel: there is no kernel of it here that one could afford.
    """
    if design.measure != "accuracy":
        raise ConfigError(
            f"task = {design.task!r}: of images whose pixels have classes, no accuracy is estimated before training;"
            " energy and layout are"
        )
    count = min(settings.images, len(data.train))
    if count < LEAST_IMAGES:
        raise ConfigError(f"images = {count}: an estimate needs {LEAST_IMAGES} training images at least")
    shown = drawn_images(data.train, count, settings.seed)
    images, targets = torch.from_numpy(shown.images), one_hot(torch.from_numpy(shown.labels), design.classes)
    whole, began_s = len(data.train), time.process_time()
    curves, alignments, risks = [], [], []
    for number in range(settings.initialisations):
        kernel = student_kernel(design, images, seed=settings.seed + number)
        curve, ridge = learning_curve(kernel.numpy(), targets)
        curves.append(curve)
        alignments.append(float(centred_alignment(kernel, torch.from_numpy(targets @ targets.T))))
        risks.append(kare(ridge, targets))
    known = told_apart(whole, parameters(design))
    each = tuple(accuracy_after(curve, known) for curve in curves)
    several = drawn_images(data.train, single_layer.images_asked(whole), settings.seed)
    single = single_layer_curve(design, several, seed=settings.seed)
    brief = drawn_images(data.train, short_training.images_asked(whole), settings.seed)
    begun = short_training.short_training(design, brief, seed=settings.seed)
    own_s = time.process_time() - began_s
    errors = np.mean([curve.errors for curve in curves], axis=0).tolist()
    mean = fit_curve(curves[0].images, errors, curves[0].guessed)
    others: dict[str, float | None] = dict.fromkeys(("infinite_width", "infinite_kernels", "lens"))
    if settings.references:
        others |= _references(design, shown, settings.seed, whole)
    return Predictors(
        ntk=float(np.mean(each)),
        random_kernels=accuracy_after(single, whole),
        short=begun,
        ntk_of_all=float(np.mean([accuracy_after(curve, whole) for curve in curves])),
        ntk_each=each,
        alignment=float(np.mean(alignments)),
        kare=float(np.mean(risks)),
        parameters=parameters(design),
        bottleneck=min(dense_widths(design)[:-1]),
        curve=mean,
        training_images=whole,
        seconds={"own": own_s, "references": time.process_time() - began_s - own_s},
        **others,
    )


def drawn_images(train: Split, count: int, seed: int) -> Split:
    """So many training images, drawn once for a seed: all designs of a task are asked about the same."""
    order = np.random.default_rng([seed, 20_26]).permutation(len(train))[:count]
    return train.take(np.sort(order)) if count == len(train) else train.take(order)


def learning_curve(kernel: NDArray[np.float64], targets: NDArray[np.float64]) -> tuple[LearningCurve, KernelRidge]:
    """Errors of leaving one out, on an eighth, a quarter, half and all of the samples; and the regression on all."""
    counts = [len(kernel) // part for part in (8, 4, 2, 1)]
    fitted = [fit_kernel_ridge(kernel[:n, :n], targets[:n], penalties=PENALTIES) for n in counts]
    errors = [1 - float(ridge.left_out_accuracy or 0.0) for ridge in fitted]
    return fit_curve(counts, errors, 1 - 1 / targets.shape[1]), fitted[-1]


def accuracy_after(curve: LearningCurve, images: float) -> float:
    """Per cent after so many images."""
    return 100 * (1 - curve.error_at(images))


def kare(ridge: KernelRidge, targets: NDArray[np.float64]) -> float:
    r"""(1/n) |(K/n + l)^-1 y|^2 / ((1/n) tr (K/n + l)^-1)^2 with n l the regression's penalty, summed over outputs.

    The inverse's diagonal is read off the left-out predictions, y_i - alpha_i / (A^-1)_ii.

    Source: Jacot, Simsek, Spadaro, Hongler, Gabriel, "Kernel alignment risk estimator", NeurIPS 2020, eq. 2.
    """
    missed = targets - ridge.left_out
    inverse = (ridge.coefficients * missed).sum(1) / np.maximum((missed**2).sum(1), 1e-300)
    return float(len(targets) * (ridge.coefficients**2).sum() / inverse.sum() ** 2)


def _references(design: Design, shown: Split, seed: int, whole: int) -> dict[str, float | None]:
    images, targets = torch.from_numpy(shown.images), one_hot(torch.from_numpy(shown.labels), design.classes)

    def reached(kernel: NDArray[np.float64], known: float = whole) -> float:
        return accuracy_after(learning_curve(kernel, targets)[0], known)

    found: dict[str, float | None] = {"infinite_kernels": None}
    if design.optic.kind != "lens":
        limit = _limit(_Task(design, shown, seed))
        found["infinite_kernels"] = reached(limit)
    else:
        limit = gram(drawn_features(design, images, seed=seed))
    found["infinite_width"] = reached(infinitely_wide(limit, len(design.backend.widths)))
    lens = behind_a_lens(design)
    found["lens"] = reached(student_kernel(lens, images, seed=seed).numpy(), told_apart(whole, parameters(lens)))
    return found


def behind_a_lens(design: Design) -> Design:
    """The same backend behind a plain lens."""
    lens = {**design.optic.model_dump(), "kind": "lens", "kernels": 1, "taps": 1}
    return design.model_copy(update={"optic": Optic.model_validate(lens)})


class _Task:
    """What the limit of infinitely many kernels depends on, and nothing else: many designs share it."""

    def __init__(self, design: Design, shown: Split, seed: int) -> None:
        self.design, self.shown, self.seed = design, shown, seed
        optic = design.optic
        self._key: Sequence[Any] = (
            *(design.task, optic.taps, optic.wavelengths_nm, optic.colours, optic.pairs, design.backend.pool),
            *(len(shown), seed, float(shown.images.sum())),
        )

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Task) and self._key == other._key


@lru_cache(maxsize=8)
def _limit(task: _Task) -> NDArray[np.float64]:
    return gram(drawn_features(task.design, torch.from_numpy(task.shown.images), LIMIT_KERNELS, seed=task.seed))
