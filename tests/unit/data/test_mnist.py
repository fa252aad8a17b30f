"""IDX files are read byte for byte, or refused whole with their name and a way out."""

import gzip
import os
from contextlib import suppress
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labonn.data import load
from labonn.data.mnist import read_idx
from labonn.errors import DataError

CONTENT = np.random.default_rng(0).integers(0, 256, (3, 4, 5)).astype(np.uint8)

needs_mnist = pytest.mark.skipif("LABONN_DATA" not in os.environ, reason="LABONN_DATA names no folder with MNIST")


def idx(array, kind=0x08):
    """Encode as http://yann.lecun.com/exdb/mnist describes it."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, kind, array.ndim]) + sizes + array.tobytes()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("idx") / "train-images-idx3-ubyte.gz"


shapes = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple)


@settings(deadline=None, max_examples=60)
@given(shape=shapes, data=st.data())
def test_what_was_written_is_read(file, shape, data):
    content = data.draw(st.binary(min_size=prod(shape), max_size=prod(shape)))
    array = np.frombuffer(content, np.uint8).reshape(shape)
    file.write_bytes(gzip.compress(idx(array)))
    found = read_idx(file, shape)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, array)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, len(gzip.compress(idx(CONTENT))) - 1))
def test_a_file_that_was_cut_anywhere_is_refused(file, length):
    file.write_bytes(gzip.compress(idx(CONTENT))[:length])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz: .*fetch it again"):
        read_idx(file, CONTENT.shape)


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 8 * len(gzip.compress(idx(CONTENT), mtime=0)) - 1))
def test_a_bit_that_flipped_is_harmless_or_refused(file, bit):
    packed = bytearray(gzip.compress(idx(CONTENT), mtime=0))
    packed[bit // 8] ^= 1 << bit % 8
    file.write_bytes(packed)
    with suppress(DataError):
        np.testing.assert_array_equal(read_idx(file, CONTENT.shape), CONTENT)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, len(idx(CONTENT)) - 1))
def test_content_that_was_cut_before_it_was_packed_is_refused(file, length):
    file.write_bytes(gzip.compress(idx(CONTENT)[:length]))
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz"):
        read_idx(file, CONTENT.shape)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused(file, content):
    for written in (content, gzip.compress(content)):
        file.write_bytes(written)
        with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz"):
            read_idx(file, CONTENT.shape)


def test_a_damaged_checksum_is_refused(file):
    packed = bytearray(gzip.compress(idx(CONTENT)))
    packed[-8] ^= 1  # CRC-32, RFC 1952
    file.write_bytes(packed)
    with pytest.raises(DataError, match=r"cannot be read as gzip .*CRC"):
        read_idx(file, CONTENT.shape)


@pytest.mark.parametrize(
    "content",
    [
        idx(CONTENT.reshape(3, 5, 4)),
        idx(CONTENT.reshape(12, 5)),
        idx(CONTENT[:2]),
        idx(CONTENT, kind=0x0D),
        idx(CONTENT)[1:],
    ],
    ids=["rows and columns exchanged", "another rank", "fewer images", "of floats", "without its first byte"],
)
def test_another_shape_or_type_is_refused_with_what_was_expected(file, content):
    file.write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match=r"unsigned bytes with shape \(3, 4, 5\)"):
        read_idx(file, CONTENT.shape)


def test_bytes_too_many_are_counted(file):
    file.write_bytes(gzip.compress(idx(CONTENT) + b"!!"))
    with pytest.raises(DataError, match="has 62 bytes of data, expected 60"):
        read_idx(file, CONTENT.shape)


def test_without_data_the_operator_learns_where_it_belongs(tmp_path, monkeypatch):
    monkeypatch.setenv("LABONN_DATA", str(tmp_path))
    with pytest.raises(DataError, match="no such file: set LABONN_DATA") as caught:
        load("mnist")
    assert str(tmp_path / "mnist" / "train-images-idx3-ubyte.gz") in str(caught.value)
    assert caught.value.exit_code == 2


@needs_mnist
@pytest.mark.slow
def test_mnist_is_what_its_publishers_say():
    """Labels and moments as every account of MNIST gives them."""
    mnist = load("mnist")
    assert [len(split) for split in (mnist.train, mnist.validation, mnist.test)] == [55_000, 5_000, 10_000]
    assert mnist.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert mnist.test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    counts = np.bincount(mnist.train.labels) + np.bincount(mnist.validation.labels)
    assert counts.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert mnist.test.images.dtype == np.float32
    assert mnist.train.images.shape[1:] == (1, 28, 28)
    assert mnist.train.images.mean() == pytest.approx(0.1307, abs=5e-4)
    assert mnist.train.images.max() == 1.0
