"""`labonn bench check`: what it measures is what is so, what is wrong is named, and a failure spares the rest."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labonn.instruments import read_bench
from labonn.protocol import Outcome, run_protocol
from labonn.records import last_good_check, read_run

from .conftest import Simulated

pytestmark = pytest.mark.slow

QUICK = {"delays": "24", "frames": "4"}


def check(file: Path, lab: Path, **settings: str) -> Outcome:
    return run_protocol("check_bench", file, lab, QUICK | settings, quiet=True)


def rows(outcome: Outcome) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in (*outcome.result["instruments"], *outcome.result["checks"])}


@pytest.fixture(scope="module")
def first(world: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Check the simulated bench, sound as it is, in a laboratory of its own."""
    return check(world.file, tmp_path_factory.mktemp("lab"))


@pytest.fixture
def lab(first: Outcome) -> Path:
    """Give a laboratory with a good check."""
    assert (first.error, first.exit_code, first.result["good"]) == (None, 0, True)
    return first.run_folder.parents[1]


def test_what_is_measured_is_what_is_so(world: Simulated, first: Outcome) -> None:
    truth = world.truth()
    measured = {name: row["measured"] for name, row in rows(first).items()}
    sensor, effects = truth["sensor"], truth["effects"]
    assert {row["state"] for row in rows(first).values()} == {"ok"}
    binned = 2  # the camera cuts the mean of four pixels to a whole number
    assert measured["dark level"] == pytest.approx(sensor["black_dn"] - (1 - 1 / binned**2) / 2, abs=0.1)
    read_noise = np.hypot(effects["read_noise"]["rms_e"] / sensor["gain_e_per_dn"] / binned, np.sqrt(1 / 12))
    assert measured["read noise"] == pytest.approx(read_noise, rel=0.05)
    settling = effects["settling"]
    assert measured["display-to-camera latency"] == pytest.approx(settling["latency_ms"], abs=0.2)
    settled_ms = settling["latency_ms"] + settling["display_tau_ms"] * np.log(100)
    assert measured["display settles to 99 %"] == pytest.approx(settled_ms, abs=0.6)
    assert measured["frame rate, one by one"] == pytest.approx(1e3 / (20.0 + sensor["readout_ms"]), rel=0.01)
    assert measured["meter, shutter open"] == pytest.approx(15.0, rel=0.01)
    assert measured["meter, shutter closed"] == pytest.approx(0.0, abs=0.005)
    assert measured["temperature"] == pytest.approx(truth["celsius"], abs=0.05)
    for half in ("meter at half power", "camera at half power"):
        assert measured[half] == pytest.approx(0.5, abs=0.01)
    assert "OBIS" in measured["light 'laser'"]
    assert truth["dark"]
    assert not truth["light_on"]


def test_the_report_has_the_table_and_the_pictures(first: Outcome) -> None:
    record = read_run(first.run_folder)
    assert {figure.name for figure in record.figures} == {"dark frame", "light", "display"}
    assert record.optic is not None
    assert first.report is not None
    page = first.report.read_text(encoding="utf-8")
    assert page.count('<td class="state good">') == len(rows(first))
    assert page.count("data:image/png") == 3


def test_what_moved_since_the_last_good_check_has_drifted_until_it_is_accepted(lab: Path, world: Simulated) -> None:
    name = read_bench(world.file).name
    before = last_good_check(lab, name)
    assert before is not None
    with world.changed(camera__black_dn=85.0):
        drifted = check(world.file, lab)
        assert last_good_check(lab, name) == before
        accepted = check(world.file, lab, accept_drift="true")
    row = rows(drifted)["dark level"]
    assert (drifted.exit_code, drifted.result["drifted"], drifted.result["failed"]) == (0, ["dark level"], [])
    assert (row["state"], row["last_good"]) == ("drifted", before.values["dark level"])
    assert row["measured"] == pytest.approx(85.0 - 0.375, abs=0.1)
    assert "black level" in row["remark"]
    assert accepted.result["good"] is True
    after = last_good_check(lab, name)
    assert after is not None
    assert after.values["dark level"] == pytest.approx(85.0 - 0.375, abs=0.1)


def test_a_display_slower_than_the_bench_file_says_fails_and_what_to_write_is_said(
    world: Simulated, tmp_path: Path
) -> None:
    with world.changed(effects__settling__display_tau_ms=4.5):
        outcome = check(world.file, tmp_path)
    row = rows(outcome)["display settles to 99 %"]
    assert (outcome.exit_code, outcome.status, outcome.result["failed"]) == (1, "failed", ["display settles to 99 %"])
    assert row["measured"] == pytest.approx(4 + 4.5 * np.log(100), abs=1.0)
    assert "settle_ms = 2" in row["remark"]
    assert not (tmp_path / "checks").exists()
    assert read_run(outcome.run_folder).result is not None
    assert "display settles to 99 %" in (outcome.error or "")


def test_a_shutter_that_does_not_open_fails_as_an_instrument_and_the_rest_is_checked(
    world: Simulated, tmp_path: Path
) -> None:
    with world.changed(shutter__stuck=True):
        outcome = check(world.file, tmp_path)
    found = rows(outcome)
    assert (outcome.exit_code, outcome.status) == (3, "failed")
    assert found["light and shutter"]["state"] == "failed"
    assert "shutter" in found["light and shutter"]["remark"]
    assert {found[name]["state"] for name in ("dark level", "read noise", "temperature", "camera")} == {"ok"}
    assert found["display"]["state"] == found["frame rate"]["state"] == "skipped"
    assert world.truth()["dark"]


def test_a_laser_that_is_not_armed_is_not_turned_on(world: Simulated, tmp_path: Path) -> None:
    content = world.file.read_text(encoding="utf-8")
    unarmed = content.replace("max_power_mw", "# max_power_mw").replace("\npower_mw", "\n# power_mw")
    file = world.file.with_name("unarmed.bench.toml")
    file.write_text(unarmed, encoding="utf-8")
    before_s = world.truth()["time_lit_s"]
    outcome = check(file, tmp_path)
    found = rows(outcome)
    assert (outcome.exit_code, found["light"]["state"]) == (0, "skipped")
    assert "max_power_mw" in found["light"]["remark"]
    assert found["dark level"]["state"] == "ok"
    assert world.truth()["time_lit_s"] == before_s
