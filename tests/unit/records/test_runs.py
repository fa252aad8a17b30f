"""The record of a run, and its log."""

import json
import logging
import re

import numpy as np
import pytest

from labonn.errors import RecordError
from labonn.records import Run, find_run, logging_to, read_run


def test_a_run_is_a_folder_with_a_record_from_its_first_moment(tmp_path):
    run = Run.start(tmp_path, "recalibrate", parameters={"captures": 32}, seed=7)
    assert re.fullmatch(r"\d{8}T\d{6}Z-recalibrate-[a-z]{4}", run.folder.name)
    assert run.folder.parent == tmp_path / "runs"
    record = read_run(run.folder)
    assert record == run.record
    assert (record.status, record.seed, record.parameters) == ("running", 7, {"captures": 32})
    assert {"python", "labonn", "os"} <= set(record.versions)
    assert record.start_utc.utcoffset() is not None


def test_what_is_added_is_on_disk_at_once(tmp_path):
    run = Run.start(tmp_path, "p")
    run.note("gain", np.float64(2.5))
    run.note("gain", 3)
    run.add_table("Methods", [{"name": "none", "%": np.float32(80)}])
    run.add_figure("layout", run.folder / "figures" / "layout.png", "where they stand")
    record = read_run(run.folder)
    assert record.notes == {"gain": 3}
    assert record.tables[0].rows == [{"name": "none", "%": 80.0}]
    assert record.figures[0].file == "figures/layout.png"


def test_a_finished_run_says_how_it_ended(tmp_path):
    run = Run.start(tmp_path, "p")
    run.finish("refused", exit_code=4, reason="no better", result={"released": False, "loss": float("nan")})
    record = read_run(run.folder)
    assert (record.status, record.exit_code, record.reason) == ("refused", 4, "no better")
    assert record.result == {"released": False, "loss": None}
    assert record.stop_utc is not None
    assert record.stop_utc >= record.start_utc
    assert record.stop_monotonic_s is not None
    assert record.stop_monotonic_s >= record.start_monotonic_s


@pytest.mark.parametrize("content", ["", "{", '{"schema": 1}', '{"schema": 99}'])
def test_a_damaged_record_is_named(tmp_path, content):
    run = Run.start(tmp_path, "p")
    (run.folder / "run.json").write_text(content)
    with pytest.raises(RecordError, match=r"run\.json"):
        read_run(run.folder)


def test_a_folder_that_is_no_run_is_said_so(tmp_path):
    with pytest.raises(RecordError, match=r"is .* a run's folder"):
        read_run(tmp_path)


def test_a_run_is_found_by_name_by_part_and_by_path(tmp_path, monkeypatch):
    ids = iter(["20260101T000000Z-p-abcd", "20260102T000000Z-p-efgh"])
    monkeypatch.setattr("labonn.records.runs.new_id", lambda label, moment: next(ids))
    first, second = Run.start(tmp_path, "p"), Run.start(tmp_path, "p")
    assert find_run(tmp_path, first.id) == first.folder
    assert find_run(tmp_path, "efgh") == second.folder
    assert find_run(tmp_path, "20260101") == first.folder
    assert find_run(tmp_path / "elsewhere", str(second.folder)) == second.folder
    with pytest.raises(RecordError, match="fits 2 runs"):
        find_run(tmp_path, "2026")
    with pytest.raises(RecordError, match=r"no run 'zzzz'; the latest is 20260102T000000Z-p-efgh"):
        find_run(tmp_path, "zzzz")
    with pytest.raises(RecordError, match="no runs yet"):
        find_run(tmp_path / "elsewhere", "zzzz")


def test_a_lab_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "lab").write_text("a file, not a folder")
    with pytest.raises(RecordError, match="lab"):
        Run.start(tmp_path / "lab", "p")


def test_the_log_is_json_line_by_line_with_both_times(tmp_path):
    path = tmp_path / "log.jsonl"
    logger = logging.getLogger("labonn.somewhere")
    with logging_to(path):
        logger.info("gain is %.1f", 2.5, extra={"tile": np.int64(3)})
        logger.debug("too much")
        try:
            raise ValueError("oh\nno")
        except ValueError:
            logger.exception("it failed")
    logger.warning("after the run")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line["message"] for line in lines] == ["gain is 2.5", "it failed"]
    assert lines[0]["tile"] == 3
    assert lines[0]["level"] == "info"
    assert lines[0]["utc"].endswith("+00:00")
    assert lines[1]["monotonic_s"] >= lines[0]["monotonic_s"]
    assert "ValueError: oh\nno" in lines[1]["traceback"]


def test_a_record_of_before_it_said_which_process_still_reads(tmp_path):
    run = Run.start(tmp_path, "p")
    content = json.loads((run.folder / "run.json").read_text())
    for key in ("pid", "process_started", "host"):
        del content[key]
    (run.folder / "run.json").write_text(json.dumps(content))
    record = read_run(run.folder)
    assert (record.id, record.pid, record.host) == (run.id, None, None)


def test_a_record_of_a_newer_labonn_is_said_to_be_one(tmp_path):
    run = Run.start(tmp_path, "recalibrate")
    content = json.loads((run.folder / "run.json").read_text())
    (run.folder / "run.json").write_text(json.dumps({**content, "schema": 3, "colour": "red"}))
    with pytest.raises(RecordError, match=r"newer labonn \(schema 3; this one reads 2\)"):
        read_run(run.folder)


def test_a_record_of_the_first_schema_is_read_and_written_on_as_one_of_this(tmp_path):
    run = Run.start(tmp_path, "recalibrate")
    content = json.loads((run.folder / "run.json").read_text())
    first = {key: value for key, value in content.items() if key not in ("captured_with", "continues")}
    (run.folder / "run.json").write_text(json.dumps({**first, "schema": 1}))
    record = read_run(run.folder)
    assert (record.captured_with, record.continues) == (None, [])
    Run(run.folder, record).note("gain", 2)
    assert json.loads((run.folder / "run.json").read_text())["schema"] == 2
    assert read_run(run.folder).notes == {"gain": 2}


def test_the_operator_is_who_the_page_says_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("LABONN_OPERATOR", "anna")
    assert Run.start(tmp_path, "try_it").record.operator == "anna"
