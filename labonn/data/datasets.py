"""A data set: images and labels in three splits that never change."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Split:
    """Images of one split and their labels.

    Attributes
    ----------
    images
        (N, C, H, W) float32 in [0, 1]; C is 1, or 3 for red, green, blue.
    labels
        (N,) int64; or where each pixel has a class, masks (N, H, W) int64.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64] | slice) -> "Split":
        """Some of the images, with their labels."""
        return Split(self.images[indices], self.labels[indices])

    def first(self, count: int | Literal["all"]) -> "Split":
        """The first images, or all of them."""
        return self if count == "all" else self.take(slice(0, count))

    def spread(self, count: int | Literal["all"]) -> "Split":
        """So many images from the whole split, evenly chosen, or all of them: neighbours may be of one car."""
        if count == "all" or count >= len(self):
            return self
        return self.take(np.arange(count) * len(self) // count)


@dataclass(frozen=True)
class DataSet:
    """One named data set.

    ``train`` is for fitting, ``validation`` for choosing and for the release gate, ``test`` for reporting only.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
