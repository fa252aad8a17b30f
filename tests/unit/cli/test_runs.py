"""`labonn runs`: what operators and programs are told of runs."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from labonn.cli import main
from labonn.cli.entry import _answer
from labonn.records import FrameFile, Run
from labonn.records.catalogue import FILE


@pytest.fixture
def lab(tmp_path):
    return tmp_path / "lab"


@pytest.fixture
def runs(lab):
    """Three runs: one done long ago, one refused, one that goes on."""
    done = Run.start(lab, "recalibrate", bench="mono", parameters={"captures": 32}, seed=3)
    with FrameFile(done.folder / "frames.h5") as frames:
        frames.extend("fit", frame=np.zeros((40, 50, 50), np.uint16), image=np.arange(40))
        frames.append("test", {"frame": np.zeros((5, 5), np.uint16)}, image=0)
    done.finish("done", exit_code=0, result={"accuracy": {"before": 92.5, "after": 98.8}, "release": "mono-r"})
    done.change(stop_utc=datetime.now(UTC) - timedelta(days=100), seconds={"total": 12.0})
    refused = Run.start(lab, "recalibrate", bench="poly")
    refused.finish("refused", exit_code=4, reason="worse by 2 points")
    return [done, refused, Run.start(lab, "evaluate", bench="mono")]


@pytest.fixture
def ask(lab):
    """Give what a command answers to programs; `--json` itself would take this process's stdout for good."""

    def ask(*words, code=0, lab=lab):
        answer = _answer(["runs", *map(str, words), "--lab", str(lab)])
        assert answer.exit_code == code, answer.error
        return json.loads(json.dumps({"error": answer.error, **answer.content}, allow_nan=False))

    return ask


def test_runs_are_listed_the_latest_first_and_filtered(runs, ask):
    answer = ask("list")
    assert answer["count"] == 3
    assert {line["id"] for line in answer["runs"]} == {run.id for run in runs}
    assert [line["id"] for line in answer["runs"]] == sorted((run.id for run in runs), reverse=True)
    day = f"{runs[0].record.start_utc:%Y-%m-%d}"
    assert ask("list", "--since", day)["count"] == 3
    assert ask("list", "--until", day)["count"] == 0
    assert ask("list", "--since", f"{day}T00:00+00:00", "--status", "refused")["count"] == 1
    assert [line["id"] for line in ask("list", "--bench", "mono", "--protocol", "recalibrate")["runs"]] == [runs[0].id]
    assert ask("list", "--release", "mono-r")["count"] == 1
    answer = ask("list", "--most", "1")
    assert (len(answer["runs"]), answer["count"]) == (1, 3)
    assert len(ask("list", "--most", "0")["runs"]) == 3


def test_people_see_a_table(runs, lab, capfd):
    assert main(["runs", "list", "--lab", str(lab), "--most", "2"]) == 0
    said = capfd.readouterr().out
    assert said.splitlines()[0].split() == ["run", "bench", "status", "seconds"]
    assert "2 of 3 runs" in said
    assert main(["runs", "list", "--lab", str(lab), "--status", "refused"]) == 0
    assert "worse by 2 points" in capfd.readouterr().out
    assert main(["runs", "list", "--lab", str(lab), "--bench", "none"]) == 0
    assert "no runs fit" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["list", "--since", "yesterday"], "--since yesterday: is no date"),
        (["list", "--status", "finished"], "--status finished: there is no such status"),
        (["prune"], "--older-than DAYS, --keep-gb GB, or both"),
        (["import", "nothing.zip"], "nothing.zip: there is no such file"),
    ],
)
def test_wrong_words_end_with_2(runs, ask, words, said):
    assert said in ask(*words, code=2)["error"]


def test_a_folder_without_runs_is_named(ask):
    for word in ("list", "rebuild"):
        assert "has no runs; name the laboratory's folder with --lab" in ask(word, code=2)["error"]


def test_a_run_is_shown_with_settings_figures_and_files(runs, lab, ask, capfd):
    answer = ask("show", runs[0].id)
    assert answer["run"]["parameters"] == {"captures": 32}
    assert answer["run"]["result"]["accuracy"]["after"] == 98.8
    assert answer["files"]["frames.h5"] == (runs[0].folder / "frames.h5").stat().st_size
    assert answer["captures"] == {"fit": "40, raw frames of all", "test": "1, raw frames of 1"}
    assert main(["runs", "show", runs[1].id, "--lab", str(lab)]) == 0
    said = capfd.readouterr().out
    assert "refused: worse by 2 points" in said
    assert "run.json" in said
    assert "has no run 'zzzzz'" in ask("show", "zzzzz", code=1)["error"]


def test_raw_frames_are_removed_after_a_look_at_whose(runs, ask):
    before = (runs[0].folder / "frames.h5").stat().st_size
    answer = ask("prune", "--older-than", 30, "--dry-run")
    assert [line["run"] for line in answer["runs"]] == [runs[0].id]
    assert (runs[0].folder / "frames.h5").stat().st_size == before
    answer = ask("prune", "--older-than", 30)
    assert answer["bytes"] == before - (runs[0].folder / "frames.h5").stat().st_size > 0
    assert ask("prune", "--keep-gb", 0)["runs"] == []


def test_a_run_goes_to_another_laboratory(runs, ask, tmp_path):
    file = tmp_path / "run.zip"
    assert ask("export", runs[0].id, file)["bytes"] == file.stat().st_size
    other = tmp_path / "other"
    assert ask("import", file, lab=other)["run"] == runs[0].id
    assert ask("list", lab=other)["count"] == 1
    assert "goes on" in ask("export", runs[2].id, tmp_path / "x.zip", code=1)["error"]


def test_a_damaged_catalogue_is_said_with_the_command_that_makes_it_again(runs, lab, ask):
    (lab / FILE).write_bytes(b"\x00" * 9000)
    assert "`labonn runs rebuild`" in ask("list", code=1)["error"]
    assert ask("rebuild")["runs"] == 3
    assert ask("list")["count"] == 3


def test_listing_waits_for_nothing_heavy():
    loaded = "import sys, labonn.cli.listing; print(*(m for m in ('numpy', 'pydantic', 'h5py') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
