"""However a protocol ends, its run is closed with status and reason, and the bench is dark."""

import json
import warnings

import numpy as np
import pytest

from labonn import errors
from labonn.protocol import plan_protocol, run_protocol
from labonn.protocol.write_report import write_report
from labonn.records import frame_counts, read_frames, read_run

from .conftest import BENCH

USE_THE_BENCH = "lab.bench.settings()\n"


@pytest.fixture
def carry_out(tmp_path, write_script):
    def carry_out(body, settings=None, *, bench_path=BENCH, **options):
        return run_protocol(write_script(body), bench_path, tmp_path / "lab", settings, quiet=True, **options)

    return carry_out


def test_a_run_that_ends_well_is_recorded_whole(carry_out, bench):
    outcome = carry_out(
        """
        import numpy as np
        from matplotlib.figure import Figure

        with lab.step("calibrating"):
            lab.bench
        with lab.step("capturing", total=parameters.captures) as step:
            for number in range(parameters.captures):
                lab.record("fit", frame=np.full((4, 4), number, np.uint16), image=number)
                step.advance()
        lab.record_all("maps", tiles=np.zeros((3, 2, 5, 5), np.float32))
        lab.note("residual", np.float32(0.25))
        lab.table("Methods", [{"method": "none", "%": 80.0}])
        figure = Figure()
        figure.subplots().plot([1, 2])
        lab.figure("A <line>", figure, "going up")
        return Result(accuracy={"before": np.float64(80)}, seconds={"fit": 1.5})
        """,
        {"captures": "20"},
        world_seed=5,
    )
    assert (outcome.status, outcome.exit_code, outcome.error) == ("done", 0, None)
    assert bench.events == [("opened", "mono.bench.toml", 5), "dark"]
    record = read_run(outcome.run_folder)
    assert (record.status, record.exit_code, record.bench, record.seed) == ("done", 0, "mono", 3)
    assert record.parameters == {"captures": 20, "seed": 3}
    assert record.instruments == {"camera": {"exposure_ms": 12.5}}
    assert record.notes == {"residual": 0.25}
    assert record.result == outcome.result == {"accuracy": {"before": 80.0}, "seconds": {"fit": 1.5}}
    assert set(record.seconds) == {"calibrating", "capturing", "total"}
    frames = outcome.run_folder / "frames.h5"
    assert frame_counts(frames) == {"fit": 20, "maps": 3}
    np.testing.assert_array_equal(read_frames(frames, "fit")["image"], range(20))
    page = outcome.report.read_text(encoding="utf-8")
    for words in ("A &lt;line&gt;", "going up", "data:image/png", "residual", "80", "capturing"):
        assert words in page
    answer = outcome.as_json()
    assert answer["ok"] is True
    assert answer["seconds"]["fit"] == 1.5
    assert answer["seconds"]["total"] > 0
    assert (answer["run"], answer["report"]) == (outcome.run_folder.name, str(outcome.report))
    json.dumps(answer, allow_nan=False)


@pytest.mark.parametrize(
    ("ending", "status", "exit_code", "reason"),
    [
        ("raise errors.InstrumentError('the camera did not answer')", "failed", 3, "the camera did not answer"),
        ("raise errors.StaleFrameError('old')", "failed", 3, "old"),
        ("raise errors.BenchInUse('by 12')", "failed", 5, "by 12"),
        ("raise errors.CalibrationError('no light')", "failed", 1, "no light"),
        ("raise errors.ConfigError('design.toml: taps')", "failed", 2, "design.toml: taps"),
        ("raise errors.ReleaseRefused('no better')", "refused", 4, "no better"),
        ("raise errors.Aborted('by the page')", "aborted", 130, "by the page"),
        ("raise KeyboardInterrupt", "aborted", 130, "Ctrl-C"),
        (
            "lab.released = 'r-1'; raise KeyboardInterrupt",
            "aborted",
            130,
            "release r-1 was made before that",
        ),
        ("raise SystemExit(0)", "failed", 1, "SystemExit"),
        ("return Result(status='refused', reason='worse by 2 points')", "refused", 4, "worse by 2 points"),
        ("return [1, 2]", "failed", 1, "run() returned list"),
        ("return Result(status='finished')", "failed", 1, "'refused' or 'failed' is expected"),
        ("return Result(status='failed', reason='too dim')", "failed", 1, "too dim"),
        ("return Result(status='failed', reason='no answer', exit_code=3)", "failed", 3, "no answer"),
        ("return Result(status='failed', exit_code=0)", "failed", 1, "ends with 1 or 3"),
    ],
)
def test_every_ending_has_its_status_its_exit_code_and_its_reason(carry_out, bench, ending, status, exit_code, reason):
    outcome = carry_out(USE_THE_BENCH + ending)
    record = read_run(outcome.run_folder)
    assert (outcome.status, outcome.exit_code) == (record.status, record.exit_code) == (status, exit_code)
    assert reason in outcome.error
    assert record.reason == outcome.error
    assert record.stop_utc is not None
    assert bench.events[-1] == "dark"
    assert reason in outcome.report.read_text().replace("&#x27;", "'")
    assert outcome.as_json()["ok"] is False


