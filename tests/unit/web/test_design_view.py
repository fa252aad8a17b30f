"""What the view of the design reads: the model and its training's report, and the PSFs that were measured."""

import numpy as np
import pytest

from labonn.design import design_hash, load_design
from labonn.errors import ConfigError, RecordError
from labonn.records import estimate_report, keep_calibration, keep_estimate, save_model
from labonn.web.app import make_desk
from labonn.web.design_view import _estimate, _foretold, _measured, _or_why_not, _shown
from labonn.web.shell import Visit
from labonn.web.users import Access, Person

PNG = "data:image/png;base64,"


@pytest.fixture(scope="module")
def access():
    return Access()  # hashes a password


@pytest.fixture
def desk(tmp_path, access):
    return make_desk(tmp_path / "lab", [], access)


def model_of(desk, design, report=None, **more):
    taps = np.random.default_rng(0).uniform(size=(2 * design.optic.kernels, 7, 7)).astype(np.float32)
    description = {"design": design.model_dump(mode="json", by_alias=True), "accuracy": {"simulated": 97.5}, **more}
    files = {} if report is None else {"report.html": report}
    weights = {"student": {"frontend.free_taps": taps}}
    return save_model(desk.place.lab, design=design.name, weights=weights, description=description, files=files)


def test_a_model_on_a_bench_leads_to_the_report_of_its_training(desk):
    design = load_design("digits-mono")
    trained = model_of(desk, design, b"<html>how it went</html>")
    deployed = model_of(desk, design, trained_as={"model": trained})
    shown = _shown(desk.place.lab, deployed)
    assert (shown.model, shown.training, shown.accuracy) == (deployed, trained, {"simulated": 97.5})
    assert shown.layout.startswith(PNG)
    assert shown.kernels.startswith(PNG)
    assert _shown(desk.place.lab, trained).training == trained
    assert _shown(desk.place.lab, model_of(desk, design)).training is None
    assert (desk.model_folder(trained) / "report.html").is_file()


@pytest.mark.parametrize("name", ["..", "../runs", "no-such", "x" * 300])
def test_no_other_folder_is_a_model_s(desk, name):
    with pytest.raises(ConfigError, match="there is no model"):
        desk.model_folder(name)


@pytest.mark.parametrize("shape", [(4, 9, 9), (4, 3, 9, 9)])
def test_the_psfs_are_those_that_the_latest_characterisation_measured(desk, shape):
    visit = Visit(desk, desk.sessions.begin(Person("vera", "viewer")), "mono")
    assert _measured(visit) is None
    psf = np.random.default_rng(0).uniform(size=shape).astype(np.float32)
    values = {"pixel_um": 3.45}
    kept = keep_calibration(
        desk.place.lab, bench="mono", kind="psf", run="r", made_with={}, values=values, arrays={"psf": psf}
    )
    found = _measured(visit)
    assert found.made_utc == kept.made_utc
    assert found.picture.startswith(PNG)


def test_an_estimate_is_shown_of_the_very_design_that_it_was_made_of(desk):
    lab, design = desk.place.lab, load_design("digits-mono")
    assert _estimate(lab, design) is None
    said = {"accuracy": 96.25, "low": 93.0, "high": 98.0, "confidence": 0.9, "earlier_designs": 3}
    file = keep_estimate(lab, design.name, design_hash(design), **said)
    assert _foretold(_estimate(lab, design)) == "96.2 %, 93.0 to 98.0 % at 90%, corrected by 3 earlier designs"
    other = design.model_copy(update={"backend": design.backend.model_copy(update={"hidden": 9})})
    assert _estimate(lab, other) is None
    file.write_text("{", encoding="utf-8")
    with pytest.raises(RecordError, match="estimate the design again"):
        _estimate(lab, design)
    assert "estimate the design again" in str(_or_why_not(lambda: _estimate(lab, design)))


def test_no_other_file_is_an_estimate_s(desk):
    report = estimate_report(desk.place.lab, "digits-mono")
    report.parent.mkdir(parents=True)
    report.write_text("<html>", encoding="utf-8")
    assert desk.estimate_report("digits-mono") == report.resolve()
    for name in ("..", "../designs/digits-mono", "another", "x" * 300):
        with pytest.raises(ConfigError, match="no estimate of a design"):
            desk.estimate_report(name)
