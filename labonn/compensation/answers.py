"""How backends answer validation captures."""

import torch
from numpy import float64, int64
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from labonn.compensation.gate import Answers
from labonn.training import logits_of, scores_of


def answers_of(backend: nn.Module, maps: Tensor, labels: NDArray[int64]) -> Answers:
    """Let a backend classify captured maps (n, M, H, W), or their pixels, and compare with labels (n,) or (n, H, W)."""
    logits, truth = logits_of(backend, maps).double(), torch.from_numpy(labels)
    each = functional.cross_entropy(logits, truth, reduction="none")
    loss: NDArray[float64] = each.reshape(len(maps), -1).mean(dim=1).numpy()
    return Answers(scores_of(logits.argmax(dim=1).numpy(), labels, logits.shape[1]), loss)
