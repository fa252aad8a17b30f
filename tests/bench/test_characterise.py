"""`labonn run characterise`: calibrations in the one right order, kept, and true."""

from pathlib import Path

import numpy as np
import pytest

from labonn.errors import ConfigError
from labonn.protocol import Outcome, run_protocol
from labonn.records import calibration_history, current_calibrations

from .conftest import Simulated

pytestmark = pytest.mark.slow

FIRST = "exposure,dark,flat,geometry,tile-gain,settling,photon-transfer"


def characterise(world: Simulated, lab: Path, only: str) -> Outcome:
    return run_protocol("characterise", world.file, lab, {"only": only}, quiet=True)


@pytest.fixture(scope="module")
def lab(world: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    outcome = characterise(world, folder, FIRST)
    assert (outcome.error, outcome.exit_code) == (None, 0)
    assert outcome.report is not None
    return folder


def test_what_is_found_is_what_is_so(world: Simulated, lab: Path) -> None:
    truth = world.truth()
    found = current_calibrations(lab, truth["bench"])
    sensor, effects = truth["sensor"], truth["effects"]
    transfer = found["photon-transfer"].values
    # A binned pixel is the mean of b x b: a count of it is worth b^2 times the electrons, with b times the noise.
    binning = found["photon-transfer"].made_for["binning"]
    assert transfer["gain_e_per_dn"] == pytest.approx(binning**2 * sensor["gain_e_per_dn"], rel=0.02)
    assert transfer["read_noise_e"] == pytest.approx(binning * effects["read_noise"]["rms_e"], rel=0.03)
    assert found["dark"].values["level_counts"] == pytest.approx(sensor["black_dn"], rel=0.03)
    settling = effects["settling"]
    settled_ms = settling["latency_ms"] + settling["display_tau_ms"] * np.log(100)
    assert found["settling"].values["settled_ms"] == pytest.approx(settled_ms, abs=2)
    centres = found["geometry"].arrays()["affine"][:, :, 2]
    # The axis of a lenslet with aberrations cannot be seen; where its image lands differs from it.
    real = (np.array(truth["geometry"]["tile_centres_px"]) - (binning - 1) / 2) / binning
    assert np.median(np.abs(centres - real)) < 0.6 / binning
    assert found["geometry"].fit_error is not None
    assert found["geometry"].fit_error < 0.1
    assert found["tile-gain"].made_with.keys() == {"exposure", "dark", "geometry"}
    assert truth["dark"]


def test_a_check_of_the_bench_names_what_drifted_since(world: Simulated, lab: Path) -> None:
    now_s = world.truth()["now_s"]
    knock = {"effects__knock__on": True, "effects__knock__at_s": now_s, "effects__knock__shift_px": [1.0, 0.0]}
    with world.changed(**knock, camera__black_dn=64.0):
        outcome = run_protocol("check_bench", world.file, lab, {"delays": "24", "frames": "4"}, quiet=True)
    assert (outcome.error, outcome.exit_code) == (None, 0)
    rows = {row["name"]: row for row in outcome.result["calibrations"]}
    drifted = {name for name, row in rows.items() if row["state"] == "drifted"}
    assert drifted == {"picture: how far it moved", "dark level"}
    moved = rows["picture: how far it moved"]
    binning = current_calibrations(lab, world.truth()["bench"])["geometry"].made_for["binning"]
    assert moved["measured"] * binning == pytest.approx(1.0, abs=0.15)
    assert "labonn run characterise" in moved["remark"]
    assert rows["dark level"]["measured"] == pytest.approx(4.0, abs=0.2)
    assert {name for name, row in rows.items() if row["state"] == "ok"} >= {
        "settle time",
        "conversion gain",
        "tile gain: the most that changed",
        "PSF: width of a disc",
        "age: geometry",
    }


def test_one_that_lacks_what_it_needs_is_refused_with_the_command_that_makes_it(
    world: Simulated, tmp_path: Path
) -> None:
    outcome = characterise(world, tmp_path, "geometry")
    assert outcome.exit_code == 1
    assert outcome.error is not None
    assert "'exposure' (exposure and signal) is missing; renew it: labonn run characterise" in outcome.error
    assert calibration_history(tmp_path, world.truth()["bench"]) == []


def test_one_that_was_made_with_an_older_one_is_refused_and_what_was_kept_stays(world: Simulated, lab: Path) -> None:
    name = world.truth()["bench"]
    before = current_calibrations(lab, name)
    assert characterise(world, lab, "dark").exit_code == 0
    refused = characterise(world, lab, "tile-gain")
    assert refused.exit_code == 1
    assert refused.error is not None
    assert "'geometry' (display-to-camera geometry) is out of order: it was made with 'dark'" in refused.error
    after = current_calibrations(lab, name)
    assert after["dark"].id != before["dark"].id
    assert after["tile-gain"].id == before["tile-gain"].id
    assert len(calibration_history(lab, name, "dark")) == 2


def test_one_that_fails_is_kept_as_failed_and_the_one_before_stays(world: Simulated, lab: Path) -> None:
    name = world.truth()["bench"]
    before = current_calibrations(lab, name)["settling"].id
    with world.changed(effects__settling__display_tau_ms=400.0):
        outcome = characterise(world, lab, "settling")
    assert outcome.exit_code == 1
    assert "it has not settled" in str(outcome.error)
    assert current_calibrations(lab, name)["settling"].id == before
    assert [one.good for one in calibration_history(lab, name, "settling")] == [True, False]
    assert world.truth()["dark"]


def test_a_calibration_that_there_is_not_is_named(world: Simulated, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'focus' is no calibration; there are: exposure, dark, colour"):
        characterise(world, tmp_path, "dark,focus")
    assert not (tmp_path / "runs").exists(), "it is refused before there is a run"
