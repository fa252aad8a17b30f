"""The demo's answer: what both runs say, in the object that programs rely on."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from labonn.cli import demo
from labonn.protocol import Outcome

TRAINING = Outcome(
    run_folder=Path("lab/runs/train"),
    status="done",
    exit_code=0,
    result={
        "model": "m",
        "release": "r0",
        "accuracy": {"teacher": 98.0, "simulated": 96.0, "deployed": 86.0},
        "psf_correlation": 0.99,
        "psf_efficiency": 0.3,
    },
    error=None,
    report=Path("lab/runs/train/report.html"),
    seconds={"training the teacher": 5.0, "total": 60.0},
)
RECALIBRATION = Outcome(
    run_folder=Path("lab/runs/recalibrate"),
    status="done",
    exit_code=0,
    result={
        "captures": 32,
        "validation_captures": 100,
        "accuracy": {"before": 85.0, "after": 97.0},
        "methods": {"none": 85.0, "e2e": 88.0, "twin+ntkd": 97.0},
        "evaluation": {"test_images": 400, "methods": {"none": 86.0, "e2e": 90.0, "twin+ntkd": 95.0}},
        "candidate": "twin+ntkd",
        "released": True,
        "release": "r1",
        "seconds": {"capture": 4.0, "fit": 9.0},
    },
    error=None,
    report=Path("lab/runs/recalibrate/report.html"),
    seconds={"total": 40.0},
)


def test_the_object_has_what_is_promised_over_the_whole_test_set():
    content = demo.merge(TRAINING, RECALIBRATION)
    assert content["accuracy"] == {"teacher": 98.0, "simulated": 96.0, "before": 86.0, "after": 95.0}
    assert content["methods"] == {"none": 86.0, "e2e": 90.0, "twin+ntkd": 95.0}
    assert content["seconds"] == {"capture": 4.0, "fit": 9.0, "total": 100.0}
    kept = {"ok": True, "run": "recalibrate", "status": "done", "captures": 32, "validation_captures": 100}
    kept |= {"released": True, "release": "r1", "test_images": 400}
    assert content | kept == content
    assert content["training"]["run"] == "train"


@pytest.fixture
def runs(monkeypatch):
    outcomes, calls = [TRAINING, RECALIBRATION], []

    def run_protocol(script, bench, lab, settings, **options):
        calls.append((script, bench.name, settings, options))
        return outcomes[len(calls) - 1]

    monkeypatch.setattr(demo, "run_protocol", run_protocol)
    return outcomes, calls


def test_the_demo_is_the_two_shipped_protocols(runs, tmp_path):
    answer = demo.run_demo(tmp_path, "mnist", 4)
    assert [(call[0], call[1]) for call in runs[1]] == [
        ("train_and_deploy", "mono.bench.toml"),
        ("recalibrate", "mono.bench.toml"),
    ]
    assert runs[1][0][2]["design"] == "mnist-mono"
    assert {call[3]["world_seed"] for call in runs[1]} == {4}
    console = Console(record=True, width=120, file=io.StringIO())
    answer.show(console)
    shown = console.export_text()
    assert "90 %" in shown  # (95 - 86) / (96 - 86)
    assert shown.splitlines()[-1] == f"report: {RECALIBRATION.report}"


def test_a_training_that_fails_ends_the_demo(runs, tmp_path):
    failed = Outcome(Path("lab/runs/train"), "failed", 3, {}, "no camera", None, {"total": 1.0})
    runs[0][0] = failed
    answer = demo.run_demo(tmp_path, "digits", 0)
    assert (answer.exit_code, answer.error, len(runs[1])) == (3, "no camera", 1)
    assert answer.content["status"] == "failed"


def test_the_shipped_bench_is_there():
    assert demo.shipped_bench("mono").is_file()
    with pytest.raises(demo.ConfigError, match="no simulated bench 'none'"):
        demo.shipped_bench("none")
