"""What a trial is: a training or an estimate like that of the commands, the same for the same order."""

import pytest

from labonn.design import load_design
from labonn.sweeps.performing import perform
from labonn.sweeps.sweep import Sweep
from labonn.sweeps.trial import Order


def order(tmp_path, settings, **changed):
    sweep = Sweep.model_validate(
        {"schema": 1, "name": "s", "design": "digits-mono", "images": 96, "keys": {"seed": [0]}, **changed}
    )
    design = load_design("digits-mono")
    settings = {"design.training.method": "none", "design.training.epochs": 1, "design.training.batch": 32} | settings
    return Order(
        4, settings, sweep.model_dump(mode="json", by_alias=True), design.model_dump(mode="json", by_alias=True),
        str(tmp_path),
    )  # fmt: skip


def test_a_training_is_the_same_again_and_one_that_diverges_fails_alone(tmp_path):
    first, again = (perform(order(tmp_path, {}, does="train")) for _ in range(2))
    assert first.status == "done", first.error
    assert {name: value for name, value in first.figures.items() if name != "training_s"} == {
        name: value for name, value in again.figures.items() if name != "training_s"
    }
    assert first.figures["parameters"] == 49_154
    assert 0 < first.figures["accuracy"] <= 100
    diverged = perform(order(tmp_path, {"design.training.learning_rate": 1e30}, does="train"))
    assert diverged.status == "failed"
    assert "loss became" in diverged.error
    assert diverged.figures == {}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"design.optic.kernels": 9}, "9 signed kernels need 18 sub-apertures"),
        ({"design.backend.pool": 5}, "pool = 5 does not divide"),
        ({"design.training.method": "kd"}, "without a teacher"),
    ],
)
def test_a_variant_that_cannot_be_is_refused(tmp_path, settings, said):
    outcome = perform(order(tmp_path, settings, does="train"))
    assert outcome.status == "refused"
    assert said in outcome.error


def test_an_estimate_of_a_smaller_optic_costs_less(tmp_path):
    few, many = (perform(order(tmp_path, {"design.optic.kernels": kernels}, fit_optic=True)) for kernels in (2, 8))
    assert (few.status, many.status) == ("done", "done"), (few.error, many.error)
    assert few.figures["optic_mm2"] < many.figures["optic_mm2"]
    assert few.figures["energy_mj"] < many.figures["energy_mj"]
    assert few.figures["accuracy_low"] < few.figures["accuracy"] < few.figures["accuracy_high"]
