"""What is ok, what has drifted, what has failed."""

import json

import pytest

from labonn.capture.checklist import NOT_HERE, Check, Checklist, State, judge
from labonn.errors import CalibrationError, InstrumentError, InterlockTripped


@pytest.mark.parametrize(
    ("check", "last_good", "state"),
    [
        (Check("x", 5.0), None, "ok"),
        (Check("x", 5.0, low=5.0, high=5.0), None, "ok"),
        (Check("x", 4.9, low=5.0), None, "failed"),
        (Check("x", 5.1, high=5.0), None, "failed"),
        (Check("x", float("nan"), low=5.0), None, "failed"),
        (Check("x", float("nan"), high=5.0), None, "failed"),
        (Check("x", float("inf"), high=5.0), None, "failed"),
        (Check("x", 5.0, drift=1.0), None, "ok"),
        (Check("x", 5.0, drift=1.0), 4.0, "ok"),
        (Check("x", 5.0, drift=1.0), 3.9, "drifted"),
        (Check("x", 5.0, drift=1.0), 6.1, "drifted"),
        (Check("x", 5.0), 100.0, "ok"),  # nothing says how far it may move
        (Check("x", 9.0, high=5.0, drift=1.0), 9.0, "failed"),  # wrong, however long it has been so
        (Check("x", "A 1"), None, "ok"),
        (Check("x", "A 1"), "A 1", "ok"),
        (Check("x", "A 1"), "A 2", "drifted"),
        (Check("x", 5.0, failure="no answer"), 5.0, "failed"),
        (Check("x", None, failure="no answer"), None, "failed"),
        (Check("x", None, skipped=NOT_HERE), 5.0, "skipped"),
    ],
)
def test_a_measurement_is_judged_by_its_limits_then_by_the_last_good_one(check, last_good, state):
    assert judge(check, last_good).state == state


def test_failures_are_kept_and_the_rest_is_measured_all_the_same():
    checks = Checklist({"b": 1.0})
    with checks.measuring("a"):
        raise CalibrationError("no light")
    assert not checks.instrument_failed
    with checks.measuring("b"):
        checks.add(Check("b", 2.0, "mW", drift=0.5, advice="look at it"))
        raise InstrumentError("no answer")
    checks.add(Check("c", 3.0))
    checks.skip(NOT_HERE, "d", "e")
    assert checks.instrument_failed
    assert [(judged.check.name, str(judged.state)) for judged in checks.judged] == [
        ("a", "failed"),
        ("b", "drifted"),
        ("b", "failed"),
        ("c", "ok"),
        ("d", "skipped"),
        ("e", "skipped"),
    ]
    assert checks.names(State.FAILED) == ["a", "b"]
    rows = [judged.as_row() for judged in checks.judged]
    assert [row["remark"] for row in rows] == ["no light", "look at it", "no answer", "", NOT_HERE, NOT_HERE]
    assert rows[1]["last_good"] == 1.0
    json.dumps(rows)


@pytest.mark.parametrize("error", [InterlockTripped("too hot"), KeyboardInterrupt(), ZeroDivisionError()])
def test_what_ends_the_check_is_no_measurement(error):
    checks = Checklist({})
    with pytest.raises(type(error)), checks.measuring("a"):
        raise error
    assert checks.judged == []


def test_what_is_compared_next_time_is_what_was_measured():
    checks = Checklist({})
    checks.add(Check("a", 1.5), Check("b", "who"), Check("c", None, failure="x"))
    checks.skip(NOT_HERE, "d")
    assert checks.values() == {"a": 1.5, "b": "who"}
