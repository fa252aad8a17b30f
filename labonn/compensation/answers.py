"""How backends answer validation captures."""

import torch
from numpy import float64, int64
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from labonn.compensation.gate import Answers
from labonn.training import logits_of


def answers_of(backend: nn.Module, maps: Tensor, labels: NDArray[int64]) -> Answers:
    """Let a backend classify captured maps (n, K, H, W), and compare with their labels (n,)."""
    logits, truth = logits_of(backend, maps).double(), torch.from_numpy(labels)
    loss: NDArray[float64] = functional.cross_entropy(logits, truth, reduction="none").numpy()
    return Answers((logits.argmax(dim=1) == truth).numpy(), loss)
