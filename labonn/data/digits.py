"""scikit-learn's handwritten digits: 1,797 real 8x8 scans, part of the package, so nothing is downloaded."""

import numpy as np
from scipy.ndimage import zoom
from sklearn.datasets import load_digits

from labonn.data.datasets import DataSet, Split

SIDE = 28  # what the optics of `mono` are laid out for
TRAIN, VALIDATION = 1097, 300  # the remaining 400 are the test set
SPLIT_SEED = 0  # the scans stand in the order of their writers: a fixed shuffle spreads the writers over the splits


def read() -> DataSet:
    """The scans, enlarged to 28x28 by cubic interpolation, in a fixed split of 1,097 / 300 / 400.

    Source: Alpaydin, Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning Repository, 1998.
    """
    scans, labels = load_digits(return_X_y=True)
    small = scans.reshape(-1, 8, 8).astype(np.float32) / 16
    images = zoom(small, (1, SIDE / 8, SIDE / 8), order=3, mode="grid-constant", grid_mode=True)
    images = np.clip(images, 0, 1).astype(np.float32)[:, None]
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    whole = Split(images[order], labels[order].astype(np.int64))
    return DataSet(
        "digits",
        tuple("0123456789"),
        train=whole.take(slice(0, TRAIN)),
        validation=whole.take(slice(TRAIN, TRAIN + VALIDATION)),
        test=whole.take(slice(TRAIN + VALIDATION, None)),
    )
