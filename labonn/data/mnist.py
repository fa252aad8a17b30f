"""MNIST in its publishers' four IDX files, found under the folder that ``LABONN_DATA`` names."""

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labonn.data.datasets import DataSet, Split
from labonn.data.folder import data_folder
from labonn.errors import DataError

VALIDATION = 5_000  # the last of the 60,000 training images
UNSIGNED_BYTE = 0x08  # IDX type code


def read() -> DataSet:
    """55,000 / 5,000 / 10,000 images of 28x28.

    Source: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", Proc. IEEE 86
    (1998).

    Raises
    ------
    DataError
        If a file is missing, cut or not what it should be.
    """
    folder = data_folder() / "mnist"
    train, test = (_split(folder, prefix, count) for prefix, count in (("train", 60_000), ("t10k", 10_000)))
    return DataSet(
        "mnist",
        tuple("0123456789"),
        train=train.take(slice(0, -VALIDATION)),
        validation=train.take(slice(-VALIDATION, None)),
        test=test,
    )


def _split(folder: Path, prefix: str, count: int) -> Split:
    images = read_idx(folder / f"{prefix}-images-idx3-ubyte.gz", (count, 28, 28))
    labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", (count,))
    return Split(np.divide(images[:, None], 255, dtype=np.float32), labels.astype(np.int64))


def read_idx(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read one gzipped IDX file of unsigned bytes, and check that it has this shape.

    Raises
    ------
    DataError
        If it is missing, not gzip, cut, or of another shape or type.
    """
    try:
        with gzip.open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError as error:
        raise DataError(
            f"{path}: there is no such file: set LABONN_DATA to the folder that holds mnist/ with its four .gz files"
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read as gzip ({error}): fetch it again") from error
    header = 4 + 4 * len(shape)
    magic = bytes([0, 0, UNSIGNED_BYTE, len(shape)])
    found_shape = tuple(int(n) for n in np.frombuffer(content[4:header].ljust(header - 4, b"\0"), ">u4"))
    if content[:4] != magic or found_shape != shape:
        raise DataError(f"{path}: is not an IDX file of unsigned bytes with shape {shape}: fetch it again")
    if len(content) != header + int(np.prod(shape)):
        raise DataError(
            f"{path}: has {len(content) - header} bytes of data, expected {int(np.prod(shape))}: fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
