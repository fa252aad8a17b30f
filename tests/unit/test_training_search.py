"""The search of settings: one budget, resumable, and used only when it is at its end."""

import pytest

from labonn.design import load_design
from labonn.design.design import Training
from labonn.errors import LabonnError
from tests.benchmarks import training_settings
from tests.benchmarks.training_search import next_settings, section, space
from tests.benchmarks.training_settings import BUDGETS, METHODS, best_settings, keep_trial, read_trials, with_settings


@pytest.fixture(autouse=True)
def own_file(tmp_path, monkeypatch):
    monkeypatch.setattr(training_settings, "TRIALS_FILE", tmp_path / "results" / "training-search.json")


def test_every_method_searches_the_weights_of_its_own_losses():
    common = {"learning_rate", "optics_learning_rate", "weight_decay"}
    own = {method: set(space(method)) - common for method in METHODS}
    assert own == {
        "none": set(), "kd": {"kd_weight"}, "rkd": {"rkd_weight"}, "fitnet": {"kd_weight", "hint_share"},
        "ntkd": {"ntkd_weight"}, "ntkd+kd": {"ntkd_weight", "kd_weight"},
    }  # fmt: skip
    assert all(key in Training.model_fields for method in METHODS for key in space(method))


def trial(settings, value):
    return {"settings": settings, "value": value, "seconds": 1.0, "date": "2026-11-26"}


def test_the_first_trial_is_as_shipped_and_the_next_follow_from_those_that_are_made():
    first = next_settings("mnist", "ntkd", [])
    shipped = load_design("mnist-mono").training
    assert first == {
        "learning_rate": shipped.learning_rate, "optics_learning_rate": shipped.optics_learning_rate,
        "ntkd_weight": shipped.ntkd_weight, "weight_decay": 1e-5,
    }  # fmt: skip
    second = next_settings("mnist", "ntkd", [trial(first, 97.0)])
    assert second != first
    assert second.keys() == first.keys()
    assert next_settings("mnist", "ntkd", [trial(first, 97.0)]) == second  # after a kill, too
    assert next_settings("mnist", "ntkd", [trial(first, 97.0), trial(second, 98.0)]) not in (first, second)


def test_the_best_is_used_when_all_trials_are_made_and_not_before():
    budget = BUDGETS["mnist"]
    for number in range(budget.trials):
        assert best_settings("mnist", "kd") == {}
        settings = {"learning_rate": 1e-3 * (number + 1)}
        trials = keep_trial("mnist", "kd", trial(settings, 90.0 - abs(number - 3)))
    assert best_settings("mnist", "kd") == {"learning_rate": 4e-3}
    assert best_settings("mnist", "none") == {}
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
