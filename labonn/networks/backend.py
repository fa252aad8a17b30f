"""The digital backend: it reads feature maps, whoever made them."""

from math import prod

from torch import nn

from labonn.design import Backend
from labonn.errors import ConfigError


def make_backend(backend: Backend, maps_shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """Rectify, pool, two fully connected layers.

    Parameters
    ----------
    backend
        Pooling and width.
    maps_shape
        (K, H, W) of the feature maps.
    classes
        Number of logits.

    Raises
    ------
    ConfigError
        If the maps cannot be pooled without a rest.
    """
    kernels, height, width = maps_shape
    if height % backend.pool or width % backend.pool:
        raise ConfigError(f"[backend] pool = {backend.pool} does not divide feature maps of {height} x {width}")
    features = prod((kernels, height // backend.pool, width // backend.pool))
    return nn.Sequential(
        nn.ReLU(),
        nn.AvgPool2d(backend.pool),
        nn.Flatten(),
        nn.Linear(features, backend.hidden),
        nn.ReLU(),
        nn.Linear(backend.hidden, classes),
    )
