"""The one-shot: not due, due, in use, left by a process that died."""

import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from labonn.cli.entry import _answer
from labonn.errors import BenchInUse, ConfigError
from labonn.instruments import lock
from labonn.instruments.darkness import Darkened
from labonn.jobs.recalibrating import recalibrate_if_due
from labonn.records import Run, read_run

from .conftest import name_in

NIGHTLY = '\n[schedule]\ncron = "0 3 * * *"\ntime_zone = "UTC"\n'


@pytest.fixture
def shoot(lab, time, recalibrations):
    def shoot(bench, settings=None):
        return recalibrate_if_due(bench, lab, settings, clock=time, recalibrate=recalibrations)

    return shoot


def test_without_a_schedule_nothing_is_done_whatever_the_records_say(write_bench, shoot, recalibrations, lab, locks):
    shot = shoot(write_bench(""))
    assert not shot.look.due
    assert recalibrations.begun == []
    assert not lab.exists()
    assert list(locks.iterdir()) == []  # nobody has even asked for the bench


def test_once_a_night_however_often_it_is_called(write_bench, shoot, recalibrations, time):
    bench = write_bench(NIGHTLY)
    for _ in range(3 * 24):
        shoot(bench)
        time.pass_min(60 - time.now.minute)
        shoot(bench)
    assert [f"{begun:%d %H:%M}" for begun in recalibrations.begun] == ["26 12:00", "27 03:00", "28 03:00", "29 03:00"]


def test_what_fails_is_tried_again_and_what_is_refused_is_not(write_bench, shoot, recalibrations, time):
    bench = write_bench(NIGHTLY)
    recalibrations.endings = ["done", "failed", "failed", "refused"]
    shoot(bench)
    time.pass_min(14 * 60 + 40)
    for _ in range(5 * 12):
        shoot(bench)
        time.pass_min(5)
    assert [f"{begun:%H:%M}" for begun in recalibrations.begun] == ["12:00", "03:00", "03:25", "04:05"]


def test_settings_of_the_schedule_and_of_the_command(write_bench, shoot, recalibrations):
    bench = write_bench(NIGHTLY + 'settings = { captures = 48, methods = "none", fast = true }\n')
    shoot(bench, {"methods": "e2e"})
    assert recalibrations.settings == [{"captures": "48", "methods": "e2e", "fast": "true"}]


def test_a_bench_that_is_held_is_not_touched_and_only_when_due(write_bench, shoot, recalibrations, time):
    bench = write_bench(NIGHTLY)
    shoot(bench)
    with lock.bench_lock(name_in(bench)):
        shoot(bench)  # not due
        time.pass_min(24 * 60)
        with pytest.raises(BenchInUse, match="is in use by process"):
            shoot(bench)
    assert len(recalibrations.begun) == 1
    assert shoot(bench).outcome is not None  # as soon as it is free


def test_who_waited_for_the_look_finds_that_another_has_done_it(write_bench, lab, time, recalibrations, monkeypatch):
    bench = write_bench(NIGHTLY)
    reserved = lock.reserved

    def after_another(name):
        monkeypatch.setattr("labonn.jobs.recalibrating.reserved", reserved)
        recalibrate_if_due(bench, lab, clock=time, recalibrate=recalibrations)
        return reserved(name)

    monkeypatch.setattr("labonn.jobs.recalibrating.reserved", after_another)
    shot = recalibrate_if_due(bench, lab, clock=time, recalibrate=recalibrations)
    assert shot.outcome is None
    assert len(recalibrations.begun) == 1


def test_a_setting_that_does_not_fit_is_not_tried_at_every_look(write_bench, lab, time, recalibrations):
    bench = write_bench(NIGHTLY)

    def refuse(bench_path, lab_dir, settings):
        raise ConfigError("--set capturs: no such key")

    with pytest.raises(ConfigError, match="capturs"):
        recalibrate_if_due(bench, lab, clock=time, recalibrate=refuse)
    time.pass_min(14)
    assert not recalibrate_if_due(bench, lab, clock=time, recalibrate=recalibrations).look.due
    time.pass_min(1)
    assert recalibrate_if_due(bench, lab, clock=time, recalibrate=recalibrations).outcome is not None


def test_a_run_that_died_is_closed_and_its_bench_made_dark_also_when_nothing_is_due(
    write_bench, shoot, recalibrations, lab, locks, monkeypatch
):
    bench = write_bench(NIGHTLY)
    shoot(bench)
    name = name_in(bench)
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    run = Run.start(lab, "evaluate", bench=name)
    run.change(pid=process.pid, process_started=1.0, status="running")
    (locks / f"{name}.json").write_text(
        json.dumps({"pid": process.pid, "user": "ann", "command": "labonn run", "since_utc": "then", "started_s": 1.0})
    )
    darkened = []

    def darken(path):
        darkened.append(path)
        return Darkened("this command", was_lit=True, seconds=0.1)

    monkeypatch.setattr("labonn.instruments.darkness.darken_bench", darken)
    shot = shoot(bench)
    assert not shot.look.due
    assert darkened == [bench]
    assert [one.id for one in shot.left.runs] == [run.id]
    assert read_run(run.folder).status == "lost"
    assert (run.folder / "report.html").is_file()
    assert shot.as_json()["made_dark"]["was_lit"]
    told = [json.loads(line)["event"] for line in (lab / "jobs" / name / "log.jsonl").read_text().splitlines()]
    assert told == ["done", "lost", "left"]
    # That holder is forgotten, whoever opens the bench next is told of it, and it is done once.
    assert lock.holder_of(name) is None
    assert "made dark" in str(lock.take_note(name))
    shoot(bench)
    assert len(darkened) == 1


def test_after_a_restart_that_forgets_the_locks_the_run_remembers_the_bench(write_bench, shoot, lab, monkeypatch):
    bench = write_bench(NIGHTLY)
    shoot(bench)
    run = Run.start(lab, "recalibrate", bench=name_in(bench))
    run.change(pid=2**22 + 1, process_started=1.0, status="running", start_utc=datetime(2026, 11, 26, tzinfo=UTC))
    darkened = []
    monkeypatch.setattr(
        "labonn.instruments.darkness.darken_bench", lambda path: darkened.append(path) or Darkened("x", False, 0.1)
    )
    assert shoot(bench).left.left_by == f"run {run.id}"
    assert darkened == [bench]


def test_the_command_answers_programs_and_people(write_bench, lab, time, recalibrations):
    bench = write_bench(NIGHTLY)
    now = datetime.now(UTC)
    time.now = now
    recalibrate_if_due(bench, lab, clock=time, recalibrate=recalibrations)
    answer = _answer(["recalibrate", str(bench), "--if-due", "--lab", str(lab)])
    assert answer.exit_code == 0
    assert answer.content["due"] is False
    assert answer.content["next_utc"].endswith("T03:00:00+00:00")
    assert "is not due: next: '0 3 * * *'" in answer.show
    answer = _answer(["jobs", "list", str(bench), "--lab", str(lab)])
    assert answer.content["jobs"][0]["last"]["status"] == "done"
    wrong = _answer(["recalibrate", str(bench), "--if-due", "--fresh", "--lab", str(lab)])
    assert wrong.exit_code == 2
    missing = _answer(["jobs", "list", "--lab", str(lab)])
    assert (missing.exit_code, "name bench files" in missing.error) == (2, True)


def test_what_is_not_due_is_said_without_torch(write_bench, lab):
    bench = write_bench("")
    words = ["recalibrate", str(bench), "--if-due", "--lab", str(lab)]
    script = f"import sys; from labonn.cli import main; main({words!r}); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
