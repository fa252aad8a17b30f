"""Rows that were acknowledged are read whatever HDF5 has made of its tables when it was stopped."""

import shutil

import numpy as np
import pytest

from labonn.errors import RecordError
from labonn.records.frame_reading import frame_counts, partial_name, read_frames
from labonn.records.frame_table import Table
from labonn.records.frames import FrameFile
from labonn.records.undo import AsBefore, undo_name

ROWS = 64  # the place for more is allocated with the next one


def row(number):
    return {"tiles": np.full((90, 100), number, np.float32), "image": np.int64(number)}


class Killed(BaseException):
    pass


@pytest.fixture
def stopped(tmp_path, monkeypatch):
    """A file whose writer was stopped while it changed its tables, as copies, and where its rows are."""

    def stop(change):
        file = FrameFile(tmp_path / "written" / "frames.h5")
        for number in range(ROWS):
            file.append("test", **row(number))
        assert file.counts == {"test": ROWS}
        with monkeypatch.context() as patch, pytest.raises(Killed):
            change(file, patch)
        path = tmp_path / "left" / "frames.h5"
        shutil.copytree(tmp_path / "written", path.parent)
        chunks = sorted(chunk for some in file._tables["test"].chunks.values() for chunk in some)
        file.close()
        return path, chunks

    return stop


def killed_after(work):
    def working(*arguments):
        work(*arguments)
        arguments[0].node.file.flush()
        raise Killed

    return working


def growing(file, patch):
    patch.setattr(Table, "grow", killed_after(Table.grow))
    file.append("test", **row(ROWS))


def beginning_another_kind(file, patch):
    patch.setattr(Table, "grow", killed_after(Table.grow))
    file.append("more", **row(0))


def spoil(path, chunks, shorter):
    """Overwrite all that is no row, and cut off what comes after the last one."""
    content, at = bytearray(path.read_bytes()), 0
    for start, size in [*chunks, (len(content), 0)]:
        content[at:start] = b"\xff" * (start - at)
        at = start + size
    path.write_bytes(content[: sum(chunks[-1])] if shorter else content)


@pytest.mark.parametrize("shorter", [False, True])
@pytest.mark.parametrize("change", [growing, beginning_another_kind])
def test_what_was_acknowledged_is_read_whatever_became_of_the_tables(stopped, change, shorter):
    path, chunks = stopped(change)
    spoil(partial_name(path), chunks, shorter)
    assert frame_counts(path) == {"test": ROWS}
    found = read_frames(path, "test")
    np.testing.assert_array_equal(found["image"], np.arange(ROWS))
    np.testing.assert_array_equal(found["tiles"], np.stack([row(number)["tiles"] for number in range(ROWS)]))


def test_without_the_note_it_would_be_lost(stopped):
    path, chunks = stopped(growing)
    spoil(partial_name(path), chunks, shorter=False)
    undo_name(partial_name(path)).unlink()
    with pytest.raises(RecordError, match="is damaged"):
        read_frames(path, "test")


@pytest.mark.parametrize("left", [0, 100, -1])
def test_a_note_that_was_not_written_to_its_end_says_nothing(stopped, left):
    path, _ = stopped(growing)
    note = undo_name(partial_name(path))
    note.write_bytes(note.read_bytes()[:left])
    assert AsBefore.of(partial_name(path)) is None
    np.testing.assert_array_equal(read_frames(path, "test")["image"], np.arange(ROWS))  # the tables were whole


def test_a_closed_file_has_nothing_beside_it(tmp_path):
    with FrameFile(tmp_path / "frames.h5") as file:
        for number in range(ROWS + 1):
            file.append("test", **row(number))
    assert [one.name for one in tmp_path.iterdir()] == ["frames.h5"]


def full(*arguments, **more):
    raise OSError(28, "No space left on device")


def test_a_note_that_cannot_be_written_stops_the_change(tmp_path, monkeypatch):
    file = FrameFile(tmp_path / "frames.h5")
    for number in range(ROWS):
        file.append("test", **row(number))
    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        with pytest.raises(RecordError, match="No space left on device"):
            file.append("test", **row(ROWS))
    np.testing.assert_array_equal(read_frames(tmp_path / "frames.h5", "test")["image"], np.arange(ROWS))
    file.append("test", **row(ROWS))
    file.close()
    np.testing.assert_array_equal(read_frames(tmp_path / "frames.h5", "test")["image"], np.arange(ROWS + 1))


def test_a_disk_too_full_for_a_note_gives_nothing_back_and_the_file_is_closed(tmp_path, monkeypatch, caplog):
    file = FrameFile(tmp_path / "frames.h5")
    for number in range(20):
        file.append("test", **row(number))
    monkeypatch.setattr(np, "savez", full)
    file.close()
    assert [one.name for one in tmp_path.iterdir()] == ["frames.h5"]
    assert frame_counts(tmp_path / "frames.h5") == {"test": 20}
    assert "not given back" in caplog.text


def test_a_file_as_before_is_read_piece_by_piece(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(10)))
    with AsBefore(path, 12, [2, 9], [b"ab", b"xyz"]) as file:
        assert file.read() == b"\0\1ab\4\5\6\7\x08xyz"
        assert [(file.seek(place), file.read(3))[1] for place in (1, 3, 10, 12)] == [b"\1ab", b"b\4\5", b"yz", b""]
        assert file.seek(-2, 2) == 10


def test_a_disk_that_fails_at_the_end_is_named_and_the_rows_stay(tmp_path, monkeypatch):
    file = FrameFile(tmp_path / "frames.h5")
    for number in range(ROWS):
        file.append("test", **row(number))

    def failing():
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(file, "_let_go", failing)
    with pytest.raises(RecordError, match=r"frames\.h5: cannot write frames: .*Input/output error"):
        file.close()
    np.testing.assert_array_equal(read_frames(tmp_path / "frames.h5", "test")["image"], np.arange(ROWS))
    monkeypatch.undo()
    file._let_go()
