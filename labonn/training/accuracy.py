"""What a network answers, and how often it is right."""

from math import sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

CHUNK = 1000
MANY_MAPS = 64  # of more, a chunk of images would not fit into memory


def chunk_of(maps: int) -> int:
    """How many images at once a student of so many feature maps can be asked about."""
    return CHUNK if maps <= MANY_MAPS else max(1, CHUNK * MANY_MAPS // maps)


def logits_of(model: nn.Module, inputs: Tensor, *, chunk: int = CHUNK) -> Tensor:
    """Logits (N, C) of inputs (N, ...), in evaluation mode and in chunks; the model's mode is restored."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            return torch.cat([model(part) for part in torch.split(inputs, chunk)])
    finally:
        model.train(was_training)


def accuracy_percent(model: nn.Module, inputs: Tensor, labels: NDArray[np.int64], *, chunk: int = CHUNK) -> float:
    """How many of the inputs are classified as labelled, per cent."""
    right = logits_of(model, inputs, chunk=chunk).argmax(dim=1).cpu().numpy() == labels
    return 100 * float(right.mean())


def accuracy_interval(right: int, images: int, z: float = 1.96) -> tuple[float, float]:
    r"""Between which accuracies, in per cent, the true one lies, at 95 % confidence.

        (p + z^2/2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2/n),   p = right / n

    Parameters
    ----------
    right, images
        How many images are classified as labelled, and how many there are; they are a random sample.
    z
        Standard normal quantile.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    """
    share, weight = right / images, z * z / images
    middle, reach = share + weight / 2, z * sqrt(share * (1 - share) / images + weight / (4 * images))
    return 100 * (middle - reach) / (1 + weight), 100 * (middle + reach) / (1 + weight)
