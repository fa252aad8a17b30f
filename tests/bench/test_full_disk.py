"""A disk that is full while frames are written: a named error, dark, and every frame that was acknowledged is there."""

import sys

import numpy as np
import pytest

from labonn.records import frame_counts, read_frames

from .conftest import Simulated
from .ways_out import lit_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit to set for one process"),
]

MOST_BYTES = 120 * 2**20  # about 50 frames


def test_a_full_disk_is_named_and_loses_nothing_that_was_acknowledged(real_time_world: Simulated, tmp_path) -> None:
    import resource

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, MOST_BYTES))

    with lit_run(real_time_world, tmp_path, ["keep_frames=true"], preexec_fn=small_disk) as run:
        answer = run.answer()
    truth = real_time_world.truth()
    assert truth["dark"]
    assert not truth["shutter_open"]
    assert not truth["light_on"]
    assert (answer["exit_code"], answer["status"]) == (1, "failed")
    assert "frames.h5: cannot write frames: " in answer["error"]
    assert run.record()["status"] == "failed"
    kept = read_frames(run.frames, "seen")
    assert len(kept["number"]) == frame_counts(run.frames)["seen"] >= 16
    assert list(kept["number"]) == list(range(len(kept["number"])))
    means = kept["frame"].mean(axis=(1, 2), dtype=np.float64)
    np.testing.assert_allclose(means, kept["mean"], rtol=1e-4)
    assert means[1::2].min() > means[0::2].max() + 20, "bright and dark in turn"
