"""What a network answers, and how often it is right."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

CHUNK = 1000


def logits_of(model: nn.Module, inputs: Tensor) -> Tensor:
    """Logits (N, C) of inputs (N, ...), in evaluation mode and in chunks; the model's mode is restored."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            return torch.cat([model(chunk) for chunk in torch.split(inputs, CHUNK)])
    finally:
        model.train(was_training)


def accuracy_percent(model: nn.Module, inputs: Tensor, labels: NDArray[np.int64]) -> float:
    """How many of the inputs are classified as labelled, per cent."""
    right = logits_of(model, inputs).argmax(dim=1).numpy() == labels
    return 100 * float(right.mean())
