"""The electronic teacher: an ordinary network on the raw images."""

from torch import nn

from labonn.design import Teacher
from labonn.errors import ConfigError

IMAGE_SHAPE = (1, 28, 28)


def make_teacher(teacher: Teacher, image_shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """Build a LeNet-class convolutional network: two convolutions with pooling, two fully connected layers.

    Parameters
    ----------
    teacher
        Its kind; there is one.
    image_shape
        (1, 28, 28).
    classes
        Number of logits.

    Source: LeCun et al., Proc. IEEE 86 (1998), fig. 2, with rectifiers and maximum pooling.

    Raises
    ------
    ConfigError
        If the images are of another shape.
    """
    if image_shape != IMAGE_SHAPE:
        raise ConfigError(f'[teacher] kind = "{teacher.kind}" is for images of {IMAGE_SHAPE}, not {image_shape}')
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
