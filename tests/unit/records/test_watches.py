"""What a watch found is read by others: the latest of the bench, and of the release in question."""

import json
import subprocess
import sys

import pytest

from labonn.errors import RecordError
from labonn.records import Run, latest_watch, watches_of

FOUND = {"predicted_loss_points": 0.7, "control_limit_points": 0.3, "alarm": True, "due": True}


def watched(lab, release, status="done", bench="mono", **found):
    run = Run.start(lab, "watch_drift", bench=bench)
    run.finish(status, exit_code=0, result={"of_release": release, **FOUND, **found})
    return run


def test_where_nothing_was_watched_there_is_no_watch(tmp_path):
    assert latest_watch(tmp_path / "nowhere", "mono") is None
    Run.start(tmp_path, "recalibrate", bench="mono").finish("done", exit_code=0, result={})
    assert latest_watch(tmp_path, "mono") is None


def test_the_latest_of_the_bench_that_ended_well_counts(tmp_path):
    watched(tmp_path, "a", due=False)
    last = watched(tmp_path, "b")
    watched(tmp_path, "b", bench="other")
    watched(tmp_path, "b", status="failed")
    found = latest_watch(tmp_path, "mono")
    assert (found.run, found.release, found.due, found.predicted_loss_points) == (last.id, "b", True, 0.7)
    assert found.begun == last.record.start_utc
    assert [watch.release for watch in watches_of(tmp_path, "mono")] == ["b", "a"]
    assert [watch.due for watch in watches_of(tmp_path, "mono", release="a")] == [False]


def test_a_record_that_is_no_watch_s_is_named(tmp_path):
    run = watched(tmp_path, "a")
    path = run.folder / "run.json"
    content = json.loads(path.read_text())
    del content["result"]["due"]
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match=rf"{run.id}.run\.json: .*'due'"):
        latest_watch(tmp_path, "mono")


def test_reading_a_watch_loads_nothing_heavy():
    heavy = "{'torch', 'numpy', 'h5py', 'pydantic'}"
    code = f"import sys; from labonn.records import latest_watch; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
