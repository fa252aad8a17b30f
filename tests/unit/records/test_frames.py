"""Frames: what was acknowledged is there, whatever happened; what was not is not trusted."""

import subprocess
import sys
import textwrap

import h5py
import numpy as np
import pytest

from labonn.errors import RecordError
from labonn.records import FrameFile, frame_counts, read_frames, read_kept
from labonn.records.frame_reading import partial_name


def row(number):
    return {"frame": np.full((6, 5), number, np.uint16), "maps": np.full((2, 3), number, np.float32), "image": number}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "frames.h5"


def test_what_is_written_is_read_back_with_its_types(path):
    with FrameFile(path) as file:
        for number in range(40):
            file.append("fit", **row(number))
        file.append("flat", frame=np.ones((2, 2), np.uint16))
    frames = read_frames(path, "fit")
    assert frames["frame"].shape == (40, 6, 5)
    assert frames["frame"].dtype == np.uint16
    assert frames["maps"].dtype == np.float32
    np.testing.assert_array_equal(frames["image"], np.arange(40))
    np.testing.assert_array_equal(frames["maps"][:, 1, 2], np.arange(40))
    assert frame_counts(path) == {"fit": 40, "flat": 1}
    assert not partial_name(path).exists()


def test_many_rows_at_once_are_the_same_as_one_by_one(path):
    with FrameFile(path) as file:
        file.append("fit", image=0)
        file.extend("fit", image=np.arange(1, 1001))
    np.testing.assert_array_equal(read_frames(path, "fit")["image"], np.arange(1001))


def test_rows_and_quantities_can_be_chosen(path):
    with FrameFile(path) as file:
        file.extend("fit", image=np.arange(10), gain=np.arange(10.0))
    chosen = read_frames(path, "fit", ["image"], start=2, stop=5)
    assert list(chosen) == ["image"]
    np.testing.assert_array_equal(chosen["image"], [2, 3, 4])


def test_only_acknowledged_rows_are_read_while_the_run_goes_on(path):
    file = FrameFile(path, batch_rows=4)
    acknowledged = [file.append("fit", **row(number)) for number in range(6)]
    assert acknowledged == [0, 0, 0, 4, 4, 4]
    np.testing.assert_array_equal(read_frames(path, "fit")["image"], range(4))
    file.flush()
    np.testing.assert_array_equal(read_frames(path, "fit")["image"], range(6))
    file.append("fit", **row(6))
    file.close()
    np.testing.assert_array_equal(read_frames(path, "fit")["image"], range(7))


def test_no_file_is_made_without_frames(path):
    FrameFile(path).close()
    assert not path.exists()
    with pytest.raises(RecordError, match="no frames here"):
        read_frames(path, "fit")


WRITER = """
    import sys
    from pathlib import Path
    import numpy as np
    from labonn.records import FrameFile
    file = FrameFile(Path(sys.argv[1]), batch_rows=3)
    number = 0
    while True:
        row = {"frame": np.full((40, 30), number, np.uint16), "image": number}
        print(file.append("fit", **row), flush=True)
        number += 1
"""


@pytest.mark.parametrize("stop_after", [1, 47, 130])
def test_killed_with_minus_nine_nothing_acknowledged_is_lost(path, stop_after):
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        for _ in range(stop_after):
            writer.stdout.readline()
        writer.kill()
        acknowledged = max(int(line) for line in ["0", *writer.stdout.read().split()])
    frames = read_frames(path, "fit")
    assert acknowledged <= len(frames["image"])
    np.testing.assert_array_equal(frames["image"], np.arange(len(frames["image"])))
    np.testing.assert_array_equal(frames["frame"][:, 39, 29], frames["image"])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"frame": np.zeros((6, 4), np.uint16), "maps": np.zeros((2, 3)), "image": 1}, r"frame is \(6, 5\) of uint16"),
        ({"frame": np.zeros((6, 5)), "maps": np.zeros((2, 3)), "image": 1}, "of float64 does not fit"),
        ({"frame": np.zeros((6, 5), np.uint16)}, "a row of frame does not fit"),
    ],
)
def test_a_row_that_does_not_fit_is_refused_and_the_file_stays_good(path, arrays, message):
    with FrameFile(path) as file:
        file.append("fit", **row(0))
        with pytest.raises(RecordError, match=message):
            file.append("fit", **arrays)
        file.append("fit", **row(1))
    np.testing.assert_array_equal(read_frames(path, "fit")["image"], [0, 1])


