r"""Which images to show: those from which the kernels are known best.

A kernel is known through X^T X, the sum of the pictures' autocorrelations; the volume of its uncertainty is smallest
where det(X^T X) is largest (D-optimality). Shifted copies of a picture are nearly a circulant matrix, so that

    log det(X^T X + lambda) = sum_f log(sum_n |S_n(f)|^2 + lambda)

with S_n the picture's transform: no matrix is needed, and a greedy choice from thousands of images takes a second.

Source: Fedorov, "Theory of Optimal Experiments" (1972), for the greedy choice; Gray, "Toeplitz and Circulant Matrices",
Found. Trends Commun. Inf. Theory 2 (2006), for the circulant limit.
"""

from typing import Literal, get_args

import torch
from torch import Tensor

from labonn.errors import ConfigError

Choice = Literal["random", "d-optimal"]
POOL = 4000  # images that are looked at, drawn at random
NOISE = 1e-3  # lambda, relative to the mean power of a picture


def patterns(count: int, image_shape: tuple[int, int], *, seed: int) -> Tensor:
    """Patterns instead of images: squares of random grey, half of them dark, of one to four taps; (count, 1, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    height, width = image_shape
    made = []
    for index in range(count):
        side = 1 + index % 4
        squares = torch.rand(2, -(-height // side), -(-width // side), generator=generator)
        grey = squares[0] * (squares[1] > 0.5)
        made.append(grey.repeat_interleave(side, 0).repeat_interleave(side, 1)[:height, :width])
    return torch.stack(made)[:, None]


def choose_images(images: Tensor, count: int, choice: Choice = "random", *, seed: int) -> Tensor:
    """Choose images to capture; their indices, (count,) int64.

    Parameters
    ----------
    images
        (N, 1, H, W), what could be shown.
    count
        How many to choose; all of them if there are fewer.
    choice
        "random", or "d-optimal".
    seed
        Of what is random.

    Raises
    ------
    ConfigError
        If there is no such choice.
    """
    if choice not in get_args(Choice):
        raise ConfigError(f"there is no choice of images {choice!r}: known are {', '.join(get_args(Choice))}")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    if choice == "random" or count >= len(images):
        return order[:count]
    pool = order[: max(POOL, count)]
    height, width = images.shape[2:]
    spectrum = torch.fft.rfft2(images[pool, 0], (2 * height, 2 * width))
    power = (spectrum.real.square() + spectrum.imag.square())[:, ::2, ::2].flatten(1)
    known = torch.full_like(power[0], NOISE * float(power.mean()))
    chosen: list[int] = []
    for _ in range(count):
        gain = (known + power).log().sum(dim=1)
        gain[chosen] = -torch.inf
        best = int(gain.argmax())
        chosen.append(best)
        known = known + power[best]
    return pool[chosen]
