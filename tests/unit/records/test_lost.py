"""Runs that were never closed are found, and closed as lost: only where their process is gone for certain."""

import os
import platform
import subprocess
import sys

import psutil
import pytest

from labonn.errors import RecordError
from labonn.records import Run, close_lost_runs, last_good_check, read_run, save_good_check


@pytest.fixture
def process():
    """A living process of this machine."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


def run_of(tmp_path, pid, started, **facts):
    run = Run.start(tmp_path, "p")
    run.change(pid=pid, process_started=started, **facts)
    return run


def test_a_run_says_which_process_of_which_host_makes_it(tmp_path):
    record = Run.start(tmp_path, "p").record
    assert (record.pid, record.host) == (os.getpid(), platform.node())
    assert record.process_started == psutil.Process().create_time()


def test_a_run_whose_process_was_killed_is_closed_once(tmp_path, process):
    run = run_of(tmp_path, process.pid, psutil.Process(process.pid).create_time())
    assert close_lost_runs(tmp_path) == []
    process.kill()
    process.wait()
    (lost,) = close_lost_runs(tmp_path)
    assert lost == read_run(run.folder)
    assert (lost.id, lost.status, lost.stop_utc, lost.exit_code) == (run.id, "lost", None, None)
    assert f"process {process.pid}" in lost.reason
    assert "last written 20" in lost.reason
    assert close_lost_runs(tmp_path) == []


def test_a_number_that_another_process_has_now_is_not_the_runs_process(tmp_path, process):
    run_of(tmp_path, process.pid, psutil.Process(process.pid).create_time() - 60)
    assert len(close_lost_runs(tmp_path)) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no zombies")
def test_a_process_that_nobody_has_buried_is_gone(tmp_path, process):
    run_of(tmp_path, process.pid, psutil.Process(process.pid).create_time())
    process.kill()
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        pass
    assert len(close_lost_runs(tmp_path)) == 1


@pytest.mark.parametrize(
    "facts",
    [
        {"host": "another"},  # whose processes cannot be seen from here
        {"host": None},
        {"pid": None},  # of a labonn that did not write it down
        {"process_started": None},
        {"status": "done"},
        {"status": "failed", "reason": 'said "running"'},
    ],
)
def test_a_run_that_is_closed_or_cannot_be_judged_is_left_alone(tmp_path, facts):
    run = run_of(tmp_path, 2**22 + 1, 1.0)
    run.change(**facts)
    before = (run.folder / "run.json").read_bytes()
    assert close_lost_runs(tmp_path) == []
    assert (run.folder / "run.json").read_bytes() == before


def test_a_damaged_record_does_not_keep_the_others_open(tmp_path, caplog):
    (run_of(tmp_path, 2**22 + 1, 1.0).folder / "run.json").write_text('{"status": "running"')
    good = run_of(tmp_path, 2**22 + 1, 1.0)
    assert [record.id for record in close_lost_runs(tmp_path)] == [good.id]
    assert "damaged" in caplog.text


def test_a_laboratory_without_runs_has_none_lost(tmp_path):
    assert close_lost_runs(tmp_path / "nothing") == []


def test_the_last_good_check_is_what_was_saved_last(tmp_path):
    assert last_good_check(tmp_path, "mono") is None
    save_good_check(tmp_path, "mono", "run-1", {"read noise": 1.5, "camera": "A"})
    path = save_good_check(tmp_path, "mono", "run-2", {"read noise": 1.75, "camera": "A"})
    check = last_good_check(tmp_path, "mono")
    assert (check.run, check.bench, check.values) == ("run-2", "mono", {"read noise": 1.75, "camera": "A"})
    assert path == tmp_path / "checks" / "mono.json"
    assert '"schema": 1' in path.read_text()
    assert last_good_check(tmp_path, "other") is None


@pytest.mark.parametrize("content", ["", "{", '{"schema": 9}', "[]"])
def test_a_damaged_last_good_check_is_named(tmp_path, content):
    save_good_check(tmp_path, "mono", "run-1", {}).write_text(content)
    with pytest.raises(RecordError, match=r"mono\.json"):
        last_good_check(tmp_path, "mono")