def test_a_refused_run_keeps_its_figures(carry_out, bench):
    outcome = carry_out("return Result(status='refused', reason='r', released=False, accuracy={'after': 70.0})")
    answer = outcome.as_json()
    assert (answer["released"], answer["accuracy"], answer["status"]) == (False, {"after": 70.0}, "refused")
    assert read_run(outcome.run_folder).result["accuracy"] == {"after": 70.0}


def test_a_fault_of_the_script_is_named_by_its_line_and_traced_only_in_the_log(carry_out, bench, capfd):
    outcome = carry_out("lab.bench\n\n\nint('x' * 3)")
    line = 1 + (outcome.run_folder.parents[2] / "try_it.py").read_text().splitlines().index("    int('x' * 3)")
    assert outcome.exit_code == 1
    assert f"try_it.py, line {line}: ValueError: invalid literal" in outcome.error
    assert "Traceback" in (outcome.run_folder / "log.jsonl").read_text()
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    assert bench.events[-1] == "dark"


def test_frames_taken_before_a_fault_are_kept(carry_out, bench):
    outcome = carry_out("lab.bench\nlab.record('fit', image=1)\nlab.record('fit', image=2)\n1 / 0")
    np.testing.assert_array_equal(read_frames(outcome.run_folder / "frames.h5", "fit")["image"], [1, 2])


def test_a_bench_that_is_not_needed_is_not_opened(carry_out, bench):
    assert carry_out("return {'x': lab.bench_config.name}").result == {"x": "mono"}
    assert bench.events == []


def test_a_bench_that_does_not_go_dark_fails_a_run_that_was_well(carry_out, bench):
    bench.fails_to_go_dark = errors.InstrumentError("the shutter is stuck, LOOK AT IT")
    outcome = carry_out(USE_THE_BENCH)
    assert (outcome.status, outcome.exit_code) == ("failed", 3)
    assert "LOOK AT IT" in outcome.error


def test_a_bench_that_does_not_go_dark_is_told_beside_what_failed_first(carry_out, bench):
    bench.fails_to_go_dark = errors.InstrumentError("the shutter is stuck, LOOK AT IT")
    outcome = carry_out(USE_THE_BENCH + "raise errors.CalibrationError('no light')")
    assert outcome.exit_code == 1
    assert outcome.error.startswith("no light")
    assert "LOOK AT IT" in outcome.error


def test_what_explains_an_error_further_is_part_of_the_reason(carry_out, bench):
    outcome = carry_out("error = errors.InstrumentError('camera')\nerror.add_note('shutter stuck, too')\nraise error")
    assert outcome.error == "camera\nshutter stuck, too"


def test_a_request_to_stop_takes_effect_at_the_next_checkpoint(carry_out, bench):
    outcome = carry_out(
        """
        lab.bench
        with lab.step("capturing", total=100) as step:
            for number in range(100):
                if number == 7:
                    lab.stop("asked by the page")
                lab.record("fit", image=number)
                step.advance()
        """
    )
    assert (outcome.status, outcome.exit_code, outcome.error) == ("aborted", 130, "asked by the page")
    assert frame_counts(outcome.run_folder / "frames.h5") == {"fit": 8}
    assert bench.events[-1] == "dark"


def test_an_interrupt_that_python_drops_still_stops_the_run(carry_out, bench):
    outcome = carry_out(
        """
        class Late:
            def __del__(self):
                raise KeyboardInterrupt("asked to stop by SIGINT")

        late = Late()
        del late
        lab.checkpoint()
        """
    )
    assert (outcome.status, outcome.error) == ("aborted", "asked to stop by SIGINT")


def test_a_picture_that_cannot_be_drawn_does_not_end_the_run(carry_out, bench):
    outcome = carry_out("lab.figure('broken', object())\nreturn {'n': 1}")
    assert (outcome.status, outcome.result) == ("done", {"n": 1})
    assert "'broken' could not be drawn" in (outcome.run_folder / "log.jsonl").read_text()
    assert read_run(outcome.run_folder).figures == []


