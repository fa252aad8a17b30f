"""The backends that the kernel engine is measured on, with their batches."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


@dataclass(frozen=True)
class Case:
    """A backend, a batch of feature maps, what it is trained for, and a teacher's kernel to match."""

    model: nn.Module
    x: Tensor
    task: Callable[[Tensor], Tensor]
    target: Tensor

    def to(self, device: str) -> "Case":
        """Return the same on another device."""
        model = self.model.to(device)
        return Case(model, self.x.to(device), self.task, self.target.to(device))


def _class_case(model: nn.Module, x: Tensor) -> Case:
    labels = torch.randint(0, 10, (len(x),))
    features = torch.randn(len(x), 60) + F.one_hot(labels, 10).float() @ torch.randn(10, 60)
    return Case(model, x, lambda z: F.cross_entropy(z, labels.to(z.device)), features @ features.T)


def two_layer() -> Case:
    """392-64-10 on 8 maps of 7 x 7, batch 128."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(392, 64), nn.ReLU(), nn.Linear(64, 10))
    return _class_case(model, torch.randn(128, 8, 7, 7))


def convolutional() -> Case:
    """Convolution 16-32, pooling and a linear layer on 16 maps of 14 x 14, batch 128."""
    model = nn.Sequential(
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 49, 10)
    )
    return _class_case(model, torch.randn(128, 16, 14, 14))


def segmentation() -> Case:
    """An up-convolutional backend on 56 maps of 40 x 60, one mask of 80 x 120 a sample, batch 8."""
    model = nn.Sequential(
        *(nn.Conv2d(56, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(64, 96, 3, padding=1), nn.ReLU()),
        *(nn.ConvTranspose2d(96, 64, 2, stride=2), nn.ReLU(), nn.Conv2d(64, 32, 3, padding=1), nn.ReLU()),
        *(nn.ConvTranspose2d(32, 16, 2, stride=2), nn.ReLU(), nn.Conv2d(16, 1, 1)),
    )
    masks = (torch.rand(8, 1, 80, 120) > 0.5).float()
    features = torch.randn(8, 20)
    return Case(
        model,
        torch.rand(8, 56, 40, 60),
        lambda z: F.binary_cross_entropy_with_logits(z, masks.to(z.device)),
        features @ features.T,
    )


def small_segmentation() -> Case:
    """The same kind of backend, small enough for its exact kernel: 256 outputs, batch 8."""
    model = nn.Sequential(
        *(nn.Conv2d(6, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(12, 16, 3, padding=1), nn.ReLU()),
        *(nn.ConvTranspose2d(16, 8, 2, stride=2), nn.ReLU(), nn.Conv2d(8, 1, 1)),
    )
    features = torch.randn(8, 20)
    return Case(model, torch.rand(8, 6, 16, 16), lambda z: z.square().mean(), features @ features.T)
