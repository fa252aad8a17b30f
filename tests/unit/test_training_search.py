"""The search of settings: one budget, resumable, and used only when it is at its end."""

import pytest
import torch

from labonn.data import DataSet, digits
from labonn.design import load_design
from labonn.design.design import Training
from labonn.errors import LabonnError
from labonn.networks import make_teacher
from labonn.training.course import Course
from labonn.training.teachers import KnownTeacher
from tests.benchmarks import training_settings
from tests.benchmarks.training_search import judge, next_settings, section, space
from tests.benchmarks.training_settings import (
    BUDGETS,
    METHODS,
    Budget,
    best_settings,
    keep_trial,
    read_trials,
    with_settings,
)


@pytest.fixture(autouse=True)
def own_file(tmp_path, monkeypatch):
    monkeypatch.setattr(training_settings, "TRIALS_FILE", tmp_path / "results" / "training-search.json")


def test_every_method_searches_the_weights_of_its_own_losses():
    common = {"learning_rate", "optics_learning_rate", "weight_decay"}
    own = {method: set(space(load_design("mnist-mono"), method)) - common for method in METHODS}
    assert own == {
        "none": set(), "kd": {"kd_weight"}, "rkd": {"rkd_weight"}, "fitnet": {"kd_weight", "hint_share"},
        "ntkd": {"ntkd_weight"}, "ntkd+kd": {"ntkd_weight", "kd_weight"},
    }  # fmt: skip
    assert set(space(load_design("mnist-lens"), "none")) == common - {"optics_learning_rate"}
    assert all(key in Training.model_fields for method in METHODS for key in space(load_design("mnist-mono"), method))


def trial(settings, value):
    return {"settings": settings, "value": value, "seconds": 1.0, "date": "2026-11-26"}


def test_the_first_trial_is_as_shipped_and_the_next_follow_from_those_that_are_made():
    design = load_design("mnist-mono")
    first, shipped = next_settings(design, "ntkd", []), design.training
    assert first == {
        "learning_rate": shipped.learning_rate, "optics_learning_rate": shipped.optics_learning_rate,
        "ntkd_weight": shipped.ntkd_weight, "weight_decay": 1e-5,
    }  # fmt: skip
    second = next_settings(design, "ntkd", [trial(first, 97.0)])
    assert second != first
    assert second.keys() == first.keys()
    assert next_settings(design, "ntkd", [trial(first, 97.0)]) == second  # after a kill, too
    assert next_settings(design, "ntkd", [trial(first, 97.0), trial(second, 98.0)]) not in (first, second)


def test_the_best_is_used_when_all_trials_are_made_and_not_before():
    budget = BUDGETS["mnist-mono"]
    for number in range(budget.trials):
        assert best_settings("mnist-mono", "kd") == {}
        settings = {"learning_rate": 1e-3 * (number + 1)}
        trials = keep_trial("mnist-mono", "kd", trial(settings, 90.0 - abs(number - 3)))
    assert best_settings("mnist-mono", "kd") == {"learning_rate": 4e-3}
    assert best_settings("mnist-mono", "none") == {}
    assert read_trials() == trials
    assert "| kd | 10 | 87.00 | 90.00 | learning_rate 0.004 | 10 |" in section(trials)


def test_settings_are_checked_as_a_design_s_are_and_change_nothing_else():
    shipped = load_design("mnist-mono")
    changed = with_settings("mnist-mono", {"learning_rate": 4e-3})
    assert changed == shipped.model_copy(
        update={"training": shipped.training.model_copy(update={"learning_rate": 4e-3})}
    )
    for wrong in ({"learning_rate": -1.0}, {"learning_rat": 1.0}):
        with pytest.raises((ValueError, LabonnError)):
            with_settings("mnist-mono", wrong)


@pytest.mark.parametrize("method", ["none", "ntkd"])
def test_a_trial_is_a_short_training_judged_on_the_validation_images(method, tmp_path, monkeypatch):
    budget = Budget(images=256, epochs=4, trials=2)
    monkeypatch.setitem(BUDGETS, "digits-mono", budget)
    whole = digits.read()
    unseen = whole.test.first(0)  # of which nobody may ask anything
    data = DataSet("digits", whole.classes, whole.train, whole.validation, unseen)
    teacher = None
    if method == "ntkd":
        with torch.random.fork_rng():
            network = make_teacher(load_design("digits-mono").teacher, (1, 28, 28), 10).eval()
        teacher = KnownTeacher("none", network, "0" * 64, {}, reused=False)
    settings = {"learning_rate": 1e-2, "optics_learning_rate": 1e-2, "ntkd_weight": 1e-3}
    good, bad = (
        judge(load_design("digits-mono"), method, settings | changed, data, teacher, tmp_path, Course())
        for changed in ({}, {"learning_rate": 1e30})
    )
    assert good > 40
    assert bad == 0.0
