"""Splits never change, and an image keeps its label."""

import hashlib

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn import functional

from labonn.data import Split, load
from labonn.errors import DataError


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def test_an_unknown_data_set_is_answered_with_the_known_ones():
    with pytest.raises(DataError, match=r"'digit'.*digits, mnist"):
        load("digit")


def test_digits_are_images_in_range(digits):
    for split, count in ((digits.train, 1097), (digits.validation, 300), (digits.test, 400)):
        assert split.images.shape == (count, 1, 28, 28)
        assert split.labels.shape == (count,)
        assert (split.images.dtype, split.labels.dtype) == (np.float32, np.int64)
        assert 0 <= split.images.min() < split.images.max() <= 1
        assert set(split.labels) == set(range(len(digits.classes)))


def test_the_split_of_digits_is_the_one_that_results_were_measured_on(digits):
    labels = np.concatenate([split.labels for split in (digits.train, digits.validation, digits.test)])
    digest = hashlib.sha256(labels.astype(np.uint8).tobytes()).hexdigest()
    assert digest == "99c3fa75ee18cae97ff47da2ffc12fc2b86fb210c20b266cdf6a1fad9496e10b"


def test_every_scan_is_in_exactly_one_split_with_its_label(digits):
    scans, labels = load_digits(return_X_y=True)
    images = np.concatenate([split.images for split in (digits.train, digits.validation, digits.test)])
    found_labels = np.concatenate([split.labels for split in (digits.train, digits.validation, digits.test)])
    enlarged = functional.interpolate(torch.from_numpy(scans / 16).reshape(-1, 1, 8, 8), (28, 28), mode="bicubic")
    images, enlarged = images.reshape(len(images), -1), enlarged.numpy().reshape(len(scans), -1)
    distance = (images**2).sum(axis=1)[:, None] - 2 * images @ enlarged.T + (enlarged**2).sum(axis=1)
    nearest = distance.argmin(axis=1)
    assert sorted(nearest) == list(range(len(scans)))
    np.testing.assert_array_equal(found_labels, labels[nearest])


def test_reading_twice_gives_the_same_bytes(digits):
    again = load("digits")
    for name in ("train", "validation", "test"):
        assert getattr(again, name).images.tobytes() == getattr(digits, name).images.tobytes()


def test_taking_keeps_images_and_labels_together():
    split = Split(np.arange(5, dtype=np.float32).reshape(5, 1, 1, 1), np.arange(5))
    taken = split.take(np.array([3, 1]))
    assert (taken.images.ravel().tolist(), taken.labels.tolist()) == ([3.0, 1.0], [3, 1])
    assert (len(split.first(2)), len(split.first("all")), len(split.first(9))) == (2, 5, 5)
    assert split.spread(2).labels.tolist() == [0, 2]
    assert split.spread(3).labels.tolist() == [0, 1, 3]
    assert (len(split.spread("all")), len(split.spread(9)), len(split.spread(0))) == (5, 5, 0)
