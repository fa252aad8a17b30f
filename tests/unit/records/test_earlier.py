"""Which earlier run may be continued: one that was lost, the same, and not long ago; others only if they are named."""

import time
from datetime import timedelta

import numpy as np
import pytest

from labonn.errors import ConfigError, RecordError
from labonn.records import FrameFile, Run
from labonn.records.disk import utc_now
from labonn.records.earlier import run_to_continue, runs_to_continue
from labonn.records.runs import CapturedWith

FACTS = {"script_sha256": "abc", "bench": "mono", "optic": {"serial_number": "S1"}, "parameters": {"captures": 8}}


@pytest.fixture
def lab(tmp_path):
    return tmp_path / "lab"


@pytest.fixture
def begin(lab, monkeypatch):
    """Make runs, each a second after the one before."""
    moments = iter(utc_now() - timedelta(hours=1) + timedelta(seconds=n) for n in range(1000))
    monkeypatch.setattr("labonn.records.runs.utc_now", lambda: next(moments))

    def begin(status="lost", captures=5, *, calibration="c1", hours_ago=0.5, protocol="recalibrate", **facts):
        run = Run.start(lab, protocol, **{**FACTS, **facts})
        if captures:
            with_ = CapturedWith(
                optics="o", calibration="calibration.h5", calibration_sha256=calibration, groups=["fit"]
            )
            run.change(captured_with=with_)
            taken = time.time() - 3600 * hours_ago - np.arange(captures, 0, -1)
            with FrameFile(run.folder / "frames.h5") as frames:
                frames.extend("fit", image=np.arange(captures), taken_unix_s=taken)
                frames.extend("other", image=np.arange(3))
        run.change(status=status)
        return run

    return begin


def names(found):
    return [run.record.id for run in found.runs]


def test_the_latest_lost_run_is_continued_and_those_before_it_with_its_calibration(lab, begin):
    first = begin()
    begin(calibration="another")
    begin(captures=0)
    begin("failed")
    last = begin(captures=7)
    found = runs_to_continue(lab, begin("running").record)
    assert names(found) == [last.id, first.id]
    assert found.runs[0].counts == {"fit": 7}
    assert f"run {last.id} was lost with 7 captures" in found.remark


@pytest.mark.parametrize(
    "other",
    [
        {"parameters": {"captures": 9}},
        {"script_sha256": "changed"},
        {"bench": "hostile"},
        {"optic": {"serial_number": "S2"}},
        {"optic": None},
        {"protocol": "characterise"},
    ],
)
def test_a_run_of_another_kind_is_not_continued_and_does_not_hide_one(lab, begin, other):
    same = begin()
    begin(**other)
    begin("done", **other)
    assert names(runs_to_continue(lab, begin("running").record)) == [same.id]


@pytest.mark.parametrize("status", ["done", "refused", "aborted"])
def test_what_somebody_closed_hides_what_was_lost_before(lab, begin, status):
    begin()
    closed = begin(status)
    found = runs_to_continue(lab, begin("running").record)
    assert found.runs == ()
    assert (found.remark is not None) == (status == "aborted")
    if status == "aborted":
        assert f"--continue {closed.id}" in found.remark


def test_an_old_run_is_continued_only_by_its_name(lab, begin):
    old = begin(hours_ago=13)
    record = begin("running").record
    found = runs_to_continue(lab, record)
    assert found.runs == ()
    assert "13 h ago" in found.remark
    assert names(run_to_continue(lab, old.id, record)) == [old.id]


def test_captures_of_a_clock_that_was_set_back_are_not_taken_for_young_ones(lab, begin):
    begin(hours_ago=-3)
    found = runs_to_continue(lab, begin("running").record)
    assert found.runs == ()
    assert "later than now" in found.remark


def test_no_runs_and_damaged_ones_are_nothing_to_continue(lab, begin):
    record = begin("running").record
    assert runs_to_continue(lab, record).runs == ()
    (begin().folder / "run.json").write_text("{")
    (begin().folder / "frames.h5").write_bytes(b"nothing")
    assert runs_to_continue(lab, record) == runs_to_continue(lab / "none", record)


def test_a_run_that_ended_before_its_first_frame_is_passed_over_without_a_word(lab, begin, caplog):
    (begin("lost").folder / "frames.h5").unlink()
    assert runs_to_continue(lab, begin("running").record).runs == ()
    assert not caplog.text


def test_who_names_a_run_may_continue_an_aborted_one_and_what_that_had_taken_over(lab, begin):
    before = begin(captures=20)
    named = begin("aborted", continues=[before.id, "20260101T000000Z-recalibrate-gone"])
    assert names(run_to_continue(lab, named.id[-4:], begin("running").record)) == [named.id, before.id]


@pytest.mark.parametrize(
    ("earlier", "said"),
    [
        ({"status": "done"}, "is done; only one that was lost"),
        ({"parameters": {"captures": 9}}, r"captures \(9, now 8\)"),
        ({"script_sha256": "changed"}, "its script, which was changed"),
        ({"bench": "hostile"}, r"its bench \(hostile, now mono\)"),
        ({"captures": 0}, "has no captures"),
    ],
)
def test_a_named_run_that_cannot_be_continued_is_refused_with_the_reason(lab, begin, earlier, said):
    run = begin(**earlier)
    with pytest.raises(ConfigError, match=said):
        run_to_continue(lab, run.id, begin("running").record)


def test_a_name_that_there_is_not(lab, begin):
    with pytest.raises(RecordError, match="has no run 'zzzz'"):
        run_to_continue(lab, "zzzz", begin("running").record)
