"""The oracle, and the models that are held against it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


def jacobian(model: nn.Module, x: Tensor, outputs: Callable | None = None, names: set[str] | None = None) -> Tensor:
    """Each sample's Jacobian by torch.func, (N, C, P); differentiable."""
    parameters = {name: p for name, p in model.named_parameters() if names is None or name in names}

    def function(values, sample):
        result = torch.func.functional_call(model, values, (sample.unsqueeze(0),))
        return (result if outputs is None else outputs(result)).flatten()

    parts = torch.func.vmap(torch.func.jacrev(function), (None, 0))(parameters, x)
    return torch.cat([part.flatten(2) for part in parts.values()], 2)


def reference_kernel(model, x, x2=None, *, trace=True, outputs=None, names=None) -> Tensor:
    a = jacobian(model, x, outputs, names)
    b = a if x2 is None else jacobian(model, x2, outputs, names)
    return torch.einsum("ncp,mcp->nm", a, b) if trace else torch.einsum("ncp,mdp->nmcd", a, b)


def relative_error(a: Tensor, b: Tensor) -> float:
    return float(((a - b).norm() / b.norm()).detach())


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Leak(nn.Module):
    """PReLU of 5 channels; written out where torch.func differentiates it, which prelu's own batching rule cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.rand(5))

    def forward(self, x: Tensor) -> Tensor:
        if torch._C._functorch.maybe_current_level() is not None:
            return torch.where(x > 0, x, x * self.slope)
        return F.prelu(x, self.slope)


class OpticalFrontend(nn.Module):
    """Kernels as pairs of non-negative, normalised PSFs, with a gain each: weights that are computed."""

    def __init__(self, kernels: int = 3) -> None:
        super().__init__()
        self.psf = nn.Parameter(torch.randn(kernels, 2, 1, 3, 3))
        self.gain = nn.Parameter(torch.rand(kernels) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        psf = F.softplus(self.psf)
        psf = psf / psf.sum((-2, -1), keepdim=True)
        tiles = F.conv2d(x, psf.flatten(0, 1), padding=1).unflatten(1, (-1, 2))
        return (tiles[:, :, 0] - tiles[:, :, 1]) * self.gain[:, None, None]


class TinyUNet(nn.Module):
    """Down, up, concatenation, a residual sum, in-place ReLU, batch norm: the composition of a segmentation backend."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = randomised(nn.BatchNorm2d(4))
        self.deep = nn.Conv2d(4, 4, 3, padding=1)
        self.up = nn.ConvTranspose2d(4, 3, 2, stride=2)
        self.head = nn.Conv2d(5, 1, 1)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        h = F.max_pool2d(self.act(self.norm(self.down(x))), 2)
        h = h + F.gelu(self.deep(h))
        return self.head(torch.cat([self.up(h), x], 1))


class Tied(nn.Module):
    """One matrix used three times, once transposed."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(self.layer(torch.tanh(self.layer(x))), self.layer.weight.T)


class AroundMixing(nn.Module):
    """Reshapes samples into the batch axis and back: no rule sees through that, torch.func does."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.reshape(-1, 2)).reshape(x.shape[0], -1).relu()


def randomised(norm: nn.Module) -> nn.Module:
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2.0)
    nn.init.normal_(norm.weight)
    return norm.eval()


def backend(inputs: int = 6, hidden: int = 7, classes: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, classes))


def after_convolution(*layers: nn.Module) -> nn.Module:
    """A layer between convolutions, so that gradients arrive and go on."""
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), *layers, nn.Conv2d(4, 2, 3), nn.Flatten(), nn.LazyLinear(3))


IMAGE, VECTOR, SEQUENCE = (1, 8, 8), (6,), (3, 4)
