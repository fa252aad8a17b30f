"""CIFAR-10 in both of its versions; a pickle that wants to do anything is refused before it did."""

import io
import os
import pickle
import pickletools
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labonn.data import cifar10, load
from labonn.data.array_pickle import read_array_pickle
from labonn.data.cifar10 import read_binary, read_python
from labonn.data.folder import data_folder
from labonn.errors import DataError

COUNT = 7
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (COUNT, 3, 32, 32)).astype(np.uint8)
LABELS = [3, 9, 0, 1, 1, 8, 5]

needs_cifar = pytest.mark.skipif(
    not any((data_folder() / name).is_dir() for name in (cifar10.BINARY, cifar10.PYTHON)),
    reason="LABONN_DATA names no folder with CIFAR-10",
)


def short(text):
    """A string of Python 2, protocol 2: SHORT_BINSTRING or BINSTRING."""
    head = b"U" + bytes([len(text)]) if len(text) < 256 else b"T" + struct.pack("<i", len(text))
    return head + text


def publishers_pickle(pixels=PIXELS, labels=LABELS, dtype=b"u1"):
    """As cPickle of Python 2 writes it, opcode by opcode: the publishers' own files are of this kind."""
    data = pixels.reshape(len(labels), -1)
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85" + short(b"b") + b"tR"
        b"(K\x01(J" + struct.pack("<i", len(labels)) + b"J" + struct.pack("<i", data.shape[1]) + b"t"
        b"cnumpy\ndtype\n(" + short(dtype) + b"K\x00K\x01tR(K\x03" + short(b"|") + b"NNN"
        b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89" + short(data.tobytes()) + b"tb"
    )  # fmt: skip
    listed = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return (
        b"\x80\x02}(" + short(b"batch_label") + short(b"training batch 1 of 5") + short(b"labels") + listed
        + short(b"data") + array + short(b"filenames") + b"](" + short(b"a.png") + b"eu."
    )  # fmt: skip


@pytest.fixture
def file(tmp_path):
    return tmp_path / "data_batch_1"


def test_the_publishers_pickle_is_one_that_python_reads_as_it_is_meant(file):
    """The oracle for the bytes above is pickle itself, which admits everything."""
    pickletools.dis(publishers_pickle(), out=io.StringIO())
    meant = pickle.loads(publishers_pickle(), encoding="bytes")
    np.testing.assert_array_equal(meant[b"data"], PIXELS.reshape(COUNT, -1))
    file.write_bytes(publishers_pickle())
    images, labels = read_python(file, COUNT)
    np.testing.assert_array_equal(images, PIXELS)
    assert (images.dtype, labels.tolist()) == (np.uint8, LABELS)
    assert read_array_pickle(file)[b"batch_label"] == meant[b"batch_label"]


def test_a_pickle_of_today_is_read_too(file):
    file.write_bytes(pickle.dumps({"data": PIXELS.reshape(COUNT, -1), "labels": LABELS}))
    np.testing.assert_array_equal(read_python(file, COUNT)[0], PIXELS)


class Runs:
    """Whoever unpickles it without care calls a function with an argument."""

    def __init__(self, function, *arguments):
        self._call = function, arguments

    def __reduce__(self):
        return self._call


TOUCHED = "was-here"
ATTACKS = {
    "a command": lambda folder: Runs(os.system, f"touch {folder / TOUCHED}"),
    "python": lambda folder: Runs(eval, f"open({str(folder / TOUCHED)!r}, 'w')"),
    "a file": lambda folder: Runs(open, str(folder / TOUCHED), "w"),
    "numpy that runs": lambda folder: Runs(np.load, str(folder / TOUCHED)),
    "an array of objects": lambda folder: np.array([Runs(os.mkdir, str(folder / TOUCHED))], dtype=object),
    "another class": lambda folder: Path(folder),
}


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_malicious_pickle_is_refused_and_runs_nothing(attack, protocol, file, tmp_path):
    for payload in (ATTACKS[attack](tmp_path), {"data": ATTACKS[attack](tmp_path), "labels": LABELS}):
        file.write_bytes(pickle.dumps(payload, protocol=protocol))
        with pytest.raises(DataError, match=r"data_batch_1: asks for .* nothing of it was run|is damaged"):
            read_python(file, COUNT)
        assert not (tmp_path / TOUCHED).exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cnumpy\nndarray\n(K\x05tR.",  # calls what is only to be named
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\nK\x00\x85U\x01btR.",  # an array of another type
        publishers_pickle(dtype=b"O8"),
        b"\x80\x02cbuiltins\neval\n.",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",  # a frame of 2^63 bytes
        b"\x82\x01.",  # an extension code
        b"P1\n.",  # a persistent name
    ],
)
def test_what_numpy_s_three_names_are_not_meant_for_is_refused(content, file):
    file.write_bytes(content)
    with pytest.raises(DataError, match="data_batch_1"):
        read_python(file, COUNT)


