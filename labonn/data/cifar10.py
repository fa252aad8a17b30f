"""CIFAR-10 in its publishers' binary or python version, found under the folder that ``LABONN_DATA`` names."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labonn.data.array_pickle import read_array_pickle
from labonn.data.datasets import DataSet, Split
from labonn.data.folder import data_folder
from labonn.errors import DataError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BINARY, PYTHON = "cifar-10-batches-bin", "cifar-10-batches-py"
TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST = ("test_batch",)
IMAGES = 10_000  # in each batch
SHAPE = (3, 32, 32)  # red, green, blue
VALIDATION = 5_000  # the last of the 50,000 training images


def read() -> DataSet:
    """45,000 / 5,000 / 10,000 images of 3x32x32; the binary version where both are there.

    Source: Krizhevsky, "Learning multiple layers of features from tiny images", 2009; the layouts are those of
    https://www.cs.toronto.edu/~kriz/cifar.html.

    Raises
    ------
    DataError
        If a file is missing, cut or not what it should be.
    """
    train, test = (_split(names) for names in (TRAIN, TEST))
    return DataSet(
        "cifar10",
        CLASSES,
        train=train.take(slice(0, -VALIDATION)),
        validation=train.take(slice(-VALIDATION, None)),
        test=test,
    )


def _split(names: tuple[str, ...]) -> Split:
    folder = data_folder()
    if (folder / BINARY).is_dir():
        parts = [read_binary(folder / BINARY / f"{name}.bin") for name in names]
    elif (folder / PYTHON).is_dir():
        parts = [read_python(folder / PYTHON / name) for name in names]
    else:
        raise DataError(
            f"{folder}: has neither {BINARY} nor {PYTHON}: set LABONN_DATA to the folder that holds CIFAR-10 as its"
            " publishers pack it"
        )
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Split(np.divide(images, 255, dtype=np.float32), labels.astype(np.int64))


def read_binary(path: Path, count: int = IMAGES) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read one batch of the binary version: images (N, 3, 32, 32) and labels (N,).

    A record is one byte of label, then 1,024 bytes each of red, green and blue.

    Raises
    ------
    DataError
        If it is missing, of another length, or has labels that are no classes.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}; fetch CIFAR-10 again") from error
    record = 1 + int(np.prod(SHAPE))
    if len(content) != count * record:
        raise DataError(f"{path}: has {len(content)} bytes, expected {count * record}: fetch it again")
    records = np.frombuffer(content, np.uint8).reshape(count, record)
    return _checked(path, records[:, 1:], records[:, 0])


def read_python(path: Path, count: int = IMAGES) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read one batch of the python version, a pickle; only arrays, strings, containers and numbers are admitted.

    Raises
    ------
    DataError
        If it is missing, holds anything else, or is of another shape.
    """
    content = read_array_pickle(path)
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds {type(content).__name__}, expected a dictionary: fetch it again")
    images, labels = content.get(b"data", content.get("data")), content.get(b"labels", content.get("labels"))
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape != (count, int(np.prod(SHAPE))):
        raise DataError(f"{path}: its 'data' is not {count} x {int(np.prod(SHAPE))} unsigned bytes: fetch it again")
    if (
        not isinstance(labels, list)
        or len(labels) != count
        or not all(type(label) is int and 0 <= label < len(CLASSES) for label in labels)
    ):
        raise DataError(f"{path}: its 'labels' are not {count} numbers from 0 to {len(CLASSES) - 1}: fetch it again")
    return _checked(path, images, np.array(labels, np.uint8))


def _checked(
    path: Path, images: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    if labels.max() >= len(CLASSES):
        raise DataError(f"{path}: has a label {labels.max()}, expected 0 to {len(CLASSES) - 1}: fetch it again")
    return images.reshape(len(labels), *SHAPE), labels
