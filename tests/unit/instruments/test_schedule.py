"""The table [schedule]: what may stand there, and quiet hours."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from labonn.errors import ConfigError
from labonn.instruments import read_bench
from labonn.instruments.schedule import Schedule

MONO = Path(__file__).parents[3] / "sim" / "benches" / "mono.bench.toml"
EVERYTHING = """
[schedule]
cron = "30 2 * * mon-fri"
expiry_h = 72
time_zone = "Europe/Vienna"
quiet_hours = ["08:00-18:00"]
attempts = 4
back_off_min = 20
on_refusal = "retry"
settings = { captures = 48, methods = "none" }
refusal_settings = { captures = 64 }

[schedule.drift]
watch_every_h = 2
tolerated_loss_points = 0.4

[schedule.tell]
on = ["failed", "done"]
email = { to = ["ann@example.org"], from = "bench@example.org", host = "localhost", port = 25, security = "none" }

[[schedule.tell.webhooks]]
url = "https://example.org/hook"
token_env = "HOOK_TOKEN"
"""


def write(folder, table):
    path = folder / "trial.bench.toml"
    path.write_text(MONO.read_text(encoding="utf-8") + table, encoding="utf-8")
    return path


def test_a_bench_file_may_have_none_and_may_have_all(tmp_path):
    assert read_bench(MONO).schedule is None
    schedule = read_bench(write(tmp_path, EVERYTHING)).schedule
    assert schedule is not None
    assert schedule.settings == {"captures": 48, "methods": "none"}
    assert schedule.drift is not None
    assert schedule.drift.tolerated_loss_points == 0.4
    assert schedule.tell.email is not None
    assert schedule.tell.email.sender == "bench@example.org"
    assert schedule.tell.webhooks[0].token_env == "HOOK_TOKEN"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("", "schedule: says no time: give cron, interval_h, expiry_h or [schedule.drift]"),
        ('cron = "0 25 * * *"', "schedule.cron = '0 25 * * *': hour '25': '25' is not 0 to 23"),
        ('cron = "0 3 * * *"\ninterval_h = 24', "cron and interval_h: give one of them"),
        ("interval_h = 0", "schedule.interval_h = 0: Input should be greater than 0"),
        ("interval = 24", "schedule.interval: no such key"),
        ('interval_h = 24\ntime_zone = "Vienna"', "schedule.time_zone = 'Vienna': there is no such time zone"),
        ('interval_h = 24\nquiet_hours = ["8-18"]', "'8-18' is no span of hours; write '22:00-06:00'"),
        ('interval_h = 24\nquiet_hours = ["08:00-20:00", "19:00-08:00"]', "they leave no minute of the day"),
        ("interval_h = 24\nrefusal_settings = { captures = 64 }", "refusal_settings: are for on_refusal = 'retry'"),
        ("interval_h = 24\nattempts = 0", "schedule.attempts = 0"),
        (
            'interval_h = 24\ntell = { email = { to = ["ann"], from = "b@c.d", host = "h" } }',
            "to: 'ann' is no address",
        ),
        (
            'interval_h = 24\ntell = { email = { to = ["a@b.c"], from = "b@c.d", host = "h", user = "u" } }',
            "user and password_env: give both, or neither",
        ),
        ('interval_h = 24\ntell = { webhooks = [{ url = "file:///etc/passwd" }] }', "schedule.tell.webhooks.0.url"),
        ('interval_h = 24\ntell = { on = ["finished"] }', "schedule.tell.on.0 = 'finished'"),
    ],
)
def test_what_is_wrong_names_file_key_and_value(tmp_path, table, said):
    path = write(tmp_path, f"\n[schedule]\n{table}\n")
    with pytest.raises(ConfigError) as failure:
        read_bench(path)
    assert said in str(failure.value)
    assert str(path) in str(failure.value)


@pytest.mark.parametrize(
    ("moment", "begins"),
    [
        ("2026-11-26T06:30", "2026-11-26T06:30"),
        ("2026-11-26T05:59", "2026-11-26T06:00"),
        ("2026-11-26T08:00", "2026-11-26T18:00"),
        ("2026-11-26T17:59", "2026-11-26T18:00"),
        ("2026-11-26T23:30", "2026-11-27T06:00"),  # over midnight
        ("2026-11-26T06:00", "2026-11-26T06:00"),  # the end is not quiet
        ("2026-11-26T07:30", "2026-11-26T18:00"),  # one span ends in another
    ],
)
def test_quiet_hours_end(moment, begins):
    schedule = Schedule(interval_h=1, time_zone="UTC", quiet_hours=("08:00-18:00", "22:00-06:00", "07:00-09:00"))
    found = schedule.out_of_quiet(datetime.fromisoformat(moment).replace(tzinfo=UTC))
    assert found == datetime.fromisoformat(begins).replace(tzinfo=UTC)


def test_quiet_hours_are_those_of_the_time_zone():
    schedule = Schedule(interval_h=1, time_zone="Europe/Vienna", quiet_hours=("08:00-18:00",))
    assert schedule.out_of_quiet(datetime(2026, 11, 26, 7, 30, tzinfo=UTC)) == datetime(2026, 11, 26, 17, tzinfo=UTC)
    assert schedule.out_of_quiet(datetime(2026, 7, 26, 5, 30, tzinfo=UTC)) == datetime(2026, 7, 26, 5, 30, tzinfo=UTC)
