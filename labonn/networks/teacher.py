"""The electronic teacher: an ordinary network on the raw images."""

from torch import nn

from labonn.design import Teacher
from labonn.errors import ConfigError
from labonn.networks.resnet import make_resnet
from labonn.networks.unet import make_unet

LENET_IMAGES = (1, 28, 28)


def make_teacher(teacher: Teacher, image_shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """Build the network that a design names.

    Parameters
    ----------
    teacher
        Its kind: a LeNet-class network of two convolutions and two fully connected layers, a small residual network,
        or a U-Net.
    image_shape
        (C, H, W); (1, 28, 28) for a LeNet.
    classes
        Number of logits.

    Source: LeCun et al., Proc. IEEE 86 (1998), fig. 2, with rectifiers and maximum pooling; `make_resnet`,
    `make_unet`.

    Raises
    ------
    ConfigError
        If the images are of another shape.
    """
    if teacher.kind == "resnet":
        return make_resnet(image_shape, classes, width=teacher.width)
    if teacher.kind == "unet":
        return make_unet(image_shape, classes, width=teacher.width)
    if image_shape != LENET_IMAGES:
        raise ConfigError(f'[teacher] kind = "{teacher.kind}" is for images of {LENET_IMAGES}, not {image_shape}')
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 5 * 5, 120),
        nn.ReLU(),
        nn.Linear(120, classes),
    )
