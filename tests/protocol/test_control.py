"""What others ask of a run while it goes on, and what the bench does under it: pause, resume, abort, an interlock."""

import os
import re
import threading
import time

import pytest

from labonn import errors
from labonn.protocol import run_protocol
from labonn.protocol.silence import Silence
from labonn.records import Run, read_run
from tests.waiting import until

from .conftest import BENCH

LIMIT_S = 20.0
# A script can reach what its test put here.
CAPTURING = """
lab.bench.shutter.open()
with lab.step("capturing", total=5) as step:
    for number in range(5):
        lab.bench.shown(number)
        step.advance()
"""


@pytest.fixture
def carry_out(tmp_path, write_script):
    def carry_out(body, **options):
        return run_protocol(write_script(body), BENCH, tmp_path / "lab", quiet=True, **options)

    return carry_out


def beside(act):
    """Do something in another thread, as the control channel does; give its thread."""
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_a_run_says_where_it_is(tmp_path, carry_out, bench):
    said = []
    bench.shown = lambda number: said.append(bench.control.status())
    outcome = carry_out(CAPTURING)
    assert [(status["step"], status["done"], status["total"]) for status in said] == [
        ("capturing", n, 5) for n in range(5)
    ]
    record = read_run(outcome.run_folder)
    assert (said[0]["run"], said[0]["protocol"], said[0]["operator"]) == (record.id, "try_it", record.operator)
    assert said[0]["state"] == "running"
    assert 0 <= said[0]["seconds"] <= LIMIT_S
    assert said[0]["since_utc"].startswith(f"{record.start_utc:%Y-%m-%dT%H:%M:%S}")
    assert bench.control_folder == tmp_path / "lab" / "control"
    assert bench.control.status()["step"] is None


def test_a_pause_takes_effect_at_the_next_checkpoint_dark_and_ends_as_it_began(carry_out, bench):
    states = []

    def resume_when_paused():
        until(lambda: bench.control.status()["state"] == "paused")
        states.append(bench.shutter.told_open)
        time.sleep(0.3)
        states.append(bench.control.status()["done"])
        bench.control.resume()

    def shown(number):
        bench.events.append(number)
        if number == 2:
            bench.control.pause()
            states.append(bench.control.status()["state"])
            bench.helper = beside(resume_when_paused)

    bench.shown = shown
    outcome = carry_out(CAPTURING)
    bench.helper.join(LIMIT_S)
    assert outcome.status == "done"
    assert bench.events[1:] == ["open", 0, 1, 2, "closed", "open", 3, 4, "dark"]
    assert states == ["pausing", False, 3]
    assert outcome.seconds["paused"] >= 0.3
    assert '"paused"' in (outcome.run_folder / "log.jsonl").read_text()


def test_a_shutter_that_was_closed_stays_closed_after_a_pause(carry_out, bench):
    def shown(number):
        if number == 0:
            bench.control.pause()
            threading.Timer(0.2, bench.control.resume).start()

    bench.shown = shown
    carry_out(CAPTURING.replace("lab.bench.shutter.open()", "lab.bench"))
    assert bench.events[1:] == ["dark"]


def test_a_pause_taken_back_before_a_checkpoint_does_nothing(carry_out, bench):
    def shown(number):
        bench.control.pause()
        bench.control.resume()

    bench.shown = shown
    assert "paused" not in carry_out(CAPTURING).seconds
    assert bench.events[1:] == ["open", "dark"]


@pytest.mark.parametrize(
    ("error", "status", "exit_code"),
    [
        (errors.Aborted("told to abort by root (labonn control abort)"), "aborted", 130),
        (errors.InterlockTripped("laser.power_mw <= 20: it read 23.1 at 12:00:05"), "failed", 3),
    ],
)
@pytest.mark.parametrize("paused", [False, True])
def test_what_trips_the_bench_ends_the_run_though_it_asks_no_instrument(
    carry_out, bench, error, status, exit_code, paused
):
    def trip_when_paused():
        until(lambda: bench.control.status()["state"] == "paused")
        bench.guard.trip(error)

    def shown(number):
        bench.events.append(number)
        if number == 1 and paused:
            bench.control.pause()
            bench.helper = beside(trip_when_paused)
        elif number == 1:
            bench.guard.trip(error)

    bench.shown = shown
    outcome = carry_out(CAPTURING)
    record = read_run(outcome.run_folder)
    assert (record.status, record.exit_code, record.reason) == (status, exit_code, str(error))
    assert [event for event in bench.events if isinstance(event, int)] == [0, 1]
    assert bench.events[-2:] == ["tripped", "dark"]


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (
            "raise errors.InstrumentError('the camera did not answer')",
            "then: InstrumentError: the camera did not answer",
        ),
        ("raise KeyboardInterrupt('asked to stop by SIGINT')", "then: KeyboardInterrupt: asked to stop by SIGINT"),
        ("return {'n': 1}", ""),
    ],
)
def test_what_tripped_the_bench_is_why_the_run_ended_whatever_came_of_it(carry_out, bench, after, reason):
    bench.trip = lambda: bench.guard.trip(errors.InterlockTripped("thermometer.celsius: it read 31 at 12:00:05"))
    outcome = carry_out(f"lab.bench.trip()\n{after}")
    assert (outcome.status, outcome.exit_code) == ("failed", 3)
    assert outcome.error.startswith("thermometer.celsius: it read 31 at 12:00:05")
    assert reason in outcome.error


