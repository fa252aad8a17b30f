"""What a report says is to be done next, and the command that repeats its run."""

import shlex
from datetime import UTC, datetime

import pytest

from labonn.protocol.next_step import command_of, next_step
from labonn.protocol.settings import make_parameters, split_settings
from labonn.records import RunRecord
from protocols import exposure_sweep


def record(**facts):
    known = {"schema": 2, "id": "r", "protocol": "recalibrate", "bench_file": "/a b/mono.bench.toml"}
    return RunRecord.model_validate({**known, "start_utc": datetime.now(UTC), "start_monotonic_s": 0.0, **facts})


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"status": "running"}, "labonn control status '/a b/mono.bench.toml'"),
        ({"status": "aborted"}, "--continue r"),
        ({"status": "lost"}, "what it captured is taken over"),
        ({"status": "refused"}, "The release in use stands"),
        ({"status": "failed", "exit_code": 5}, "Wait until the bench is free"),
        ({"status": "failed", "exit_code": 3}, "labonn bench check '/a b/mono.bench.toml'"),
        ({"status": "failed", "exit_code": 2}, "Nothing was touched"),
        ({"status": "done", "result": {"released": True}}, "Watch it for drift"),
        ({"status": "done", "protocol": "watch_drift", "result": {"due": True}}, "labonn recalibrate"),
        ({"status": "done", "protocol": "watch_drift", "result": {"due": False}}, "Nothing."),
        ({"status": "done", "protocol": "check_bench", "result": {"failed": ["laser"]}}, "Put right what failed"),
    ],
)
def test_what_is_next_follows_from_how_it_ended(facts, words):
    assert words in next_step(record(**facts))


def test_the_command_repeats_the_run_with_the_same_parameters():
    settings = {"shares": "0.5,1.0", "images": "40"}
    parameters = make_parameters(exposure_sweep.Parameters, settings)
    command = command_of(
        record(protocol="exposure_sweep", script="/x/protocols/exposure_sweep.py", parameters=parameters.model_dump())
    )
    words = shlex.split(command)
    assert words[:4] == ["labonn", "run", "exposure_sweep", "/a b/mono.bench.toml"]
    again = split_settings(words[5::2])
    assert make_parameters(exposure_sweep.Parameters, again) == parameters


def test_a_script_of_ones_own_is_named_by_its_path():
    assert "'/my scripts/try it.py'" in command_of(record(protocol="try-it", script="/my scripts/try it.py"))
