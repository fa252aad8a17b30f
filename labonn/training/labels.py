"""What is known of images: their classes, or those of their pixels; of some of them nothing."""

import torch
from torch import Tensor

UNLABELLED = -100  # what torch's cross-entropy passes over


def labelled(labels: Tensor) -> Tensor:
    """Which images (N,) have a label, or in a mask (N, H, W) one of a pixel at least."""
    return (labels.flatten(1) if labels.ndim > 1 else labels[:, None]).ne(UNLABELLED).any(dim=1)


def some_labels(labels: Tensor, count: int, seed: int) -> Tensor:
    """The labels (N, ...) of so many images drawn at random; those of the others are `UNLABELLED`."""
    told = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))[:count].to(labels.device)
    hidden = torch.full_like(labels, UNLABELLED)
    hidden[told] = labels[told]
    return hidden