def test_ctrl_c_gets_through_a_pause(carry_out, bench):
    def shown(number):
        bench.control.pause()
        bench.helper = threading.Timer(0.5, lambda: os.kill(os.getpid(), 2))
        bench.helper.start()

    bench.shown = shown
    begin_s = time.monotonic()
    outcome = carry_out(CAPTURING)
    assert (outcome.status, outcome.exit_code) == ("aborted", 130)
    assert time.monotonic() - begin_s < LIMIT_S


def test_a_bench_that_was_left_lit_is_on_record(carry_out, bench):
    bench.left_by, bench.found_lit = "process 123 (someone: labonn run) since 10:00", True
    bench.left_note = "its watchdog closed the shutter"
    record = read_run(carry_out("lab.bench").run_folder)
    assert record.notes == {
        "how the bench was found": "left LIT by process 123 (someone: labonn run) since 10:00, which ended without"
        " closing it; its watchdog closed the shutter; dark since it was opened"
    }


def test_a_bench_that_was_left_dark_is_not_told_of(carry_out, bench):
    assert read_run(carry_out("lab.bench").run_folder).notes == {}


def test_a_run_that_was_never_closed_is_closed_at_the_next_start_and_said(tmp_path, write_script, bench, capfd):
    lost = Run.start(tmp_path / "lab", "p")
    lost.change(pid=2**22 + 1, process_started=1.0)
    outcome = run_protocol(write_script("lab.bench"), BENCH, tmp_path / "lab")
    record = read_run(lost.folder)
    assert (record.status, record.stop_utc) == ("lost", None)
    assert f"run {lost.id} is closed as lost: process {2**22 + 1}" in capfd.readouterr().err
    assert lost.id in (outcome.run_folder / "log.jsonl").read_text()
    assert "lost" in (lost.folder / "report.html").read_text()
    assert outcome.status == "done"


def test_a_run_has_the_serial_number_of_the_benchs_optic(tmp_path, write_script, bench):
    content = re.sub(r"\n\[optic\]\n(?:[^\[\n].*\n)*", "\n", BENCH.read_text(encoding="utf-8"))
    table = '\n[optic]\nserial_number = "L-0042"\ndescription = "second coating"\nmodel = "a-model"\n'
    optics = []
    for text in (content, content + table):
        path = tmp_path / "trial.bench.toml"
        path.write_text(text, encoding="utf-8")
        outcome = run_protocol(write_script("return {}"), path, tmp_path / "lab", quiet=True)
        assert outcome.error is None
        optics.append(read_run(outcome.run_folder).optic)
    assert optics == [None, {"serial_number": "L-0042", "description": "second coating", "model": "a-model"}]


def test_a_script_that_comes_to_no_checkpoint_is_named_with_its_line_once(carry_out, bench, monkeypatch, capfd):
    monkeypatch.setattr("labonn.protocol.lab.Silence", lambda script, tell: Silence(script, tell, 0.2))
    said = []
    bench.look = lambda: said.append(bench.control.status())
    outcome = carry_out("lab.bench\nimport time\ntime.sleep(0.9)\nlab.bench.look()")
    file = outcome.run_folder.parents[2] / "try_it.py"
    line = 1 + file.read_text().splitlines().index("    time.sleep(0.9)")
    warnings = [text for text in (outcome.run_folder / "log.jsonl").read_text().splitlines() if "no checkpoint" in text]
    assert len(warnings) == 1
    assert f"try_it.py, line {line}: no checkpoint for 0 s" in warnings[0]
    assert outcome.status == "done"
    assert said[0]["checkpoint_s"] >= 0.8
    assert said[0]["line"] == line + 1


def test_checkpoints_and_pauses_are_no_silence(carry_out, bench, monkeypatch):
    monkeypatch.setattr("labonn.protocol.lab.Silence", lambda script, tell: Silence(script, tell, 0.3))

    def shown(number):
        time.sleep(0.15)
        if number == 2:
            bench.control.pause()
            threading.Timer(0.7, bench.control.resume).start()

    bench.shown = shown
    outcome = carry_out(CAPTURING)
    assert outcome.seconds["paused"] > 0.5
    assert "no checkpoint" not in (outcome.run_folder / "log.jsonl").read_text()
