"""Images keep their masks, no car is in two splits, and what is damaged or missing is named."""

import shutil

import numpy as np
import pytest
from PIL import Image

from labonn.data import carvana, load
from labonn.data.carvana import SHAPE, VIEWS, read_folder
from labonn.errors import DataError

CARS = [f"{number:012x}" for number in (7, 19, 4, 300, 81)]
SIZE = (240, 160)  # width, height; shrunk 2.5 times


def draw(folder, car, view, kind="png"):
    """A bright square that says which car and view it is, and its mask: position by view, brightness by car."""
    picture = np.full((SIZE[1], SIZE[0], 3), 20, np.uint8)
    mask = np.zeros((SIZE[1], SIZE[0]), bool)
    place = np.s_[40 + 5 * view : 80 + 5 * view, 50:150]
    picture[place], mask[place] = (200, 100 + 20 * CARS.index(car), 60), True
    Image.fromarray(picture).save(folder / "train" / f"{car}_{view:02}.jpg", quality=95)
    Image.fromarray(mask).save(folder / "train_masks" / f"{car}_{view:02}_mask.{kind}")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "carvana"
    for part in ("train", "train_masks"):
        (folder / part).mkdir(parents=True)
    for car in CARS:
        for view in range(1, VIEWS + 1):
            draw(folder, car, view, "gif" if view % 2 else "png")
    return folder


def test_images_are_shrunk_with_their_masks_and_split_by_car(whole):
    data = read_folder(whole, cars=5, held_back=1)
    assert data.classes == ("background", "car")
    cars = []
    for split, count in ((data.train, 3), (data.validation, 1), (data.test, 1)):
        assert split.images.shape == (count * VIEWS, 3, *SHAPE)
        assert split.labels.shape == (count * VIEWS, *SHAPE)
        assert (split.images.dtype, split.labels.dtype) == (np.float32, np.int64)
        assert 0 <= split.images.min() < split.images.max() <= 1
        for number, (image, mask) in enumerate(zip(split.images, split.labels, strict=True)):
            view = number % VIEWS + 1
            expected = np.zeros(SHAPE, int)
            expected[16 + 2 * view : 32 + 2 * view, 20:60] = 1
            np.testing.assert_array_equal(mask, expected)
            assert image[0][mask == 1].mean() > 3 * image[0][mask == 0].mean()
        cars.append({round((255 * float(np.median(image[1][mask == 1])) - 100) / 20) for image, mask in zip(
            split.images, split.labels, strict=True
        )})  # fmt: skip
    assert sorted(set.union(*cars)) == [0, 1, 2, 3, 4]
    assert sum(map(len, cars)) == 5
    again = read_folder(whole, cars=5, held_back=1)
    np.testing.assert_array_equal(again.test.images, data.test.images)


def read_and_kept(folder, cache):
    data = read_folder(folder, cars=5, held_back=1, cache=cache)
    (kept,) = cache.glob("*.npz")
    return data, kept


def test_pictures_are_decoded_once_and_again_when_one_has_changed(whole, tmp_path, monkeypatch):
    folder, cache = tmp_path / "carvana", tmp_path / "cache"
    shutil.copytree(whole, folder)
    first, kept = read_and_kept(folder, cache)
    with monkeypatch.context() as patch:
        patch.setattr(carvana, "_read", lambda image, mask: pytest.fail("decoded"))
        again, _ = read_and_kept(folder, cache)
    for split in ("train", "validation", "test"):
        for part in ("images", "labels"):
            np.testing.assert_array_equal(getattr(getattr(again, split), part), getattr(getattr(first, split), part))
    draw(folder, CARS[0], 1, "gif")
    damage(folder / "train_masks" / f"{CARS[1]}_01_mask.gif", b"no picture")
    with pytest.raises(DataError, match="cannot be read as a picture"):
        read_and_kept(folder, cache)
    draw(folder, CARS[1], 1, "gif")
    damage(kept, kept.read_bytes()[:5000])
    whole_again, _ = read_and_kept(folder, cache)
    np.testing.assert_array_equal(whole_again.test.images, first.test.images)


def test_a_picture_that_goes_nowhere_is_named(whole, tmp_path):
    folder = tmp_path / "carvana"
    shutil.copytree(whole, folder)
    picture = folder / "train" / f"{CARS[0]}_01.jpg"
    picture.unlink()
    try:
        picture.symlink_to(tmp_path / "nowhere.jpg")
    except OSError:
        pytest.skip("links need a permission here")
    with pytest.raises(DataError, match=rf"{CARS[0]}_01\.jpg: cannot be read as a picture"):
        read_folder(folder, cars=5, held_back=1, cache=tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_done_without(whole, tmp_path):
    (tmp_path / "cache").write_text("a file where a folder should be")
    assert len(read_folder(whole, cars=5, held_back=1, cache=tmp_path / "cache").test) == VIEWS


def damage(path, content):
    path.write_bytes(content)


FIRST = f"{CARS[0]}_01"


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda f: (f / "train_masks" / f"{FIRST}_mask.gif").unlink(), rf"{FIRST}_mask\.gif: is missing"),
        (lambda f: (f / "train" / f"{FIRST}.jpg").unlink(), rf"car {CARS[0]} has 15 views .* 01 are missing"),
        (lambda f: damage(f / "train" / f"{FIRST}.jpg", b"no picture"), rf"{FIRST}\.jpg: cannot be read as a picture"),
        (
            lambda f: damage(f / "train" / f"{FIRST}.jpg", (f / "train" / f"{FIRST}.jpg").read_bytes()[:900]),
            rf"{FIRST}\.jpg: cannot be read as a picture",
        ),
        (
            lambda f: Image.new("1", (120, 80), 1).save(f / "train_masks" / f"{FIRST}_mask.gif"),
            r"has 120 x 80 pixels, but .* has 240 x 160",
        ),
        (lambda f: Image.new("1", SIZE).save(f / "train_masks" / f"{FIRST}_mask.gif"), "black all over"),
        (lambda f: Image.new("L", SIZE, 90).save(f / "train_masks" / f"{FIRST}_mask.gif"), "shades of grey"),
        (lambda f: draw_stranger(f), r"holiday\.jpg: is not named"),
    ],
)
def test_what_is_damaged_or_missing_is_named(whole, tmp_path, break_it, said):
    for part in ("train", "train_masks"):
        (tmp_path / part).mkdir()
        for file in (whole / part).glob(f"{CARS[0]}*"):
            (tmp_path / part / file.name).write_bytes(file.read_bytes())
    break_it(tmp_path)
    with pytest.raises(DataError, match=said):
        read_folder(tmp_path, cars=1, held_back=0)


def draw_stranger(folder):
    Image.new("RGB", SIZE).save(folder / "train" / "holiday.jpg")


def test_missing_cars_and_folders_are_said(whole, tmp_path, monkeypatch):
    with pytest.raises(DataError, match="has 5 cars, expected 318"):
        read_folder(whole)
    monkeypatch.setenv("LABONN_DATA", str(tmp_path))
    with pytest.raises(DataError, match="LABONN_DATA"):
        load("carvana")
