import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from labonn.instruments import Site, lock
from labonn.instruments.feed import Feed, is_watched, newest_frame, watch
from tests.waiting import until

from .stand_ins import BareCamera, CountingClock


@pytest.fixture
def feed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Feed]:
    monkeypatch.setattr(lock, "lock_folder", lambda: tmp_path)
    feed = Feed("trial")
    yield feed
    feed.stop()


def camera_with(feed: Feed) -> BareCamera:
    table = BareCamera.table_model(driver="bare", exposure_ms=7.0)
    camera = BareCamera("camera", table, Site(Path(), CountingClock(), feed=feed))
    camera.connect()
    return camera


def test_nothing_is_written_while_nobody_watches(feed: Feed, tmp_path: Path) -> None:
    camera_with(feed).snap()
    assert not is_watched("trial")
    assert list(tmp_path.iterdir()) == []


def test_who_watches_sees_the_newest_frame_and_how_it_was_taken(feed: Feed) -> None:
    watch("trial")
    camera = camera_with(feed)
    camera.frame = np.arange(24, dtype=np.uint16).reshape(4, 6)
    camera.snap()
    until(lambda: newest_frame("trial") is not None)
    seen = newest_frame("trial")
    assert seen is not None
    assert (seen.pixels == camera.frame).all()
    assert (seen.number, seen.exposure_ms, seen.saturation) == (1, 7.0, 4095)
    assert newest_frame("trial", after=1) is None, "it is known already"


def test_frames_that_come_faster_than_one_can_see_are_counted_and_let_go(feed: Feed) -> None:
    watch("trial")
    camera = camera_with(feed)
    for _ in range(200):
        camera.snap()
    watch("trial")  # anew: the computer may be slow
    time.sleep(0.25)
    camera.snap()
    until(lambda: (seen := newest_frame("trial")) is not None and seen.number == 201)


def test_the_last_frame_goes_with_the_bench(feed: Feed) -> None:
    watch("trial")
    camera_with(feed).snap()
    until(lambda: newest_frame("trial") is not None)
    feed.stop()
    assert newest_frame("trial") is None


def test_what_is_no_frame_is_said_to_be_none(feed: Feed, tmp_path: Path) -> None:
    (tmp_path / "trial.frame").write_bytes(b'{"number": 1, "shape": [4, 6]}\nshort')
    with pytest.raises(ValueError, match=r"trial\.frame: is not a frame"):
        newest_frame("trial")
