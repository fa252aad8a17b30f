"""Carvana's photographs of cars with their masks, found under the folder that ``LABONN_DATA`` names."""

import hashlib
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from labonn.data.datasets import DataSet, Split
from labonn.data.decoded import Arrays, decoded_once
from labonn.data.folder import cache_folder, data_folder
from labonn.errors import DataError

CLASSES = ("background", "car")
SHAPE = (64, 96)  # height and width to which images and masks are shrunk, whichever size they come in
CARS, VIEWS = 318, 16
HELD_BACK = 32  # cars each for validation and for the test
SPLIT_SEED = 0
SCHEMA = 1  # of what is kept of them
_NAME = re.compile(r"(?P<car>[0-9a-f]{12})_(?P<view>[0-9]{2})")

Pair = tuple[Path, Path]


def read() -> DataSet:
    """4,064 / 512 / 512 images of 3x64x96 and their masks; no car is in two splits.

    The publishers' test images have no masks, so all three splits are of their training images.

    Source: Carvana Image Masking Challenge, Kaggle 2017.

    Raises
    ------
    DataError
        If a file is missing, damaged, or not what it should be.
    """
    return read_folder(data_folder() / "carvana", cache=cache_folder())


def read_folder(folder: Path, *, cars: int = CARS, held_back: int = HELD_BACK, cache: Path | None = None) -> DataSet:
    """Read ``train/<car>_<view>.jpg`` and ``train_masks/<car>_<view>_mask.gif`` (or ``.png``), split by car.

    Parameters
    ----------
    folder
        Holds both folders.
    cars
        How many there have to be.
    held_back
        Cars each for validation and for the test.
    cache
        A folder to keep the shrunk pictures in, for the next time.

    Raises
    ------
    DataError
        As `read` does.
    """
    views = _pairs(folder, cars)
    names = sorted(views)
    pairs = [pair for name in names for pair in views[name]]
    decoded = _decoded(pairs) if cache is None else _decoded_once(folder, pairs, cache)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(names))
    first, second = len(order) - 2 * held_back, len(order) - held_back
    train, validation, test = (_split(decoded, np.sort(part)) for part in np.split(order, [first, second]))
    return DataSet("carvana", CLASSES, train, validation, test)


def _pairs(folder: Path, cars: int) -> dict[str, list[Pair]]:
    """The pairs of image and mask of each car, in the order of its views."""
    images, masks = folder / "train", folder / "train_masks"
    for needed in (images, masks):
        if not needed.is_dir():
            raise DataError(
                f"{needed}: there is no such folder: set LABONN_DATA to the folder that holds carvana/ with the"
                " publishers' train and train_masks, unpacked"
            )
    found: dict[str, dict[str, Pair]] = {}
    for image in sorted(images.glob("*.jpg")):
        name = _NAME.fullmatch(image.stem)
        if name is None:
            raise DataError(f"{image}: is not named <car>_<view>.jpg as the publishers' images are: take it away")
        mask = next((file for kind in ("gif", "png") if (file := masks / f"{image.stem}_mask.{kind}").is_file()), None)
        if mask is None:
            raise DataError(f"{masks / image.stem}_mask.gif: is missing, and {image} has no mask: unpack them again")
        found.setdefault(name["car"], {})[name["view"]] = (image, mask)
    expected = [f"{view:02}" for view in range(1, VIEWS + 1)]
    for car, views in found.items():
        if list(views) != expected:
            wrong = sorted(set(expected) ^ set(views))
            raise DataError(
                f"{images}: car {car} has {len(views)} views where 01 to {VIEWS} are expected, and {', '.join(wrong)}"
                " are missing or too many: unpack the images again"
            )
    if len(found) != cars:
        raise DataError(f"{images}: has {len(found)} cars, expected {cars}: unpack the images again")
    return {car: list(views.values()) for car, views in found.items()}


def _decoded_once(folder: Path, pairs: Sequence[Pair], cache: Path) -> Arrays:
    kept = cache / f"carvana-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]}.npz"
    return decoded_once(kept, (file for pair in pairs for file in pair), f"{SCHEMA} {SHAPE}", lambda: _decoded(pairs))


def _decoded(pairs: Sequence[Pair]) -> Arrays:
    """Images (N, 3, H, W) uint8 and masks (N, H, W) bool."""
    with ThreadPoolExecutor() as pool:  # they are decoded and shrunk outside Python
        images, masks = zip(*pool.map(_read, *zip(*pairs, strict=True)), strict=True)
    return {"images": np.stack(images).transpose(0, 3, 1, 2).copy(), "masks": np.stack(masks)}


def _split(decoded: Arrays, cars: NDArray[np.int64]) -> Split:
    chosen = (cars[:, None] * VIEWS + np.arange(VIEWS)).ravel()
    images = np.divide(decoded["images"][chosen], 255, dtype=np.float32)
    return Split(images, decoded["masks"][chosen].astype(np.int64))


def _read(image_path: Path, mask_path: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """One image (64, 96, 3) and its mask (64, 96), each pixel the mean, or the majority, of what it covers."""
    height, width = SHAPE
    image, size = _opened(image_path, "RGB")
    mask, mask_size = _opened(mask_path, "L")
    if size != mask_size:
        raise DataError(
            f"{mask_path}: has {mask_size[0]} x {mask_size[1]} pixels, but {image_path.name} has {size[0]} x {size[1]}:"
            " unpack both again"
        )
    if size[0] < width or size[1] < height:
        raise DataError(f"{image_path}: has {size[0]} x {size[1]} pixels, and at least {width} x {height} are needed")
    if sum(mask.histogram()[1:-1]):
        raise DataError(f"{mask_path}: has shades of grey, and a mask is black or white: unpack it again")
    shrunk = np.asarray(mask.resize((width, height), Image.Resampling.BOX)) >= 128
    if not shrunk.any():
        raise DataError(f"{mask_path}: is black all over, and each image has a car in it: unpack it again")
    return np.asarray(image.resize((width, height), Image.Resampling.BOX)), shrunk


def _opened(path: Path, mode: str) -> tuple[Image.Image, tuple[int, int]]:
    """A picture in a mode, and the width and height of its file; a JPEG is decoded no larger than it is needed."""
    try:
        with Image.open(path) as picture:
            size = picture.size
            picture.draft(mode, (2 * SHAPE[1], 2 * SHAPE[0]))
            return picture.convert(mode), size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: cannot be read as a picture ({error}): unpack it again") from error
