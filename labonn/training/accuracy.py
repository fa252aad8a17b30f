"""What a network answers, and how often it is right."""

from math import sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from labonn.training.overlap import intersection_over_union

CHUNK = 1000
MANY_VALUES = 65_536  # in an image's feature maps; of more, a chunk of images would not fit into memory
USUAL_MAPS = 64  # of a network's first layers


def chunk_of(maps: int, pixels: int) -> int:
    """How many images at once a student of so many feature maps of so many pixels can be asked about."""
    return max(1, min(CHUNK, CHUNK * MANY_VALUES // (maps * pixels)))


def default_chunk(images: Tensor) -> int:
    """How many images (N, ..., H, W) at once a network of usual width can be asked about."""
    return chunk_of(USUAL_MAPS, images.shape[-2:].numel()) if images.ndim > 2 else CHUNK


def logits_of(model: nn.Module, inputs: Tensor, *, chunk: int | None = None) -> Tensor:
    """Logits (N, C, ...) of inputs (N, ...), in evaluation mode and in chunks; the model's mode is restored."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            return torch.cat([model(part) for part in torch.split(inputs, chunk or default_chunk(inputs))])
    finally:
        model.train(was_training)


def accuracy_percent(model: nn.Module, inputs: Tensor, labels: NDArray[np.int64], *, chunk: int | None = None) -> float:
    """How many of the inputs are classified as labelled, per cent."""
    right = logits_of(model, inputs, chunk=chunk).argmax(dim=1).cpu().numpy() == labels
    return 100 * float(right.mean())


def miou_percent(
    model: nn.Module, inputs: Tensor, masks: NDArray[np.int64], *, chunk: int | None = None
) -> tuple[float, float]:
    """Mean over images of intersection over union of the last class, and of all classes' mean, per cent.

    Parameters
    ----------
    model
        Answers logits (N, C, H, W).
    inputs, masks
        (N, ...) and (N, H, W).
    chunk
        Images that it is asked about at once.
    """
    parts = torch.split(inputs, chunk or default_chunk(inputs))
    answers = [logits_of(model, part, chunk=len(part)).argmax(dim=1) for part in parts]  # of few logits at a time
    classes = logits_of(model, inputs[:1]).shape[1]
    each = 100 * intersection_over_union(torch.cat(answers).cpu().numpy(), masks, classes)
    return float(each[:, -1].mean()), float(each.mean())


def scores_of(answers: NDArray[np.int64], labels: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """How well each image was answered, (N,) from 0 to 1: right or wrong, or of masks the IoU of the last class.

    Parameters
    ----------
    answers, labels
        (N,), or of each pixel (N, H, W).
    classes
        How many there are.
    """
    if labels.ndim == 1:
        return np.asarray(answers == labels, np.float64)
    overlap: NDArray[np.float64] = intersection_over_union(answers, labels, classes)[:, -1]
    return overlap


def score_percent(model: nn.Module, inputs: Tensor, labels: NDArray[np.int64], *, chunk: int | None = None) -> float:
    """By what a network is judged, per cent: accuracy, or of masks (N, H, W) the mean IoU of the last class."""
    if labels.ndim == 1:
        return accuracy_percent(model, inputs, labels, chunk=chunk)
    return miou_percent(model, inputs, labels, chunk=chunk)[0]


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


def score_interval(scores: NDArray[np.float64] | NDArray[np.bool_], z: float = 1.96) -> tuple[float, float]:
    """Between which means, in per cent, that of scores (n,) from 0 to 1 lies, at 95 % confidence.

    As `accuracy_interval` where each is 0 or 1; else two standard errors about their mean.
    """
    if np.isin(scores, (0.0, 1.0)).all():
        return accuracy_interval(int(scores.sum()), len(scores), z)
    reach = z * float(scores.std(ddof=1)) / sqrt(len(scores)) if len(scores) > 1 else 1.0
    mean = float(scores.mean())
    return 100 * max(0.0, mean - reach), 100 * min(1.0, mean + reach)
