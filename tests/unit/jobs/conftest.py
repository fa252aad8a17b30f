"""A bench of its own with a schedule, a laboratory, and recalibrations that only leave a record."""

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from labonn.instruments import lock
from labonn.protocol import Outcome
from labonn.records import Run

MONO = Path(__file__).parents[3] / "sim" / "benches" / "mono.bench.toml"
NAME = f"jobs-{os.getpid()}"
EXIT_CODES = {"done": 0, "failed": 1, "refused": 4, "aborted": 130}


@dataclass
class Time:
    """A clock that goes when it is told to."""

    now: datetime = datetime(2026, 11, 26, 12, tzinfo=UTC)

    def __call__(self):
        return self.now

    def pass_min(self, minutes):
        self.now += timedelta(minutes=minutes)


@dataclass
class Recalibrations:
    """Stand in for recalibrations, which take ten minutes and end as they are told."""

    time: Time
    endings: list[str] = field(default_factory=list)
    """How the next ones end; done, when there are no more."""
    begun: list[datetime] = field(default_factory=list)
    settings: list[dict[str, str]] = field(default_factory=list)

    def __call__(self, bench_path, lab_dir, settings):
        status = self.endings.pop(0) if self.endings else "done"
        self.begun.append(self.time.now)
        self.settings.append(dict(settings))
        run = Run.start(lab_dir, "recalibrate", bench=name_in(bench_path))
        start = self.time.now
        self.time.pass_min(10)
        reason = None if status == "done" else f"it is {status}"
        run.change(start_utc=start, seconds={"total": 600.0})
        accuracy = {"before": 92.5, "after": 98.5}
        result = {"accuracy": accuracy, "released": status == "done", "release": "a-release"}
        run.finish(status, exit_code=EXIT_CODES[status], reason=reason, result=result)
        return Outcome(run.folder, status, EXIT_CODES[status], result, reason, None, {"total": 600.0})


def name_in(bench_path):
    return bench_path.read_text(encoding="utf-8").partition('name = "')[2].partition('"')[0]


@pytest.fixture(autouse=True)
def locks(tmp_path_factory, monkeypatch):
    """Locks of this test's own."""
    folder = tmp_path_factory.mktemp("locks")
    monkeypatch.setattr(lock, "lock_folder", lambda: folder)
    return folder


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def recalibrations(time):
    return Recalibrations(time)


@pytest.fixture
def lab(tmp_path):
    return tmp_path / "lab"


@pytest.fixture
def write_bench(tmp_path):
    """Write a bench file with a schedule."""

    def write(table, name=NAME):
        path = tmp_path / "trial.bench.toml"
        content = MONO.read_text(encoding="utf-8").replace('name = "mono"', f'name = "{name}"')
        path.write_text(content + table, encoding="utf-8")
        return path

    return write
