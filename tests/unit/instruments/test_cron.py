"""Times as cron writes them; the oracle is APScheduler's trigger, which has no way to name a day by either of two."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given, settings
from hypothesis import strategies as st

from labonn.instruments.cron import read_cron

VIENNA = ZoneInfo("Europe/Vienna")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def field(low, high):
    """A field of an expression, as cron and APScheduler both read it."""
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda ends: f"{min(ends)}-{max(ends)}")
    step = st.integers(1, high - low).map(lambda step: f"*/{step}")
    return st.one_of(
        st.just("*"), step, st.lists(st.one_of(number.map(str), span), min_size=1, max_size=3).map(",".join)
    )


@settings(max_examples=40, deadline=None)  # the other reader is slow
@given(
    minute=field(0, 59),
    hour=field(0, 23),
    day=field(1, 28),
    month=field(1, 12),
    moment=st.datetimes(datetime(2024, 1, 1), datetime(2031, 1, 1)),
)
def test_the_next_time_is_that_of_another_reader(minute, hour, day, month, moment):
    moment = moment.replace(tzinfo=UTC)
    trigger = CronTrigger(minute=minute, hour=hour, day=day, month=month, timezone="UTC")
    expected = trigger.get_next_fire_time(None, moment + timedelta(microseconds=1))
    assert read_cron(f"{minute} {hour} {day} {month} *").next_after(moment, UTC) == expected


@settings(max_examples=20, deadline=None)
@given(weekday=st.integers(0, 7), moment=st.datetimes(datetime(2024, 1, 1), datetime(2031, 1, 1)))
def test_a_weekday_is_counted_from_sunday(weekday, moment):
    moment = moment.replace(tzinfo=UTC)
    trigger = CronTrigger(minute=5, hour=4, day_of_week=WEEKDAYS[weekday % 7], timezone="UTC")
    expected = trigger.get_next_fire_time(None, moment + timedelta(microseconds=1))
    assert read_cron(f"5 4 * * {weekday}").next_after(moment, UTC) == expected
    assert read_cron(f"5 4 * * {WEEKDAYS[weekday % 7].upper()}").next_after(moment, UTC) == expected


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        ("0 3 * * *", "2026-11-26T03:00+01:00", "2026-11-27T03:00+01:00"),  # after, not at
        ("0 3 13 * fri", "2026-11-01T00:00+01:00", "2026-11-06T03:00+01:00"),  # either day, where both are named
        ("0 3 * * fri", "2026-11-07T00:00+01:00", "2026-11-13T03:00+01:00"),
        ("0 3 29 2 *", "2026-11-01T00:00+01:00", "2028-02-29T03:00+01:00"),
        ("@weekly", "2026-11-26T12:00+01:00", "2026-11-29T00:00+01:00"),
        ("30 2 * * *", "2026-03-28T12:00+01:00", "2026-03-29T03:30+02:00"),  # left out by the summer: an hour later
        ("30 2 * * *", "2026-03-29T03:30+02:00", "2026-03-30T02:30+02:00"),
        ("30 2 * * *", "2026-10-24T12:00+02:00", "2026-10-25T02:30+02:00"),  # comes twice: the first
        ("30 2 * * *", "2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"),
        ("30 2 * * *", "2026-10-25T02:15+01:00", "2026-10-26T02:30+01:00"),  # and not the second
    ],
)
def test_days_and_summers(text, after, expected):
    assert read_cron(text).next_after(datetime.fromisoformat(after), VIENNA) == datetime.fromisoformat(expected)


def test_this_computers_own_time_zone_is_that_of_its_clock():
    moment = datetime(2026, 11, 26, 12, tzinfo=UTC)
    local = read_cron("0 3 * * *").next_after(moment).astimezone()
    assert (local.hour, local.minute) == (3, 0)
    assert moment < local <= moment + timedelta(days=1, hours=1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 3 * *", "4 fields; expected five"),
        ("60 3 * * *", "minute '60': '60' is not 0 to 59"),
        ("0 3 * * 8", "day of the week '8': '8' is not 0 to 7, or sun to sat"),
        ("0 3 * foo *", "month 'foo': 'foo' is not 1 to 12, or jan to dec"),
        ("0 5-3 * * *", "goes backwards"),
        ("*/0 3 * * *", "'0' is no step"),
        ("0 3 30 2 *", "such a day never comes"),
        ("-1 3 * * *", "is not 0 to 59"),
    ],
)
def test_what_is_wrong_is_said(text, said):
    with pytest.raises(ValueError, match=said.replace("*", r"\*")):
        read_cron(text)
