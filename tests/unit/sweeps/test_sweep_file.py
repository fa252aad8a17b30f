"""Sweep files: what they may say, what is refused, and which settings follow."""

import pytest

from labonn.design import load_design
from labonn.design.writing import design_toml
from labonn.errors import ConfigError
from labonn.sweeps import Outcome, read_sweep
from labonn.sweeps.proposing import groups, settings_of, trials_of
from labonn.sweeps.varying import vary

HEAD = 'schema = 1\nname = "small"\ndesign = "digits-mono"\n'
GRID = HEAD + '[keys]\ndesign.optic.kernels = [2, 4, 8]\n"design.backend.hidden" = [8, [16, 8]]\n'
DRAWN = (
    HEAD
    + """search = "SEARCH"
trials = 20
together = 4
[keys]
design.optic.kernels = { low = 1, high = 8, step = 1 }
design.sensor.read_noise_e = { low = 1, high = 100, log = true }
design.backend.pool = [2, 4, 7]
"""
)


def read(tmp_path, text):
    file = tmp_path / "small.sweep.toml"
    file.write_text(text)
    return read_sweep(file)


def test_a_grid_is_every_combination_in_a_fixed_order(tmp_path):
    sweep = read(tmp_path, GRID).sweep
    assert trials_of(sweep) == 6
    assert list(groups(sweep)) == [(0, 6)]
    found = settings_of(sweep, 0, 6, {})
    assert found[0] == {"design.optic.kernels": 2, "design.backend.hidden": 8}
    assert found[-1] == {"design.optic.kernels": 8, "design.backend.hidden": [16, 8]}
    assert settings_of(sweep, 2, 4, {}) == found[2:4]


@pytest.mark.parametrize("search", ["random", "optuna"])
def test_what_is_drawn_follows_from_the_sweep_and_what_was_found_alone(tmp_path, search):
    sweep = read(tmp_path, DRAWN.replace("SEARCH", search)).sweep
    outcomes, whole = {}, []
    for first, last in groups(sweep):
        found = settings_of(sweep, first, last, outcomes)
        assert settings_of(sweep, first, last, dict(reversed(outcomes.items()))) == found
        for number, settings in enumerate(found, first):
            accuracy = 90.0 + settings["design.optic.kernels"]
            outcomes[number] = Outcome(number, settings, "done", {"accuracy": accuracy, "energy_mj": 1, "optic_mm2": 1})
        whole += found
    assert len(whole) == 20
    for settings in whole:
        assert settings["design.optic.kernels"] in range(1, 9)
        assert type(settings["design.optic.kernels"]) is int
        assert 1 <= settings["design.sensor.read_noise_e"] <= 100
        assert settings["design.backend.pool"] in (2, 4, 7)
    assert len({str(settings) for settings in whole}) > 15
    if search == "optuna":  # it has seen that more kernels are better
        early, late = ([s["design.optic.kernels"] for s in part] for part in (whole[:8], whole[-8:]))
        assert late.count(8) > early.count(8)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GRID.replace("optic.kernels", "optic.kernel"), r"keys\.design\.optic\.kernel: no such key: at 'kernel'"),
        (GRID.replace("design.optic.kernels", "optic.kernels"), "optic.kernels: no such key: it begins"),
        (GRID.replace("design.optic.kernels", "design.optic"), "is a table; name one of its keys"),
        (GRID.replace("design.optic.kernels", "world.blur.sigma_um"), r'only where does = "fabricate"'),
        (GRID.replace("[2, 4, 8]", "{ low = 2, high = 8 }"), "a grid takes lists of values"),
        (DRAWN.replace("SEARCH", "random").replace("trials = 20\n", ""), "trials is missing"),
        (DRAWN.replace("SEARCH", "random").replace("low = 1, high = 8", "low = 8, high = 1"), "low = 8 is not below"),
        (HEAD + "[keys]\n", "keys.* is empty"),
        (GRID.replace("small", "../evil"), "name"),
        (GRID.replace("digits-mono", "digits-mona"), "there is no design 'digits-mona'"),
        (GRID.replace("schema = 1", 'schema = 1\ndoes = "fabricate"'), "needs the file of a simulated bench"),
        (GRID + "[goals]\nacuracy = 'max'\n", "goals.acuracy"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_what_is_wrong(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        read(tmp_path, text)


def test_a_variant_is_a_design_and_its_optic_can_be_made_to_fit():
    design = load_design("digits-mono")
    settings = {"design.optic.kernels": 18, "design.backend.hidden": 16, "seed": 3}
    with pytest.raises(ConfigError, match="need 36 sub-apertures, but only 4 x 4"):
        vary(design, settings, name="large", fit_optic=False)
    varied = vary(design, settings, name="large", fit_optic=True)
    assert varied.optic.aperture_mm == pytest.approx((6 * 2.048 + 5 * 0.064,) * 2)
    assert (varied.name, varied.backend.hidden, varied.training) == ("large", 16, design.training)
    with pytest.raises(ConfigError, match="taps"):
        vary(design, {"design.optic.taps": 4}, name="even", fit_optic=False)


@pytest.mark.parametrize("name", ["digits-mono", "cifar10-poly", "carvana-poly", "mnist-lens"])
def test_a_design_that_is_written_is_read_as_it_was(tmp_path, name):
    design = load_design(name)
    file = tmp_path / "written.design.toml"
    file.write_text(design_toml(design, "One.\nTwo."), encoding="utf-8")
    assert load_design(file) == design
