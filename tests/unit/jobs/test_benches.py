"""Which benches are meant, where none is named; and what is due there, done bench by bench."""

import pytest

from labonn.cli.entry import _answer
from labonn.errors import BenchInUse
from labonn.instruments import lock
from labonn.jobs.benches import scheduled_benches
from labonn.records import Run, set_current_release
from labonn.records.releases import make_release

from .conftest import NAME

NIGHTLY = '\n[schedule]\ncron = "0 3 * * *"\n'


@pytest.fixture
def release(lab):
    """Release something on a bench, by a run that says where its file was."""

    def release(bench_file, name=NAME):
        run = Run.start(lab, "train_and_deploy", bench=name, bench_file=bench_file)
        run.finish("done", exit_code=0)
        made = make_release(lab, bench=name, run=run.id, optic={}, model="m", backend={}, figures={})
        set_current_release(lab, name, made.id)
        return run

    return release


def test_benches_with_a_release_and_a_schedule_are_found_by_their_latest_run(write_bench, lab, release, caplog):
    bench = write_bench(NIGHTLY)
    release(bench)
    release(bench.with_name("gone.bench.toml"), "gone")
    assert scheduled_benches(lab, []) == [bench]
    assert "bench 'gone': its file cannot be read" in caplog.text
    answer = _answer(["jobs", "list", "--lab", str(lab)])
    assert [job["bench"] for job in answer.content["jobs"]] == [NAME]
    assert answer.content["jobs"][0]["due"] is False  # deployed just now
    assert NAME in answer.show


def test_a_file_that_is_another_benchs_now_or_has_no_schedule_is_left_out(write_bench, lab, release):
    release(write_bench(NIGHTLY))
    for change in ({"name": "another"}, {"table": ""}):
        write_bench(**{"table": NIGHTLY, **change})
        answer = _answer(["jobs", "list", "--lab", str(lab)])
        assert answer.exit_code == 2
        assert "has a [schedule]" in answer.error


def test_what_is_due_is_done_and_the_worst_exit_code_counts(write_bench, lab, release, monkeypatch):
    bench = write_bench(NIGHTLY)
    release(bench)
    answer = _answer(["jobs", "run-due", "--lab", str(lab)])
    assert answer.exit_code == 0
    assert [(job["job"], job["due"]) for job in answer.content["jobs"]] == [
        ("watch_drift", False),
        ("recalibrate", False),
    ]

    def in_use(*arguments):
        raise BenchInUse("it is in use")

    monkeypatch.setattr("labonn.cli.jobs.recalibrate_if_due", in_use)
    answer = _answer(["jobs", "run-due", str(bench), str(bench), "--lab", str(lab)])
    assert (answer.exit_code, len(answer.content["jobs"])) == (5, 4)
    assert answer.error == "it is in use\nit is in use"


def test_a_watch_that_is_due_waits_for_nobody(write_bench, lab, release):
    bench = write_bench("\n[schedule.drift]\n")
    release(bench)
    with lock.bench_lock(NAME):
        answer = _answer(["jobs", "run-due", "--lab", str(lab)])
    assert answer.exit_code == 5
    watch, recalibration = answer.content["jobs"]
    assert "is in use by process" in watch["error"]
    assert recalibration["due"] is False