@settings(deadline=None, max_examples=150)
@given(place=st.integers(0, len(publishers_pickle()) - 1), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_pickle_is_harmless_or_refused(place, bit, cut, tmp_path_factory):
    content = bytearray(publishers_pickle())
    content[place] ^= 1 << bit
    file = tmp_path_factory.getbasetemp() / "data_batch_2"
    file.write_bytes(bytes(content[:place] if cut else content))
    try:
        images, labels = read_python(file, COUNT)
    except DataError:
        return
    assert images.shape == PIXELS.shape
    assert labels.max() < 10


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"labels": [3, 9, 0, 1, 1, 8, 10]}, "'labels' are not 7 numbers from 0 to 9"),
        ({"labels": LABELS[:-1]}, "'labels' are not 7 numbers"),
        ({"labels": [True] * COUNT}, "'labels' are not 7 numbers"),
        ({"data": PIXELS.reshape(-1, COUNT)}, "'data' is not 7 x 3072 unsigned bytes"),
        ({"data": None}, "'data' is not"),
    ],
)
def test_another_content_is_refused(changed, said, file):
    file.write_bytes(pickle.dumps({"data": PIXELS.reshape(COUNT, -1), "labels": LABELS} | changed))
    with pytest.raises(DataError, match=said):
        read_python(file, COUNT)


def binary(labels=LABELS):
    return b"".join(bytes([label]) + image.tobytes() for label, image in zip(labels, PIXELS, strict=True))


def test_the_binary_version_is_read_colour_by_colour(file):
    file.write_bytes(binary())
    images, labels = read_binary(file, COUNT)
    np.testing.assert_array_equal(images, PIXELS)
    assert labels.tolist() == LABELS


@pytest.mark.parametrize("content", [binary()[:-1], binary() + b"!", binary([3, 9, 0, 1, 1, 8, 10]), b""])
def test_a_binary_batch_of_another_length_or_label_is_refused(content, file):
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"data_batch_1: has .*fetch it again"):
        read_binary(file, COUNT)


def test_without_data_the_operator_learns_where_it_belongs(tmp_path, monkeypatch):
    monkeypatch.setenv("LABONN_DATA", str(tmp_path))
    with pytest.raises(DataError, match="neither cifar-10-batches-bin nor cifar-10-batches-py: set LABONN_DATA"):
        load("cifar10")


@needs_cifar
@pytest.mark.slow
def test_cifar_10_is_what_its_publishers_say():
    """5,000 of each class for training, 1,000 for testing; means as every account of CIFAR-10 gives them."""
    data = load("cifar10")
    assert [len(split) for split in (data.train, data.validation, data.test)] == [45_000, 5_000, 10_000]
    counts = np.bincount(data.train.labels) + np.bincount(data.validation.labels)
    assert set(counts) == {5000}
    assert set(np.bincount(data.test.labels)) == {1000}
    sums = data.train.images.sum(axis=(0, 2, 3), dtype=float) + data.validation.images.sum(axis=(0, 2, 3), dtype=float)
    np.testing.assert_allclose(sums / (50_000 * 1024), [0.4914, 0.4822, 0.4465], atol=2e-4)
    assert data.test.labels[:5].tolist() == [3, 8, 8, 0, 6]  # cat, ship, ship, airplane, frog
