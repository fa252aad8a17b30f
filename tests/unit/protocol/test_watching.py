"""What a watch compares with: captures of the run that made the release, whichever kind of run that was."""

import numpy as np
import pytest

from labonn.errors import RecordError
from labonn.protocol.watching import MOST_CAPTURES, captures_of
from labonn.records import FrameFile


def captured(folder, **counts):
    folder.mkdir()
    with FrameFile(folder / "frames.h5") as frames:
        for group, count in counts.items():
            shown = np.arange(count, dtype=np.float32)[:, None, None] * np.ones((1, 5, 5), np.float32)
            frames.extend(group, image=np.arange(count), shown=shown, tiles=np.repeat(shown[:, None], 2, axis=1))
    return folder


@pytest.mark.parametrize(
    ("counts", "used"),
    [({"fit": 32, "validation": 100}, 32), ({"examples": 4, "test": 200}, MOST_CAPTURES), ({"fit": 4, "test": 9}, 9)],
)
def test_the_first_kind_of_captures_that_is_large_enough_is_used(tmp_path, counts, used):
    images, tiles = captures_of(captured(tmp_path / "run", **counts), "r")
    assert (images.shape, tiles.shape) == ((used, 1, 5, 5), (used, 2, 5, 5))
    assert images[3, 0, 0, 0] == tiles[3, 1, 2, 2] == 3


def test_a_release_whose_run_is_gone_or_captured_too_little_cannot_be_watched(tmp_path):
    with pytest.raises(RecordError, match=r"release r was made by run gone.*recalibrate"):
        captures_of(tmp_path / "gone", "r")
    with pytest.raises(RecordError, match=r"'examples': 4.*8 captures of one of fit, test, validation.*recalibrate"):
        captures_of(captured(tmp_path / "run", examples=4), "r")
