"""What `labonn train` made is taken as it is, or refused with the reason."""

from contextlib import contextmanager
from importlib import resources
from types import SimpleNamespace

import pytest
import torch

from labonn.design import design_hash, load_design
from labonn.errors import ConfigError, RecordError
from labonn.networks import Student, make_teacher
from labonn.protocol.deployment import describe, load_deployment
from labonn.protocol.realising import realise, require_made_for
from labonn.protocol.trained import trained_already
from labonn.records import load_model, save_model
from protocols.train_and_deploy import Parameters, found

DESIGN = load_design("digits-mono")


def networks():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make_teacher(DESIGN.teacher, (1, 28, 28), 10), Student(DESIGN, (1, 28, 28), 10)


def saved(lab, *, without=(), out=None, **changed):
    parts = dict(zip(("teacher", "student"), networks(), strict=True))
    described = {
        "design": DESIGN.model_dump(mode="json", by_alias=True),
        "design_sha256": design_hash(DESIGN),
        "accuracy": {"teacher": 99.0, "simulated": 98.0, "validation": 98.5},
    }
    return save_model(
        lab,
        design=DESIGN.name,
        weights={name: network.state_dict() for name, network in parts.items() if name not in without},
        description=described | changed,
        out=out,
    )


def design_file(tmp_path, old, new):
    shipped = resources.files("labonn.design") / "catalogue" / "digits-mono.design.toml"
    assert old in shipped.read_text(encoding="utf-8")
    file = tmp_path / "changed.design.toml"
    file.write_text(shipped.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    return file


def test_a_model_is_found_by_its_id_or_its_folder_and_comes_as_it_was_trained(tmp_path):
    model = saved(tmp_path)
    elsewhere = saved(tmp_path, out=tmp_path / "elsewhere")
    images = torch.rand(3, 1, 28, 28)
    teacher, student = (network.eval() for network in networks())
    for name, expected in ((model, model), (str(tmp_path / "elsewhere"), elsewhere)):
        trained = trained_already(tmp_path, name)
        assert torch.equal(trained.teacher(images), teacher(images))
        assert torch.equal(trained.student(images), student(images))
        assert trained.accuracy == {"teacher": 99.0, "simulated": 98.0}
        assert trained.origin["trained_as"]["model"] == expected


def test_how_a_design_is_trained_does_not_matter_and_what_it_builds_does(tmp_path):
    lab = SimpleNamespace(folder=tmp_path)
    model = saved(tmp_path)
    otherwise = design_file(tmp_path, "epochs = 50", "epochs = 7\nlearning_rate = 3e-3")
    assert found(lab, Parameters(model=model, design=str(otherwise))).design == DESIGN
    assert found(lab, Parameters(model=model)).design == DESIGN
    assert found(lab, Parameters()) is None
    other = design_file(tmp_path, "hidden = 120", "hidden = 12")
    with pytest.raises(ConfigError, match=r"model .*digits-mono.* what they build differs in backend\.hidden;"):
        found(lab, Parameters(model=model, design=str(other)))
    with pytest.raises(ValueError, match="nothing is trained where a model is named"):
        Parameters(model=model, method="kd")


def test_what_cannot_be_deployed_says_why(tmp_path):
    with pytest.raises(RecordError, match="has no model 'gone'"):
        trained_already(tmp_path, "gone")
    for changed, said in [
        ({"without": ("teacher",)}, "trained without a teacher"),
        ({"design_sha256": "0" * 64}, "was trained as 000000000000"),
        ({"design": {"schema": 1}}, "name: is missing"),
    ]:
        with pytest.raises(RecordError, match=said):
            trained_already(tmp_path, saved(tmp_path, **changed))


def test_what_was_trained_gets_its_phase_pattern_and_says_what_it_is_from(tmp_path):
    @contextmanager
    def step(name, total):
        yield SimpleNamespace(advance=lambda: None)

    geometry = SimpleNamespace(wavelength_nm=532.0, focal_mm=50.0, tap_um=26.0)
    lab = SimpleNamespace(
        folder=tmp_path,
        step=step,
        bench=SimpleNamespace(
            has_slm=True,
            config=SimpleNamespace(geometry=geometry),
            slm=SimpleNamespace(pitch_um=8.0, shape=(1080, 1080)),
        ),
        bench_config=SimpleNamespace(name="mono"),
        run_record=SimpleNamespace(id="20261126T100000Z-train_and_deploy-abcd"),
    )
    source = saved(tmp_path)
    parameters = Parameters(model=source)
    kept = realise(lab, found(lab, parameters), steps=1, seed=0)
    network = load_deployment(tmp_path, kept)
    images = torch.rand(3, 1, 28, 28)
    assert torch.equal(network.student(images), networks()[1].eval()(images))
    assert network.pattern_rad.shape == (1080, 1080)
    said = describe(lab, kept)
    assert said["trained_as"]["model"] == source
    assert said["trained_as"]["design_sha256"] == design_hash(DESIGN)
    assert said["trained_as"]["weights"] == load_model(tmp_path, source).card.files
    assert said["accuracy"] == {"teacher": 99.0, "simulated": 98.0}


def fixed(tmp_path, model):
    optic = SimpleNamespace(serial_number="SIM-1", model=model)
    return SimpleNamespace(
        folder=tmp_path,
        bench=SimpleNamespace(has_slm=False),
        bench_config=SimpleNamespace(name="poly", optic=optic),
        bench_path="poly.bench.toml",
        run_record=SimpleNamespace(id="20261126T100000Z-train_and_deploy-abcd"),
    )


def test_behind_a_fixed_optic_there_is_no_pattern_and_no_other_model_than_it_was_made_for(tmp_path):
    source = saved(tmp_path)
    parameters = Parameters(model=source)
    lab = fixed(tmp_path, source)
    network = load_deployment(tmp_path, realise(lab, found(lab, parameters), steps=1, seed=0))
    assert network.pattern_rad is None
    psfs = networks()[1].frontend.psfs().detach().numpy()
    assert (network.psf_target == psfs).all()
    network.show(lab)  # nothing to show
    lab.bench.has_slm = True
    with pytest.raises(ConfigError, match=r"bench 'poly' has an SLM, and model .* for a bench with a fixed optic"):
        network.show(lab)
    lab.bench.has_slm = False
    for wrong in (fixed(tmp_path, "other"), fixed(tmp_path, saved(tmp_path))):
        with pytest.raises(ConfigError, match=rf"SIM-1 was made for model .*not those of {source}"):
            realise(wrong, found(lab, parameters), steps=1, seed=0)
    with pytest.raises(ConfigError, match="a network that is trained now: deploy that model"):
        require_made_for(lab, {})
    require_made_for(fixed(tmp_path, None), {})