def test_a_report_that_cannot_be_written_does_not_change_how_the_run_ended(carry_out, bench, monkeypatch):
    def refuse(folder):
        raise OSError("disk full")

    monkeypatch.setattr("labonn.protocol.runtime.write_report", refuse)
    outcome = carry_out("return {'n': 1}")
    assert (outcome.status, outcome.report) == ("done", None)
    assert outcome.as_json()["report"] is None


def test_a_report_can_be_made_again_from_the_folder(carry_out, bench):
    outcome = carry_out("lab.note('gain', 2.5)")
    before = outcome.report.read_bytes()
    outcome.report.unlink()
    assert write_report(outcome.run_folder).read_bytes() == before


def test_a_picture_that_is_gone_is_said_so_in_the_report(carry_out, bench):
    outcome = carry_out("from matplotlib.figure import Figure\nlab.figure('layout', Figure())")
    (outcome.run_folder / "figures" / "layout.png").unlink()
    assert "layout.png) is missing" in write_report(outcome.run_folder).read_text()


def test_wrong_settings_and_scripts_leave_no_run(tmp_path, carry_out, bench):
    with pytest.raises(errors.ConfigError, match="did you mean 'captures'"):
        carry_out("return {}", {"capture": "3"})
    with pytest.raises(errors.ConfigError, match="no protocol"):
        run_protocol("nothing", BENCH, tmp_path / "lab")
    assert not (tmp_path / "lab").exists()


def test_a_wrong_bench_file_is_a_recorded_failure_with_exit_code_2(tmp_path, carry_out, bench):
    outcome = carry_out(USE_THE_BENCH, bench_path=tmp_path / "missing.bench.toml")
    assert (outcome.status, outcome.exit_code) == ("failed", 2)
    assert "missing.bench.toml" in outcome.error
    assert bench.events == []
    assert read_run(outcome.run_folder).status == "failed"


def test_a_plan_checks_everything_and_touches_nothing(tmp_path, write_script, bench):
    plan = plan_protocol(write_script("1 / 0"), BENCH, {"captures": "5"})
    assert plan.parameters.captures == 5
    assert (plan.script.name, plan.bench_config.name) == ("try_it", "mono")
    with pytest.raises(errors.ConfigError, match=r"missing\.toml"):
        plan_protocol(write_script("1 / 0"), tmp_path / "missing.toml")
    assert bench.events == []


def test_warnings_of_the_script_end_in_the_log(carry_out, bench, monkeypatch, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        outcome = carry_out("import warnings\nwarnings.warn('the lamp is old')")
    assert "the lamp is old" in (outcome.run_folder / "log.jsonl").read_text()
    assert "the lamp is old" not in capfd.readouterr().err


def test_a_bench_file_that_is_edited_before_the_bench_is_opened_ends_the_run(tmp_path, carry_out, bench):
    file = tmp_path / "mine.bench.toml"
    file.write_bytes(BENCH.read_bytes())
    edit = "lab.bench_path.write_text(lab.bench_path.read_text() + '# edited')\n"
    outcome = carry_out(edit + "lab.bench", bench_path=file)
    assert (outcome.status, outcome.exit_code) == ("failed", 2)
    assert "mine.bench.toml: was edited since the run began" in outcome.error
    assert bench.events == []


def test_a_bench_file_that_is_edited_later_is_noted_and_changes_nothing(tmp_path, carry_out, bench):
    file = tmp_path / "mine.bench.toml"
    file.write_bytes(BENCH.read_bytes())
    outcome = carry_out("lab.bench\nlab.bench_path.unlink()\nreturn {'n': 1}", bench_path=file)
    assert (outcome.status, outcome.result) == ("done", {"n": 1})
    assert "was edited during the run" in read_run(outcome.run_folder).notes["bench file"]
    assert "bench file" not in read_run(carry_out("lab.bench").run_folder).notes


def test_a_catalogue_of_a_newer_labonn_does_not_stop_a_run(tmp_path, carry_out, bench, caplog):
    import sqlite3

    carry_out("return {}")
    with sqlite3.connect(tmp_path / "lab" / "catalogue.sqlite") as catalogue:
        catalogue.execute("PRAGMA user_version = 99")
    catalogue.close()
    outcome = carry_out("return {'n': 1}")
    assert (outcome.status, read_run(outcome.run_folder).result) == ("done", {"n": 1})
    assert "newer labonn (schema 99" in caplog.text
