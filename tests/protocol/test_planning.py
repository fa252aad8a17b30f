"""How long a run may take: said from earlier ones that came to their end, without touching anything."""

import pytest

from labonn.cli.running import plan_command
from labonn.errors import ConfigError
from labonn.protocol import plan_protocol, shipped_protocols
from labonn.protocol.script import load_script
from labonn.records import Run

from .conftest import BENCH


def took(lab, seconds, status="done", captures=8, bench="mono", **steps):
    run = Run.start(lab, "try_it", bench=bench, parameters={"captures": captures, "seed": 3})
    run.change(seconds={**steps, "total": seconds})
    run.finish(status, exit_code=0)


def test_the_time_is_the_median_of_runs_with_the_same_parameters(tmp_path, write_script, bench):
    lab = tmp_path / "lab"
    for seconds in (10.0, 30.0, 20.0):
        took(lab, seconds, capturing=seconds - 1)
    took(lab, 500.0, captures=9)
    took(lab, 1.0, status="failed")
    took(lab, 1.0, bench="other")
    found = plan_protocol(write_script("1 / 0"), BENCH, {}, lab).estimate
    assert (found.seconds, found.shortest_s, found.longest_s, found.runs, found.same_parameters) == (
        20,
        10,
        30,
        3,
        True,
    )
    assert bench.events == []
    other = plan_protocol(write_script("1 / 0"), BENCH, {"captures": "50"}, lab).estimate
    assert (other.runs, other.same_parameters) == (4, False)


def test_pauses_do_not_count_and_refusals_do(tmp_path, write_script, bench):
    took(tmp_path / "lab", 100.0, status="refused", paused=60.0, capturing=5.0)
    found = plan_protocol(write_script("1 / 0"), BENCH, {}, tmp_path / "lab").estimate
    assert found.seconds == 40
    assert found.steps == {"capturing": 5.0}


def test_where_nothing_is_known_that_is_said_and_nothing_is_made(tmp_path, write_script, bench):
    answer = plan_command(str(write_script("1 / 0")), BENCH, tmp_path / "lab", ["captures=5"])
    assert answer.content["estimate"] is None
    assert answer.content["parameters"]["captures"] == 5
    assert answer.content["release"] is None
    assert not (tmp_path / "lab").exists()
    plan = plan_protocol(write_script("1 / 0"), BENCH, {}, tmp_path / "lab")
    assert "no run of try_it on mono" in plan.remark


def test_a_catalogue_of_a_newer_labonn_costs_the_estimate_only(tmp_path, write_script, bench):
    import sqlite3

    took(tmp_path / "lab", 10.0)
    with sqlite3.connect(tmp_path / "lab" / "catalogue.sqlite") as catalogue:
        catalogue.execute("PRAGMA user_version = 99")
    catalogue.close()
    plan = plan_protocol(write_script("1 / 0"), BENCH, {}, tmp_path / "lab")
    assert plan.estimate is None
    assert "newer labonn (schema 99" in plan.remark


def test_a_wrong_table_of_an_instrument_is_found_without_opening_it(tmp_path, write_script, bench):
    file = tmp_path / "my.bench.toml"
    file.write_text(BENCH.read_text().replace("bit_depth = 12", "bit_depht = 12"))
    with pytest.raises(ConfigError, match=r"my\.bench\.toml: instruments\.camera: bit_depht: no such key"):
        plan_protocol(write_script("1 / 0"), file)
    assert bench.events == []


@pytest.mark.parametrize(
    ("protocol", "setting", "words"),
    [
        ("recalibrate", {"methods": "twin+magic"}, "no compensation method 'twin\\+magic'"),
        ("compare_methods", {"methods": "e3e"}, "no compensation method 'e3e'"),
        ("train_and_deploy", {"design": "no-such"}, "no design 'no-such'"),
        ("characterise", {"only": "dark,light"}, "'light' is no calibration"),
        ("exposure_sweep", {"shares": "1,-2"}, "shares.1 = '-2'"),
        ("watch_drift", {"false_alarms": "1"}, "false_alarms = '1'"),
        ("evaluate", {"test_images": "0"}, "test_images"),
        ("new_protocol", {"brightness": "2"}, "brightness = '2'"),
    ],
)
def test_what_a_shipped_protocol_cannot_take_is_refused_beforehand(protocol, setting, words):
    with pytest.raises(ConfigError, match=words):
        plan_protocol(protocol, BENCH, setting)


def test_shipped_protocols_are_short_and_say_what_they_do():
    shipped = shipped_protocols()
    assert shipped.keys() >= {
        "check_bench", "characterise", "train_and_deploy", "recalibrate", "watch_drift", "evaluate", "compare_methods",
        "exposure_sweep", "new_protocol",
    }  # fmt: skip
    for name, file in shipped.items():
        assert len(file.read_text(encoding="utf-8").splitlines()) < 100, name
        script = load_script(file)
        assert len(script.purpose) > 30, name
        assert all(field.description for field in script.parameters.model_fields.values()), name
