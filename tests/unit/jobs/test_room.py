"""What a schedule keeps of old captures: raw frames of its own bench go after a recalibration, and nothing else."""

from datetime import timedelta

import numpy as np
import pytest

from labonn.jobs.recalibrating import recalibrate_if_due
from labonn.records import FrameFile, Run, frame_counts, make_release, read_run
from labonn.records.disk import utc_now
from labonn.records.frame_reading import row_names
from labonn.records.pruning import NOTE

from .conftest import name_in

SCHEDULE = '\n[schedule]\ncron = "0 3 * * *"\ntime_zone = "UTC"\n'
FRAME_BYTES = 200 * 200 * 2


def captured(lab, bench, days_ago):
    run = Run.start(lab, "recalibrate", bench=bench)
    moment = utc_now() - timedelta(days=days_ago)
    frames = np.random.default_rng(days_ago).integers(0, 4096, (10, 200, 200)).astype(np.uint16)
    with FrameFile(run.folder / "frames.h5") as file:
        for frame in frames:
            file.append("fit", frame=frame, tiles=np.ones((2, 3), np.float32))
    run.change(start_utc=moment, stop_utc=moment, status="done")
    return run


@pytest.fixture
def shoot(lab, time, recalibrations, write_bench):
    time.now = utc_now()

    def shoot(keys):
        return recalibrate_if_due(write_bench(SCHEDULE + keys), lab, clock=time, recalibrate=recalibrations)

    return shoot


def pruned(run):
    gone = "frame" not in row_names(run.folder / "frames.h5", "fit")
    assert frame_counts(run.folder / "frames.h5") == {"fit": 10}, "maps stay"
    assert (NOTE in read_run(run.folder).notes) == gone
    return gone


def test_frames_that_are_too_old_go_after_a_recalibration(write_bench, lab, shoot):
    name = name_in(write_bench(SCHEDULE))
    old, young, other = captured(lab, name, 40), captured(lab, name, 3), captured(lab, "other", 40)
    shot = shoot("keep_frames_days = 30\n")
    assert shot.outcome is not None
    assert [pruned(run) for run in (old, young, other)] == [True, False, False]
    assert shot.freed_bytes > 9 * FRAME_BYTES
    assert shot.as_json()["freed_bytes"] == shot.freed_bytes


def test_the_oldest_go_until_the_rest_is_small_enough_but_never_those_of_a_release(write_bench, lab, shoot):
    name = name_in(write_bench(SCHEDULE))
    runs = [captured(lab, name, days) for days in (9, 8, 7, 6)]
    make_release(lab, bench=name, run=runs[0].id, optic={}, model="m", backend={"w": np.zeros(2)}, figures={})
    size = (runs[0].folder / "frames.h5").stat().st_size
    shoot(f"keep_frames_gb = {2.5 * size / 1e9}\n")
    assert [pruned(run) for run in runs] == [False, True, True, False]


def test_what_cannot_be_read_is_said_and_the_recalibration_stands(write_bench, lab, shoot, caplog):
    run = captured(lab, name_in(write_bench(SCHEDULE)), 40)
    (run.folder / "frames.h5").write_bytes(b"no HDF5")
    shot = shoot("keep_frames_days = 30\n")
    assert shot.outcome is not None
    assert shot.outcome.exit_code == 0
    assert "frames.h5" in caplog.text


def test_without_such_keys_nothing_goes(write_bench, lab, shoot):
    run = captured(lab, name_in(write_bench(SCHEDULE)), 4000)
    assert shoot("").freed_bytes == 0
    assert not pruned(run)