def test_unequal_lengths_and_texts_are_refused(path):
    file = FrameFile(path)
    with pytest.raises(RecordError, match="same number of rows"):
        file.extend("fit", a=np.zeros(3), b=np.zeros(4))
    with pytest.raises(RecordError, match="numbers are expected"):
        file.append("fit", name="seven")
    with pytest.raises(RecordError, match="every system"):
        file.append("a/b", image=1)


def test_frames_are_never_overwritten(path):
    with FrameFile(path) as file:
        file.append("fit", image=0)
    with pytest.raises(RecordError, match="never overwritten"):
        FrameFile(path).append("fit", image=1)


def test_a_damaged_file_is_named(path):
    with FrameFile(path) as file:
        file.extend("fit", frame=np.zeros((50, 40, 40), np.uint16))
    whole = path.read_bytes()
    path.write_bytes(b"\x00" * 512 + whole[512:])
    with pytest.raises(RecordError, match=r"frames\.h5: is damaged"):
        read_frames(path, "fit")
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RecordError, match=r"frames\.h5: is damaged"):
        read_frames(path, "fit")


def test_fewer_rows_than_acknowledged_is_damage(path):
    with FrameFile(path) as file:
        file.extend("fit", image=np.arange(10))
    with h5py.File(path, "r+") as raw:
        raw["fit/valid"][()] = 11
    with pytest.raises(RecordError, match="11 were acknowledged"):
        read_frames(path, "fit")


def test_a_file_of_a_newer_labonn_is_refused(path):
    with FrameFile(path) as file:
        file.append("fit", image=0)
    with h5py.File(path, "r+") as raw:
        raw.attrs["schema"] = 3
    with pytest.raises(RecordError, match="newer labonn"):
        read_frames(path, "fit")


def test_a_file_of_the_first_schema_is_read(path):
    with h5py.File(path, "w") as raw:  # as it was written then
        raw.attrs["schema"] = 1
        raw["fit/image"] = np.arange(12)
        raw["fit/frame"] = np.zeros((12, 3, 4), np.uint16)
        raw["fit/valid"] = np.int64(10)
    assert frame_counts(path) == {"fit": 10}
    np.testing.assert_array_equal(read_frames(path, "fit")["image"], np.arange(10))
    assert read_kept(path, "fit")[1].shape == (10, 3, 4)


def test_unknown_groups_and_quantities_are_named(path):
    with FrameFile(path) as file:
        file.append("fit", image=0)
    with pytest.raises(RecordError, match="'val', only fit"):
        read_frames(path, "val")
    with pytest.raises(RecordError, match="'maps', only image"):
        read_frames(path, "fit", ["maps"])


FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from labonn.errors import RecordError
from labonn.records import FrameFile
most = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
frames = FrameFile(Path(sys.argv[1]), batch_rows=4)
try:
    for number in range(1000):
        frames.append("seen", frame=np.full((256, 256), number, np.uint16), number=number)
except RecordError as error:
    print(frames.counts["seen"], error)
try:
    frames.close()
except RecordError as error:
    print("close:", error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit to set for one process")
@pytest.mark.parametrize("most_mb", [3, 5, 9])
def test_a_full_disk_costs_nothing_that_was_acknowledged(tmp_path, most_mb):
    path = tmp_path / "frames.h5"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path), str(most_mb << 20)], capture_output=True, text=True, check=True
    )
    acknowledged, said = done.stdout.splitlines()[0].split(maxsplit=1)
    assert "frames.h5: cannot write frames" in said
    kept = read_frames(path, "seen")
    assert len(kept["number"]) >= int(acknowledged) >= 8
    assert len(kept["number"]) * 128 * 1024 > 0.5 * (most_mb << 20), "the disk was used"
    assert (kept["frame"] == kept["number"][:, None, None]).all()
