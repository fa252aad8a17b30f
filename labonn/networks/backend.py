"""The digital backend: it reads feature maps, whoever made them."""

from itertools import pairwise
from math import prod

from torch import nn

from labonn.design import Backend
from labonn.errors import ConfigError
from labonn.networks.upconv import make_upconv


def make_backend(backend: Backend, maps_shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """Rectify, pool, fully connected layers with rectifiers between them; or `make_upconv`.

    Parameters
    ----------
    backend
        Pooling and widths.
    maps_shape
        (K, H, W) of the feature maps.
    classes
        Number of logits.

    Raises
    ------
    ConfigError
        If the maps cannot be pooled without a rest.
    """
    if backend.kind == "upconv":
        return make_upconv(backend, maps_shape, classes)
    kernels, height, width = maps_shape
    if height % backend.pool or width % backend.pool:
        raise ConfigError(f"[backend] pool = {backend.pool} does not divide feature maps of {height} x {width}")
    features = prod((kernels, height // backend.pool, width // backend.pool))
    layers: list[nn.Module] = [nn.ReLU(), nn.AvgPool2d(backend.pool), nn.Flatten()]
    for inner, outer in pairwise((features, *backend.widths)):
        layers += [nn.Linear(inner, outer), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear((features, *backend.widths)[-1], classes))


def split_backend(backend: nn.Module) -> tuple[nn.Sequential, nn.Sequential]:
    """Split a backend before its first layer with parameters; both parts share its layers."""
    layers = list(backend) if isinstance(backend, nn.Sequential) else [backend]
    first = next((place for place, layer in enumerate(layers) if list(layer.parameters())), len(layers))
    return nn.Sequential(*layers[:first]), nn.Sequential(*layers[first:])
