"""What is due: a table of histories and moments, and what holds for all of them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labonn.instruments.schedule import Drift, Schedule
from labonn.jobs.due import look, look_for_watch, settings_of
from labonn.jobs.history import Attempt, History
from labonn.records import Watch

DAY = datetime(2026, 11, 26, tzinfo=UTC)
LASTS = timedelta(minutes=10)
NIGHTLY = Schedule(cron="0 3 * * *", time_zone="UTC")
DRIFT = Drift(watch_every_h=1, tolerated_loss_points=0.5)


def at(text):
    """A moment: hours and minutes, on the day or so many days later."""
    days, _, clock = text.rpartition("+") if "+" in text else ("0", "", text)
    hours, minutes = clock.split(":")
    return DAY + timedelta(days=int(days), hours=int(hours), minutes=int(minutes))


def attempts(*told):
    """Attempts of ten minutes each, given from the first to the last."""
    found = []
    for text, status in told:
        begun = at(text)
        found.append(Attempt(f"run-{text}", begun, begun if status == "lost" else begun + LASTS, status))
    return tuple(reversed(found))


def watch(text, *, due):
    return Watch(f"watch-{text}", at(text), "release", 1.2, 0.3, due, due)


@pytest.mark.parametrize(
    ("told", "now", "due", "following"),
    [
        # A night after the other.
        ([("3:00", "done")], "3:10", False, "1+3:00"),
        ([("3:00", "done")], "1+2:59", False, "1+3:00"),
        ([("3:00", "done")], "1+3:00", True, None),
        # Many missed nights are one.
        ([("3:00", "done")], "9+14:00", True, None),
        ([("3:00", "done"), ("9+14:00", "done")], "9+14:10", False, "10+3:00"),
        # By hand, in the evening: the night's is still due.
        ([("22:00", "done")], "1+3:00", True, None),
        # What failed is tried again, with a back-off that doubles, three times in all.
        ([("3:00", "failed")], "3:11", False, "3:25"),
        ([("3:00", "failed")], "3:25", True, None),
        ([("3:00", "failed"), ("3:25", "failed")], "3:36", False, "4:05"),
        ([("3:00", "failed"), ("3:25", "failed")], "4:05", True, None),
        ([("3:00", "failed"), ("3:25", "failed"), ("4:05", "failed")], "12:00", False, "1+3:00"),
        ([("3:00", "failed"), ("3:25", "done")], "12:00", False, "1+3:00"),
        # The next night has its own three.
        ([("3:00", "failed"), ("3:25", "failed"), ("4:05", "failed"), ("1+3:00", "failed")], "1+3:11", False, "1+3:25"),
        # A lost one ended when nobody saw it: the back-off is reckoned from its beginning.
        ([("3:00", "lost")], "3:15", True, None),
        # Refused and aborted are answers: nothing before the next time.
        ([("3:00", "refused")], "23:00", False, "1+3:00"),
        ([("3:00", "aborted")], "23:00", False, "1+3:00"),
        # The clock was set back over an attempt: it counts; over more than from one time to the next: it was wrong.
        ([("3:00", "done")], "2:50", False, "1+3:00"),
        ([("-1+3:00", "done"), ("90+3:00", "done")], "3:00", True, None),
        ([("-1+3:00", "done"), ("90+3:00", "done")], "2:00", False, "3:00"),
    ],
)
def test_every_night_at_three(told, now, due, following):
    found = look(NIGHTLY, History(attempts(*told), released=at("-5+12:00")), at(now))
    assert found.due is due, found.why
    if following is not None:
        assert found.next == at(following)


def test_without_a_schedule_nothing_is_ever_due():
    found = look(None, History(), DAY)
    assert not found.due
    assert found.next is None


def test_what_was_never_tried_is_reckoned_from_the_release_and_without_one_it_is_due():
    assert look(NIGHTLY, History(released=at("4:00")), at("23:00")).next == at("1+3:00")
    assert look(NIGHTLY, History(released=at("2:00")), at("3:00")).due
    assert look(NIGHTLY, History(), at("14:00")).due  # and its failure says what is missing


@pytest.mark.parametrize(("now", "due"), [("8:59", False), ("9:00", True)])
def test_an_interval_runs_from_beginning_to_beginning(now, due):
    schedule = Schedule(interval_h=6)
    history = History(attempts(("3:00", "done")), released=at("3:09"))  # its own release does not put it off
    assert look(schedule, history, at(now)).due is due
    elsewhere = History(attempts(("3:00", "done")), released=at("5:00"))  # one that was deployed since does
    assert not look(schedule, elsewhere, at("9:00")).due


def test_a_calibration_expires_whatever_failed_since():
    schedule = Schedule(cron="0 3 * * *", time_zone="UTC", expiry_h=30, attempts=1)
    tried = [("3:00", "done"), ("1+3:00", "failed")]
    assert look(schedule, History(attempts(*tried)), at("1+9:09")).next == at("1+9:10")
    assert look(schedule, History(attempts(*tried)), at("1+9:10")).due
    # After that attempt nothing is due before its back-off: two in a row, 30 minutes.
    tried.append(("1+9:10", "failed"))
    assert look(schedule, History(attempts(*tried)), at("1+9:49")).next == at("1+9:50")
    # What the gate refused was measured, too.
    assert look(schedule, History(attempts(("3:00", "refused"))), at("4:00")).next == at("1+3:00")


def test_drift_is_due_when_a_watch_says_so_and_once():
    schedule = Schedule(drift=DRIFT)
    released = at("2:00")
    assert not look(schedule, History(released=released, watch=watch("5:00", due=False)), at("5:01")).due
    assert look(schedule, History(released=released, watch=watch("5:00", due=True)), at("5:01")).due
    after = attempts(("5:01", "done"))
    assert not look(schedule, History(after, released=at("5:11"), watch=watch("5:00", due=True)), at("5:12")).due
    assert look(schedule, History(after, released=at("5:11"), watch=watch("6:00", due=True)), at("6:01")).due
    assert not look(schedule, History(watch=watch("1:00", due=True), released=released), at("5:00")).due  # of before


def test_drift_that_is_refused_again_and_again_waits_longer_each_time():
    schedule = Schedule(drift=DRIFT, back_off_min=60)
    tried = [("5:00", "refused"), ("6:10", "refused"), ("8:20", "refused")]
    found = look(schedule, History(attempts(*tried), watch=watch("9:00", due=True)), at("9:01"))
    assert not found.due
    assert found.next == at("12:30")


def test_a_refusal_may_be_tried_again_with_other_settings():
    schedule = Schedule(
        cron="0 3 * * *",
        time_zone="UTC",
        on_refusal="retry",
        settings={"captures": 32, "methods": "none"},
        refusal_settings={"captures": 64},
    )
    history = History(attempts(("3:00", "refused")))
    found = look(schedule, history, at("3:25"))
    assert found.due
    assert settings_of(schedule, found, history) == {"captures": 64, "methods": "none"}
    regular = look(schedule, history, at("1+3:00"))
    assert look(schedule, History(attempts(("3:00", "done"))), at("1+3:00")).due
    assert regular.due
    assert settings_of(schedule, look(schedule, History(), at("3:00")), History())["captures"] == 32


def test_nothing_begins_in_quiet_hours():
    schedule = Schedule(cron="0 3 * * *", time_zone="UTC", quiet_hours=("02:00-05:30",))
    history = History(attempts(("-1+5:30", "done")))
    found = look(schedule, history, at("3:00"))
    assert not found.due
    assert found.next == at("5:30")
    assert look(schedule, history, at("5:30")).due
    assert look(schedule, history, at("1:00")).next == at("5:30")


def test_a_watch_comes_every_hour_also_when_the_last_failed():
    schedule = Schedule(drift=DRIFT)
    released = at("0:00")
    assert look_for_watch(schedule, History(released=released), at("1:00")).due
    begun = History(released=released, watch_begun=at("1:00"))
    assert look_for_watch(schedule, begun, at("1:59")).next == at("2:00")
    assert look_for_watch(schedule, begun, at("2:00")).due
    assert not look_for_watch(schedule, History(), at("1:00")).due  # nothing is released
    assert not look_for_watch(NIGHTLY, begun, at("9:00")).due
    # The clock was set back by a day: not silent for a day.
    assert look_for_watch(schedule, begun, at("-1+2:00")).due


moments = st.integers(0, 60 * 24 * 20).map(lambda minutes: DAY + timedelta(minutes=minutes))
statuses = st.sampled_from(["done", "refused", "failed", "aborted", "lost"])
schedules = st.sampled_from(
    [
        NIGHTLY,
        Schedule(cron="*/20 * * * *", attempts=2),
        Schedule(interval_h=5, on_refusal="retry"),
        Schedule(interval_h=24, expiry_h=30, attempts=5, back_off_min=1),
        Schedule(expiry_h=48),
        Schedule(cron="0 1 * * sun", drift=DRIFT, quiet_hours=("08:00-18:00",), time_zone="UTC"),
        Schedule(drift=DRIFT, back_off_min=45),
    ]
)


@given(schedule=schedules, begun=st.lists(moments, max_size=6), told=st.lists(statuses, min_size=6), due=st.booleans())
def test_after_any_attempt_nothing_is_due_before_its_back_off(schedule, begun, told, due):
    ended = [
        Attempt(f"{n}", moment, moment + LASTS, status)
        for n, (moment, status) in enumerate(zip(begun, told, strict=False))
    ]
    ended.sort(key=lambda attempt: attempt.begun, reverse=True)
    now = max([*begun, DAY]) + LASTS
    # A watch of before the attempt, which led to it.
    watched = Watch("w", now - LASTS - timedelta(minutes=1), "release", 1.0, 0.2, due, due)
    history = History(tuple(ended), released=DAY - timedelta(days=1), watch=watched)
    found = look(schedule, history, now)
    if begun and found.due:
        regular = schedule.times is not None and schedule.times.next_after(max(begun), schedule.zone) <= now
        assert regular, found.why


@given(schedule=schedules, begun=moments, status=statuses, later=st.integers(0, 60 * 24 * 40))
def test_what_is_said_to_come_next_comes_then(schedule, begun, status, later):
    history = History((Attempt("r", begun, begun + LASTS, status),), released=begun - timedelta(hours=1))
    now = begun + timedelta(minutes=later)
    found = look(schedule, history, now)
    if found.next is not None:
        assert found.due is (found.next <= now)
        assert look(schedule, history, found.next).due
        assert not look(schedule, history, found.next - timedelta(seconds=1)).due or found.due
