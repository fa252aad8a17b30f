"""A wide ReLU network's kernel approaches the infinitely wide one's, at the rate that theory gives."""

import numpy as np
import torch
from torch import nn

from labonn.ntk import empirical_ntk
from tests.unit.ntk.models import Apply

INPUTS = 5


def arc_cosine_ntk(x):
    """Return the NTK of one hidden ReLU layer of infinite width: S * k0(u) + |x||x'|/d * k1(u).

    Source: Cho, Saul, "Kernel methods for deep learning", NeurIPS 2009, eqs. 6 and 7; Jacot et al., NeurIPS 2018.
    """
    linear = x @ x.T / INPUTS
    lengths = np.sqrt(np.outer(np.diag(linear), np.diag(linear)))
    u = np.clip(linear / lengths, -1, 1)
    angle = np.arccos(u)
    k0 = (np.pi - angle) / np.pi
    k1 = (np.sqrt(1 - u**2) + u * (np.pi - angle)) / np.pi
    return linear * k0 + lengths * k1


def network(width):
    """In NTK parametrisation: standard normal weights, scaled by 1/sqrt(fan in) where they are used."""
    layers = nn.Linear(INPUTS, width, bias=False).double(), nn.Linear(width, 1, bias=False).double()
    for layer in layers:
        nn.init.normal_(layer.weight)
    return nn.Sequential(
        *(layers[0], Apply(lambda z: z / INPUTS**0.5), nn.ReLU(), layers[1], Apply(lambda z: z * (2 / width) ** 0.5))
    )


def test_the_error_falls_with_the_square_root_of_the_width():
    torch.manual_seed(0)
    x = torch.randn(6, INPUTS, dtype=torch.float64)
    limit = arc_cosine_ntk(x.numpy())
    widths = [32, 128, 512, 2048, 8192]
    errors = []
    for width in widths:
        squared = [np.sum((empirical_ntk(network(width), x).detach().numpy() - limit) ** 2) for _ in range(24)]
        errors.append(np.sqrt(np.mean(squared)) / np.linalg.norm(limit))
    slope = np.polyfit(np.log(widths), np.log(errors), 1)[0]
    assert -0.56 < slope < -0.44
    assert errors[-1] < 0.02
