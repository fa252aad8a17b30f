"""How well a mask is found: the overlap of what was answered with what is there."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labonn.training.labels import UNLABELLED

LEAST = 1e-6


def intersection_over_union(answers: NDArray[np.int64], labels: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """|A and B| / |A or B| of each image and class, (N, classes), of answers and labels (N, H, W).

    1 where a class is neither there nor answered.

    Source: Jaccard, "The distribution of the flora in the alpine zone", New Phytologist 11 (1912).
    """
    found = np.empty((len(labels), classes))
    for number in range(classes):
        answered, there = answers == number, labels == number
        both, either = (answered & there).sum(axis=(1, 2)), (answered | there).sum(axis=(1, 2))
        found[:, number] = np.where(either, both / np.maximum(either, 1), 1.0)
    return found


def overlap_loss(logits: Tensor, labels: Tensor) -> Tensor:
    r"""1 - sum p y / sum (p + y - p y), the sums over an image's pixels, in the mean over images and classes.

    With p the softmax and y in {0, 1}, it is 1 - IoU where each p is 0 or 1. The first class, the background, is left
    out of the mean.

    Parameters
    ----------
    logits
        (n, C, H, W).
    labels
        (n, H, W) int64; pixels that are `UNLABELLED` do not count, and images of which no pixel is labelled neither.

    Source: Rahman, Wang, "Optimizing intersection-over-union in deep neural networks for image segmentation", ISVC
    2016.
    """
    told = labels != UNLABELLED
    there = torch.nn.functional.one_hot(labels.clamp_min(0), logits.shape[1]).movedim(-1, 1)[:, 1:] * told[:, None]
    answered = logits.softmax(dim=1)[:, 1:] * told[:, None]
    both = (answered * there).sum(dim=(2, 3))
    either = (answered + there).sum(dim=(2, 3)) - both
    known = told.flatten(1).any(dim=1)
    return 1 - ((both + LEAST) / (either + LEAST))[known].mean()
