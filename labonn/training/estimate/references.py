"""Kernels that know less than the student's: of drawn optics, of infinitely many, of infinitely wide backends."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from labonn.design import Design
from labonn.networks import Student
from labonn.training.estimate.contrast import give_contrast
from labonn.training.fitting import seeded

LIMIT_KERNELS = 256  # drawn for the limit of infinitely many: an average over as many independent features
CHUNK = 50


@torch.no_grad()
def drawn_features(
    design: Design, images: Tensor, kernels: int | None = None, *, seed: int, noisy: bool = False
) -> Tensor:
    """What a backend reads of drawn optics: maps of images (n, C, H, W), rectified and pooled, (n, F).

    Parameters
    ----------
    design
        Its optic; kernels that are trained are drawn by `give_contrast`, others as they are.
    images
        What is shown.
    kernels
        How many are drawn; as many as the design has by default, at most `LIMIT_KERNELS`.
    seed
        Of kernels and noise.
    noisy
        Whether the sensor adds its noise.
    """
    optic = design.optic
    if optic.kind != "lens":
        count = min(optic.kernels, LIMIT_KERNELS) if kernels is None else kernels
        optic = optic.model_copy(update={"kernels": count})
    drawn = design.model_copy(update={"optic": optic})
    with seeded(seed):
        student = Student(drawn, (images.shape[1], images.shape[2], images.shape[3]), design.classes).train(noisy)
        give_contrast(student.frontend)
        parts = [
            functional.avg_pool2d(student.frontend(part).relu(), design.backend.pool).flatten(1)
            for part in torch.split(images, CHUNK)
        ]
    return torch.cat(parts)


def gram(features: Tensor) -> NDArray[np.float64]:
    """Mean products of features (n, F), and 1 for a bias: the kernel of a single layer, in units of its inputs."""
    product = (features @ features.T).double().numpy() / features.shape[1]
    scaled: NDArray[np.float64] = product / np.mean(np.diagonal(product)) + 1.0
    return scaled


def infinitely_wide(kernel: NDArray[np.float64], hidden_layers: int) -> NDArray[np.float64]:
    r"""The tangent kernel of infinitely wide rectifying layers and a linear one, behind inputs of a given Gram matrix.

    Theta_1 = K_1, K_(l+1) = sqrt(k k') (sin t + (pi - t) cos t) / pi, Theta_(l+1) = K_(l+1) + Theta_l (pi - t) / pi,
    with t the angle of K_l; weights of variance 2 / inputs, no biases.

    Source: Jacot, Gabriel, Hongler, "Neural tangent kernel", NeurIPS 2018, theorem 1; Cho, Saul, "Kernel methods for
    deep learning", NIPS 2009, eqs. 4 to 6, for the expectations.
    """
    tangent = kernel
    for _ in range(hidden_layers):
        lengths = np.sqrt(np.diagonal(kernel))
        norms = np.outer(lengths, lengths)
        cosine = np.clip(kernel / norms, -1.0, 1.0)
        angle = np.arccos(cosine)
        kernel = norms * (np.sin(angle) + (np.pi - angle) * cosine) / np.pi
        tangent = kernel + tangent * (np.pi - angle) / np.pi
    return tangent
