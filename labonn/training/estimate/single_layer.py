"""What a single layer makes of drawn kernels: regression on many noisy captures, in as few unknowns as there are."""

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray

from labonn.data import Split
from labonn.design import Design
from labonn.ntk import one_hot
from labonn.training.estimate.curve import LearningCurve, fit_curve
from labonn.training.estimate.references import drawn_features

MOST_IMAGES = 5000
MOST_UNKNOWNS = 2048  # of more features, no more images than these are asked
HELD_OUT = 1250
PENALTIES = tuple(10.0**exponent for exponent in range(-6, 1))

Array = NDArray[np.float64]


def single_layer_curve(design: Design, shown: Split, *, seed: int) -> LearningCurve:
    """Errors of a single layer on as many drawn kernels as the design has, with its sensor's noise.

    A few features are cheap to regress on however many images there are, so the curve begins where that of the
    student's kernel ends: at an eighth of 5,000 images. Noise that hides nearly everything of one image is told from
    ignorance only so.

    Parameters
    ----------
    design
        The optic, the sensor and the pooling count.
    shown
        Training images in the order in which they are taken; the last fifth, 1,250 at most, is what errors are of.
    seed
        Of kernels and noise.

    Source: Rahimi, Recht, "Random features for large-scale kernel machines", NIPS 2007, for the regression.
    """
    held = min(HELD_OUT, len(shown) // 5)
    features = drawn_features(design, torch.from_numpy(shown.images), seed=seed, noisy=True).numpy()
    features = features / np.sqrt(np.mean(np.square(features, dtype=np.float64).sum(1)))
    features = np.concatenate([features, np.ones((len(features), 1), features.dtype)], axis=1)
    most = min(MOST_IMAGES, len(shown) - held)
    if features.shape[1] > MOST_UNKNOWNS:
        most = min(most, MOST_UNKNOWNS)
    targets = one_hot(torch.from_numpy(shown.labels), design.classes)
    counts = [most // part for part in (8, 4, 2, 1)]
    errors = [_error(features[:n], targets[:n], features[-held:], shown.labels[-held:]) for n in counts]
    return fit_curve(counts, errors, 1 - 1 / design.classes)


def images_asked(whole: int) -> int:
    """So many training images the curve takes at most."""
    return min(whole, MOST_IMAGES + HELD_OUT)


def _error(features: NDArray[np.float32], targets: Array, new: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Share of wrong answers to new images, with the penalty that answers them best."""
    few = features.shape[1] <= len(features)
    gram = (features.T @ features if few else features @ features.T).astype(np.float64)
    right = features.T.astype(np.float64) @ targets if few else targets
    unit = float(np.trace(gram)) / len(features)
    least = 1.0
    for penalty in PENALTIES:
        matrix = gram + penalty * unit * np.eye(len(gram))
        solved = scipy.linalg.solve(matrix, right, assume_a="pos", overwrite_a=True)
        answers = new @ (solved if few else features.T @ solved)
        least = min(least, float(np.mean(answers.argmax(1) != labels)))
    return least
