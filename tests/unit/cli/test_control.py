"""What `labonn control` and `labonn bench dark` ask of whoever holds a bench, and what they say."""

from pathlib import Path

import pytest

import labonn.instruments
from labonn.cli import main
from labonn.errors import InstrumentError
from labonn.instruments import Darkened, NotHeld

BENCH = Path(__file__).parents[3] / "sim" / "benches" / "mono.bench.toml"
STATUS = {
    "run": "20261123T120000Z-recalibrate-abcd",
    "protocol": "recalibrate",
    "operator": "ann",
    "since_utc": "2026-11-23T12:00:00+00:00",
    "state": "running",
    "step": "capturing: fit",
    "done": 7,
    "total": 32,
    "seconds": 61.5,
    "tripped": None,
}


class Holder:
    """Stands in for the process that holds a bench: pauses two questions after it was asked to."""

    def __init__(self):
        self.asked = []
        self.state = "running"
        self.checkpoints = 2

    def ask(self, bench, operation):
        assert bench == "mono"
        self.asked.append(operation)
        if operation == "pause":
            self.state = "pausing"
        elif operation == "resume":
            self.state = "running"
        elif operation == "abort":
            return {"dark": True}
        elif self.state == "pausing":
            self.checkpoints -= 1
            self.state = "pausing" if self.checkpoints > 0 else "paused"
        return {**STATUS, "state": self.state}


@pytest.fixture
def holder(monkeypatch):
    stand_in = Holder()
    monkeypatch.setattr(labonn.instruments, "ask_holder", stand_in.ask)
    monkeypatch.setattr("labonn.instruments.lock.holder_of", lambda name: "process 12 (ann: labonn run)")
    return stand_in


@pytest.fixture
def nobody(monkeypatch):
    def ask(bench, operation):
        raise NotHeld(f"nobody holds bench {bench!r}")

    monkeypatch.setattr(labonn.instruments, "ask_holder", ask)


def test_the_status_is_all_that_the_run_says(holder, answer):
    said = answer("control", "status", BENCH)
    assert said | STATUS == said
    assert (said["held"], said["bench"], said["exit_code"]) == (True, "mono", 0)


def test_the_status_for_people(holder, capfd):
    assert main(["control", "status", str(BENCH)]) == 0
    shown = capfd.readouterr().out
    for words in (
        "bench mono: running",
        "capturing: fit, 7 of 32",
        "process 12 (ann",
        "recalibrate-abcd",
        "2026-11-23T12:00:00",
    ):
        assert words in shown


def test_a_bench_that_nobody_holds_has_a_status(nobody, answer, capfd):
    said = answer("control", "status", BENCH)
    assert (said["exit_code"], said["held"], said["bench"]) == (0, False, "mono")
    assert main(["control", "status", str(BENCH)]) == 0
    assert capfd.readouterr().out == "nobody holds bench mono\n"


@pytest.mark.parametrize("operation", ["pause", "resume", "abort"])
def test_what_nobody_runs_cannot_be_controlled(nobody, answer, operation):
    said = answer("control", operation, BENCH)
    assert said["exit_code"] == 1
    assert said["error"] == f"nobody holds bench 'mono': there is no run to {operation}"


def test_pausing_waits_until_the_run_is_dark(holder, answer, capfd):
    assert answer("control", "pause", BENCH)["state"] == "paused"
    assert holder.asked == ["pause", "status", "status"]
    assert answer("control", "resume", BENCH)["state"] == "running"
    assert main(["control", "pause", str(BENCH)]) == 0
    assert "paused, and dark" in capfd.readouterr().out


def test_a_run_far_from_its_next_checkpoint_will_pause_there(holder, capfd, monkeypatch):
    monkeypatch.setattr("labonn.cli.controlling._PATIENCE_S", 0.3)
    holder.checkpoints = 1000
    assert main(["control", "pause", str(BENCH)]) == 0
    assert "will pause at its next checkpoint" in capfd.readouterr().out


def test_aborting_asks_once(holder, answer):
    said = answer("control", "abort", BENCH)
    assert (said["dark"], holder.asked) == (True, ["abort"])


def test_a_holder_that_does_not_answer_is_an_instrument_that_failed(monkeypatch, answer):
    def ask(bench, operation):
        raise InstrumentError("bench 'mono' is held by process 12, which does not answer")

    monkeypatch.setattr(labonn.instruments, "ask_holder", ask)
    said = answer("control", "abort", BENCH)
    assert (said["exit_code"], "process 12" in said["error"]) == (3, True)


@pytest.mark.parametrize(("was_lit", "words"), [(True, "it was LIT"), (False, "dark already")])
def test_making_dark_says_who_did_it(monkeypatch, answer, capfd, was_lit, words):
    asked = []

    def darken(path):
        asked.append(path)
        return Darkened("process 12 (ann: labonn run) since 12:00", was_lit, 0.1234)

    monkeypatch.setattr(labonn.instruments, "darken_bench", darken)
    said = answer("bench", "dark", BENCH)
    assert (said["exit_code"], said["dark"], said["was_lit"], said["seconds"]) == (0, True, was_lit, 0.123)
    assert "process 12" in said["by"]
    assert main(["bench", "dark", str(BENCH)]) == 0
    assert words in capfd.readouterr().out
    assert asked == [BENCH, BENCH]


def test_a_bench_that_does_not_go_dark_ends_with_3(monkeypatch, answer):
    def darken(path):
        raise InstrumentError("the shutter is stuck, LOOK AT IT")

    monkeypatch.setattr(labonn.instruments, "darken_bench", darken)
    said = answer("bench", "dark", BENCH)
    assert (said["exit_code"], "LOOK AT IT" in said["error"]) == (3, True)
