"""The daemon: what it begins, what it survives, and a week of it, in which time is told."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time as real_time
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from labonn.errors import BenchInUse
from labonn.instruments import lock
from labonn.jobs import daemon as daemon_module
from labonn.jobs.daemon import Daemon, looking, run_daemon
from labonn.jobs.daemon_lock import daemon_lock
from labonn.jobs.recalibrating import recalibrate_if_due
from labonn.jobs.watching import watch_if_due
from labonn.protocol import Outcome
from labonn.records import Run, set_current_release
from labonn.records.releases import make_release

from .conftest import NAME

NIGHTLY = '\n[schedule]\ncron = "0 3 * * *"\ntime_zone = "UTC"\n'


@pytest.fixture
def jobs(lab, time, recalibrations):
    """Stand in for the processes that the daemon begins: each is the same one-shot, in this process."""

    class Jobs:
        def __init__(self):
            self.words = []

        def __call__(self, words):
            self.words.append(list(words))
            if words[0] == "recalibrate":
                bench, due, _, folder = words[1:]
                assert (due, Path(folder)) == ("--if-due", lab)
                shot = recalibrate_if_due(Path(bench), lab, clock=time, recalibrate=recalibrations)
                return 0 if shot.outcome is None else shot.outcome.exit_code
            assert words == ["jobs", "run-due", str(self.bench), "--lab", str(lab)]
            watch_if_due(self.bench, lab, clock=time, watch=self.watch)
            recalibrate_if_due(self.bench, lab, clock=time, recalibrate=recalibrations)
            return 0

        def watch(self, bench, lab_dir, settings):
            self.settings = settings
            run = Run.start(lab, "watch_drift", bench=NAME)
            predicted = next(self.losses)
            result = {
                "of_release": self.release,
                "predicted_loss_points": predicted,
                "control_limit_points": 0.2,
                "alarm": (predicted or 0) > 0.2,
                "due": (predicted or 0) > 0.5,
            }
            run.change(start_utc=time.now)
            status = "done" if predicted is not None else "failed"
            run.finish(status, exit_code=0 if predicted is not None else 3, result=result)
            time.pass_min(1)
            return Outcome(run.folder, status, 0, result, "the camera is silent", None, {"total": 60.0})

    return Jobs()


def test_a_week_of_nights(write_bench, lab, time, recalibrations, jobs):
    """Looks every twenty minutes for a week; the computer is off for two days, and its clock goes back for an hour."""
    bench = write_bench(NIGHTLY + 'quiet_hours = ["08:00-18:00"]\n')
    daemon = Daemon(lab, {bench: NAME}, jobs, time)
    recalibrations.endings = ["done", "done", "failed", "failed", "done", "refused", "done"]
    end = time.now + timedelta(days=7)
    jumps = {
        datetime.fromisoformat("2026-11-29T12:00+00:00"): 2 * 24 * 60,  # off: the nights of 30 and 1 are one
        datetime.fromisoformat("2026-12-02T03:40+00:00"): -60,  # the clock goes back over the night's hour
    }
    while time.now < end:
        daemon.look(bench)
        time.pass_min(20 - time.now.minute % 20)
        time.pass_min(jumps.pop(time.now, 0))
    assert not jumps
    assert [f"{begun:%d %H:%M}" for begun in recalibrations.begun] == [
        "26 18:00",  # never tried, and due at once: as soon as hours are not quiet
        "27 03:00",
        "28 03:00",
        "28 03:40",  # failed until 3:10, and rests for 15 minutes
        "28 04:20",  # failed until 3:50, and rests for 30
        "29 03:00",
        "01 18:00",
        "02 03:00",
        "03 03:00",
    ]


def test_a_watch_every_hour_and_a_recalibration_when_it_says_so(write_bench, lab, time, recalibrations, jobs):
    bench = write_bench("\n[schedule]\ndrift = { watch_every_h = 1, tolerated_loss_points = 0.5 }\n")
    release = make_release(lab, bench=NAME, run="r", optic={}, model="m", backend={}, figures={})
    set_current_release(lab, NAME, release.id)
    jobs.release = release.id
    time.now = datetime.fromisoformat(release.made_utc) + timedelta(minutes=5)
    begin = time.now
    jobs.bench = bench
    jobs.losses = iter([0.1, 0.3, 0.7, 0.1, None, None, 0.1, None])
    daemon = Daemon(lab, {bench: NAME}, jobs, time)
    while time.now < begin + timedelta(hours=7):
        daemon.look(bench)
        time.pass_min(5)
    assert 7 <= len(jobs.words) <= 8
    assert jobs.settings == {"tolerated_loss_points": "0.5", "watches_a_month": "720"}
    assert len(recalibrations.begun) == 1
    assert timedelta(hours=2) < recalibrations.begun[0] - begin < timedelta(hours=2, minutes=20)
    log = (lab / "jobs" / NAME / "log.jsonl").read_text(encoding="utf-8").splitlines()
    # That the watch fails is told once, until it has succeeded.
    told = [json.loads(line)["event"] for line in log]
    assert told == ["done", "watch", *["watch"] * (len(jobs.words) - 7)]


def test_a_bench_file_that_is_edited_meanwhile(write_bench, lab, time, recalibrations, jobs, caplog):
    bench = write_bench(NIGHTLY)
    daemon = Daemon(lab, {bench: NAME}, jobs, time)
    daemon.look(bench)
    for broken in ('\n[schedule]\ncron = "0 3 * *"\n', "\n[schedule\n"):
        write_bench(broken)
        for _ in range(3):
            daemon.look(bench)
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == 2  # each once
    assert "schedule.cron = '0 3 * *': 4 fields" in told[0]
    write_bench(NIGHTLY, name="another")
    daemon.look(bench)
    assert "is 'another' now" in caplog.text
    write_bench('\n[schedule]\ncron = "0 5 * * *"\ntime_zone = "UTC"\n')
    time.now = datetime.fromisoformat("2026-11-27T03:30+00:00")
    daemon.look(bench)
    assert "all is well again" in caplog.text
    assert len(recalibrations.begun) == 1  # five, not three, since then
    time.now = datetime.fromisoformat("2026-11-27T05:00+00:00")
    daemon.look(bench)
    assert len(recalibrations.begun) == 2


def test_a_bench_that_somebody_works_at_is_left_alone(write_bench, lab, time, jobs):
    bench = write_bench(NIGHTLY)
    daemon = Daemon(lab, {bench: NAME}, jobs, time)
    with lock.bench_lock(NAME):
        daemon.look(bench)
    assert jobs.words == []
    daemon.look(bench)
    assert len(jobs.words) == 1


def test_what_a_look_fails_by_is_said_once_and_the_next_look_comes(write_bench, lab, time, caplog):
    bench = write_bench(NIGHTLY)

    def fail(words):
        raise RuntimeError("out of memory")

    daemon = Daemon(lab, {bench: NAME}, fail, time)
    for _ in range(3):
        daemon.look(bench)
    assert [record.getMessage() for record in caplog.records] == ["RuntimeError: out of memory"]


def test_the_scheduler_looks_at_every_bench_again_and_again_and_at_once_when_told():
    looks, may_end = [], threading.Event()

    def look(bench):
        looks.append(bench)
        if bench == Path("slow"):
            may_end.wait(20)

    def wait_for(count):
        deadline = real_time.monotonic() + 20
        while looks.count(Path("quick")) < count and real_time.monotonic() < deadline:
            real_time.sleep(0.01)
        return looks.count(Path("quick"))

    with looking(look, [Path("slow"), Path("quick")], 0.05):
        assert wait_for(4) >= 4
        assert looks.count(Path("slow")) == 1  # a look that goes on is not begun again
        may_end.set()
    looks.clear()
    with looking(look, [Path("quick")], 3600) as look_now:
        assert wait_for(1) == 1
        look_now()
        assert wait_for(2) == 2


def test_a_second_daemon_is_refused_by_name(write_bench, lab):
    bench = write_bench(NIGHTLY)
    with daemon_lock(NAME):
        with pytest.raises(BenchInUse, match=rf"already: process {os.getpid()} since 20") as failure:
            run_daemon(lab, [bench], 60, ready=lambda: None)
        assert failure.value.exit_code == 5
    with daemon_lock(NAME):
        pass


def test_a_daemon_that_is_asked_to_stop_stops(write_bench, lab, time, recalibrations):
    time.now = datetime.now(time.now.tzinfo)
    bench = write_bench(NIGHTLY)
    recalibrate_if_due(bench, lab, clock=time, recalibrate=recalibrations)
    command = [sys.executable, "-m", "labonn", "daemon", str(bench), "--lab", str(lab), "--json"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        said = process.stderr.readline()
        assert "looking every 60 s" in said
        second = subprocess.run(command, capture_output=True, text=True, check=False)
        assert second.returncode == 5
        assert f"process {process.pid} since" in second.stdout
        process.send_signal(signal.SIGTERM)
        answer, _ = process.communicate(timeout=20)
    assert process.returncode == 0, answer
    assert '"ok": true' in answer


def test_a_clock_that_is_set_back_does_not_stop_the_looks(monkeypatch, caplog):
    wall_s = iter([1000.0, 1000.0, 1000.1, 400.0])  # at the beginning and at the end of two slices
    clocks = SimpleNamespace(time=lambda: next(wall_s), monotonic=real_time.monotonic)
    monkeypatch.setattr(daemon_module, "time", clocks)
    monkeypatch.setattr(daemon_module, "_SLICE_S", 0.001)

    def look_now():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        daemon_module._mind_the_clock(look_now)
    assert "set back by 600 s" in caplog.text
