"""Recording on a thread: what is acknowledged is on disk, memory is bounded, and errors of the writer are heard."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

from labonn.errors import Aborted, RecordError
from labonn.records import FrameFile, Recorder, frame_counts, kept_names, read_frames, read_kept


@pytest.fixture
def path(tmp_path):
    return tmp_path / "frames.h5"


@pytest.fixture
def held(monkeypatch):
    """Hold the disk until the event is set."""
    go_on = threading.Event()
    write = FrameFile.extend

    def slow(self, group, seldom=None, **arrays):
        assert go_on.wait(20)
        return write(self, group, seldom, **arrays)

    monkeypatch.setattr(FrameFile, "extend", slow)
    yield go_on
    go_on.set()


def test_large_and_small_rows_of_several_kinds_come_back_in_order(path):
    chance = np.random.default_rng(0)
    frames = chance.integers(0, 4096, (70, 120, 130)).astype(np.uint16)
    with Recorder(path) as recorder:
        for number, frame in enumerate(frames):
            recorder.append("fit", frame=frame, image=number)
            if number % 3 == 0:
                recorder.append("notes", value=number / 2)
        recorder.extend("fit", frame=frames[:5], image=np.arange(70, 75))
    fit = read_frames(path, "fit")
    np.testing.assert_array_equal(fit["image"], np.arange(75))
    np.testing.assert_array_equal(fit["frame"], [*frames, *frames[:5]])
    np.testing.assert_array_equal(read_frames(path, "notes")["value"], np.arange(0, 70, 3) / 2)


def test_a_kind_may_be_of_several_words_but_is_no_path(path):
    with Recorder(path) as recorder:
        recorder.append("moved by -1", value=3.0)
    assert frame_counts(path) == {"moved by -1": 1}
    with pytest.raises(RecordError, match=r"'moved/by'"), FrameFile(path.with_name("other.h5")) as file:
        file.extend("moved/by", value=np.zeros(1))


def test_what_is_kept_of_some_rows_is_read_with_its_rows(path):
    with Recorder(path) as recorder:
        for number in range(250):
            frame = {"frame": np.full((4, 5), number, np.uint16)}
            recorder.append("test", frame if number % 100 == 0 else None, image=number)
        recorder.flush()
        rows, frames = read_kept(path, "test")  # of a file that is being written
        np.testing.assert_array_equal(rows, [0, 100, 200])
        np.testing.assert_array_equal(frames[:, 3, 4], [0, 100, 200])
        recorder.extend(
            "test",
            {"row": np.array([1, 2]), "frame": np.full((2, 4, 5), 7, np.uint16)},
            image=np.arange(250, 253),
        )
    rows, frames = read_kept(path, "test", start=2)
    np.testing.assert_array_equal(rows, [200, 251, 252])
    np.testing.assert_array_equal(frames[:, 0, 0], [200, 7, 7])
    assert frame_counts(path) == {"test": 253}
    assert kept_names(path, "test") == ("frame",)
    assert list(read_frames(path, "test")) == ["image"]
    with pytest.raises(RecordError, match="kept of some rows only"):
        read_frames(path, "test", ["frame"])
    with pytest.raises(RecordError, match="has no 'maps', only image, frame"):
        read_kept(path, "test", "maps")


def test_what_every_row_has_is_read_the_same_way(path):
    with FrameFile(path) as file:
        file.extend("fit", frame=np.arange(12).reshape(6, 2), image=np.arange(6))
    rows, frames = read_kept(path, "fit", start=1, stop=3)
    np.testing.assert_array_equal(rows, [1, 2])
    np.testing.assert_array_equal(frames, [[2, 3], [4, 5]])
    assert kept_names(path, "fit") == ()


def test_nobody_waits_for_the_disk_and_nothing_counts_before_it_is_there(path, held):
    recorder = Recorder(path)
    begin_s = time.perf_counter()
    acknowledged = [recorder.append("fit", frame=np.zeros((64, 64), np.uint16), image=number) for number in range(50)]
    assert time.perf_counter() - begin_s < 1
    assert acknowledged == [0] * 50
    held.set()
    recorder.flush()
    assert recorder.append("fit", frame=np.zeros((64, 64), np.uint16), image=50) == 50
    recorder.close()
    np.testing.assert_array_equal(read_frames(path, "fit")["image"], np.arange(51))


def test_memory_is_bounded_and_a_wait_for_the_disk_can_be_ended(path, held):
    looked = []

    def look():
        looked.append(1)
        raise Aborted("asked to stop")

    recorder = Recorder(path, most_waiting_bytes=100_000, while_waiting=look)

    def fill():
        for _ in range(200):
            recorder.append("fit", frame=np.zeros((50, 100), np.uint16))

    with pytest.raises(Aborted):
        fill()
    assert recorder._waiting_bytes <= 100_000
    assert looked == [1]
    held.set()
    recorder.close()
    assert 10 <= frame_counts(path)["fit"] <= 10 + 16, "the queue, and what the thread had in hand"


def test_the_last_rows_of_a_slow_bench_are_acknowledged_without_being_asked_for(path):
    with Recorder(path) as recorder:
        recorder.append("fit", image=0)
        deadline = time.monotonic() + 10
        while not recorder.counts and time.monotonic() < deadline:
            time.sleep(0.02)
        assert recorder.counts == {"fit": 1}


def test_an_error_of_the_writer_is_raised_at_the_next_row_and_at_every_one_after(path):
    recorder = Recorder(path)
    recorder.append("fit", image=0)
    recorder.flush()
    recorder.append("fit", picture=0)
    with pytest.raises(RecordError, match="a row of picture does not fit"):
        recorder.flush()
    for _ in range(2):
        with pytest.raises(RecordError, match="does not fit"):
            recorder.append("fit", image=1)
    recorder.close()  # was told
    np.testing.assert_array_equal(read_frames(path, "fit")["image"], [0])


def test_an_error_that_nobody_heard_of_is_raised_when_it_is_closed(path):
    recorder = Recorder(path)
    recorder.append("fit", name="seven")
    with pytest.raises(RecordError, match="numbers are expected"):
        recorder.close()
    with pytest.raises(RecordError, match="is closed"):
        recorder.append("fit", image=1)


def test_a_view_is_copied_because_its_owner_may_use_the_memory_again(path, held):
    buffer = np.zeros((2, 64, 64), np.uint16)
    with Recorder(path) as recorder:
        recorder.append("fit", frame=buffer[0])
        buffer[:] = 9
        held.set()
    assert not read_frames(path, "fit")["frame"].any()


WRITER = """
    import sys
    from pathlib import Path
    import numpy as np
    from labonn.records import Recorder
    recorder = Recorder(Path(sys.argv[1]))
    number = 0
    while True:
        frame = np.full((120, 130), number, np.uint16)
        seldom = {"frame": frame} if number % 10 == 0 else None
        print(recorder.append("test", seldom, tiles=np.full((90, 100), number, np.float32), image=number), flush=True)
        number += 1
"""


@pytest.mark.skipif(os.name != "posix", reason="kills by signal")
@pytest.mark.parametrize("stop_after", [3, 60, 63, 333])
def test_killed_with_minus_nine_nothing_acknowledged_is_lost(path, stop_after):
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) >= stop_after:
                break
        writer.send_signal(signal.SIGKILL)
        acknowledged = max(int(line) for line in [line, *writer.stdout.read().split()])
    found = read_frames(path, "test")
    assert len(found["image"]) >= acknowledged >= stop_after
    np.testing.assert_array_equal(found["image"], np.arange(len(found["image"])))
    np.testing.assert_array_equal(found["tiles"][:, 89, 99], found["image"])
    rows, frames = read_kept(path, "test")
    np.testing.assert_array_equal(rows, np.arange(0, len(found["image"]), 10)[: len(rows)])
    assert len(rows) >= (acknowledged + 9) // 10
    np.testing.assert_array_equal(frames[:, 119, 129], rows)
