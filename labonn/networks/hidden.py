"""What a network knows before it answers."""

from torch import Tensor, nn


def hidden_and_logits(network: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """What a network's last layer reads, (N, F), and its logits (N, C); of each pixel, (N, F, H, W) and (N, C, H, W).

    Raises
    ------
    TypeError
        If the network is not a row of layers, so that nobody can say which its last hidden one is.
    """
    if not isinstance(network, nn.Sequential) or len(network) < 2:
        raise TypeError(f"{type(network).__name__} is not a row of layers with a hidden one")
    features: Tensor = inputs
    *layers, last = network.children()
    for layer in layers:
        features = layer(features)
    logits: Tensor = last(features)
    return features, logits
