"""One name, one data set."""

from collections.abc import Callable, Mapping

from labonn.data import carvana, cifar10, digits, mnist
from labonn.data.datasets import DataSet
from labonn.errors import DataError

READERS: Mapping[str, Callable[[], DataSet]] = {
    "digits": digits.read,
    "mnist": mnist.read,
    "cifar10": cifar10.read,
    "carvana": carvana.read,
}


def load(name: str) -> DataSet:
    """Read a data set.

    Raises
    ------
    DataError
        If there is none of that name, or its files are missing or damaged.
    """
    if name not in READERS:
        raise DataError(f"there is no data set {name!r}: known are {', '.join(READERS)}")
    return READERS[name]()
