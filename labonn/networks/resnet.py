"""A small residual network, the teacher of colour images."""

from torch import Tensor, nn

from labonn.errors import ConfigError

REDUCED = 8  # three poolings by two


class Residual(nn.Module):
    """x + f(x), with f two convolutions of 3x3, each normalised and rectified."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.path = nn.Sequential(*_convolution(channels, channels), *_convolution(channels, channels))

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (N, K, H, W) of maps of the same shape."""
        added: Tensor = maps + self.path(maps)
        return added


def make_resnet(image_shape: tuple[int, int, int], classes: int, *, width: int) -> nn.Sequential:
    """Build a residual network of eight convolutions and one fully connected layer.

    Parameters
    ----------
    image_shape
        (C, H, W); height and width are multiples of 8.
    classes
        Number of logits.
    width
        Channels of the first convolution; 64 in the source.

    Source: He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016, in the short form of Page,
    "How to train your ResNet" (2018), part 4.

    Raises
    ------
    ConfigError
        If the images cannot be halved three times.
    """
    colours, height, width_px = image_shape
    if height % REDUCED or width_px % REDUCED:
        raise ConfigError(
            f'[teacher] kind = "resnet" needs images of multiples of {REDUCED}, not {height} x {width_px}'
        )
    return nn.Sequential(
        *_convolution(colours, width),
        *_convolution(width, 2 * width),
        nn.MaxPool2d(2),
        Residual(2 * width),
        *_convolution(2 * width, 4 * width),
        nn.MaxPool2d(2),
        *_convolution(4 * width, 8 * width),
        nn.MaxPool2d(2),
        Residual(8 * width),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(8 * width, classes),
    )


def _convolution(inner: int, outer: int) -> list[nn.Module]:
    return [nn.Conv2d(inner, outer, 3, padding=1, bias=False), nn.BatchNorm2d(outer), nn.ReLU()]
