"""Raw frames of old runs go, all else stays; those of a release's run never do."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from labonn.errors import RecordError
from labonn.records import FrameFile, Run, frame_counts, kept_names, make_release, read_frames, read_kept, read_run
from labonn.records.frame_reading import partial_name
from labonn.records.pruning import NOTE, plan_pruning, prune

GROUPS = {"fit": 6, "test": 30}


@pytest.fixture
def lab(tmp_path):
    return tmp_path / "lab"


def make_run(lab, days_ago, status="done", *, partial=False):
    run = Run.start(lab, "recalibrate")
    moment = datetime.now(UTC) - timedelta(days=days_ago)
    run.change(start_utc=moment, stop_utc=None if status in ("running", "lost") else moment, status=status)
    chance = np.random.default_rng(days_ago)
    file = FrameFile(run.folder / "frames.h5")
    for number in range(GROUPS["test"]):
        frame = chance.integers(0, 4096, (100, 100)).astype(np.uint16)
        if number < GROUPS["fit"]:
            file.append("fit", frame=frame, tiles=np.full((2, 3), number, np.float32), image=number)
        file.append("test", {"frame": frame} if number % 10 == 0 else None, tiles=np.ones(3), image=number)
    file.flush()
    if partial:
        file._let_go()
    else:
        file.close()
    return run


def chosen(lab, **limits):
    plan = plan_pruning(lab, **{"older_than_days": None, "most_bytes": None, **limits})
    return [run.record.id for run in plan.runs]


def test_only_raw_frames_go_and_the_record_says_so(lab):
    run = make_run(lab, 50)
    before = {name: read_frames(run.folder / "frames.h5", name, ["tiles", "image"]) for name in GROUPS}
    [one] = plan_pruning(lab, older_than_days=30, most_bytes=None).runs
    freed = prune(one)
    path = run.folder / "frames.h5"
    assert one.raw_bytes == 9 * 100 * 100 * 2
    assert freed == one.bytes_ - path.stat().st_size > 0.9 * one.raw_bytes
    assert frame_counts(path) == GROUPS
    for name, arrays in before.items():
        after = read_frames(path, name)
        assert after.keys() == {"tiles", "image"}
        for quantity, values in arrays.items():
            np.testing.assert_array_equal(after[quantity], values)
        assert kept_names(path, name) == ()
        with pytest.raises(RecordError, match="has no 'frame'"):
            read_kept(path, name)
    assert read_run(run.folder).notes[NOTE]["bytes"] == freed
    assert chosen(lab, older_than_days=0) == [], "once is enough"


def test_age_and_size_choose_the_oldest_first(lab):
    old, middle, young = (make_run(lab, days) for days in (90, 50, 10))
    size, raw = (young.folder / "frames.h5").stat().st_size, 9 * 100 * 100 * 2
    assert chosen(lab, older_than_days=30) == [old.id, middle.id]
    assert chosen(lab, most_bytes=3 * size - raw) == [old.id]
    assert chosen(lab, most_bytes=3 * size - raw - 1) == [old.id, middle.id], "the maps of what goes stay"
    assert chosen(lab, most_bytes=0) == [old.id, middle.id, young.id]
    assert chosen(lab, older_than_days=60, most_bytes=3 * size - 2 * raw) == [old.id, middle.id]
    assert chosen(lab, most_bytes=3 * size) == []


def test_a_release_keeps_the_frames_that_it_was_made_from(lab):
    made, other = make_run(lab, 90), make_run(lab, 90)
    make_release(lab, bench="mono", run=made.id, optic={}, model="m", backend={"w": np.zeros(2)}, figures={})
    plan = plan_pruning(lab, older_than_days=30, most_bytes=0)
    assert [run.record.id for run in plan.runs] == [other.id]
    assert plan.kept_for_releases == 1
    [card] = (lab / "releases").glob("*/release.json")
    card.write_text("{")
    with pytest.raises(RecordError, match=r"release\.json"):
        plan_pruning(lab, older_than_days=30, most_bytes=0)


def test_what_goes_on_or_may_be_continued_is_left_alone(lab):
    make_run(lab, 90, "running")
    make_run(lab, 0, "lost")
    lost = make_run(lab, 3, "lost", partial=True)
    assert chosen(lab, older_than_days=0, most_bytes=0) == [lost.id]
    [one] = plan_pruning(lab, older_than_days=1, most_bytes=None).runs
    prune(one)
    assert not partial_name(lost.folder / "frames.h5").exists()
    assert frame_counts(lost.folder / "frames.h5") == GROUPS


def test_a_run_that_cannot_be_read_is_left_alone_and_said(lab, caplog):
    run = make_run(lab, 90)
    (run.folder / "run.json").write_text("{")
    assert chosen(lab, older_than_days=1) == []
    assert "left alone" in caplog.text


def test_a_damaged_file_of_frames_stays_as_it_is(lab, caplog):
    run, other = make_run(lab, 90), make_run(lab, 50)
    path = run.folder / "frames.h5"
    [one, _] = plan_pruning(lab, older_than_days=30, most_bytes=None).runs
    path.write_bytes(path.read_bytes()[:5000])
    assert chosen(lab, older_than_days=30) == [other.id]
    assert "left alone" in caplog.text
    with pytest.raises(RecordError, match="damaged"):
        prune(one)
    assert path.stat().st_size == 5000
    assert NOTE not in read_run(run.folder).notes
