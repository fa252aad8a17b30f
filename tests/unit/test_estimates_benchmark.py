"""The benchmark of estimates: its designs, and that nobody is judged by what was fitted on him."""

from collections import Counter
from dataclasses import asdict

import numpy as np
import pytest
from scipy.stats import spearmanr

from labonn.design import parameters
from labonn.training.estimate import Known, Predictors
from labonn.training.estimate.curve import fit_curve
from tests.benchmarks.estimates import designs, drawn_designs
from tests.benchmarks.estimates_table import CANDIDATES, SHIPPED, advantage, draw, judged, known_of, section


@pytest.mark.parametrize("task", ["mnist", "cifar10"])
def test_two_dozen_designs_a_task_some_of_equal_parameter_count(task):
    made = designs(task)
    assert len({design.name for design in made}) == len(made) == 24
    assert max(Counter(map(parameters, made)).values()) >= 3
    assert len({design.name for design in drawn_designs(task)}) == 5
    assert [design.name for design in drawn_designs(task)] == [design.name for design in drawn_designs(task)]


CURVE = fit_curve([10, 20], [0.2, 0.1], 0.9)


def known(count=24):
    chance = np.random.default_rng(0)
    found = []
    for _ in range(count):
        ntk = float(chance.uniform(60, 98))
        size = int(10 ** chance.uniform(3, 5))
        predictors = Predictors(
            ntk, ntk, (ntk,), 97.0, ntk - 1, ntk - 20, 97.5, 80.0, 0.4, 0.2, size, 64, CURVE, 100, {"own": 1.0}
        )
        found.append(Known(predictors, min(99.9, ntk + 1 + float(chance.standard_normal()))))
    return found


def test_a_design_s_own_training_does_not_move_its_estimate():
    before = known()
    after = [*before[:-1], Known(before[-1].predictors, 10.0)]
    said = [judged(some, CANDIDATES[SHIPPED]) for some in (before, after)]
    assert said[0][-1][1:] == said[1][-1][1:]
    assert said[0][0][1:] != said[1][0][1:] or said[0][1][1:] != said[1][1][1:]


def test_the_table_says_who_foretells_best(tmp_path):
    cells = [
        {
            "task": "mnist", "design": f"d{number}", "seed": 0, "epochs": 6, "train": 55_000, "accuracy": one.accuracy,
            "training_s": 20.0, "predictors": asdict(one.predictors), "date": "2026-11-27", "drawn": number >= 20,
        }
        for number, one in enumerate(known())
    ]  # fmt: skip
    text = section(cells)
    assert "20 designs, 6 epochs of 55,000 images" in text
    assert "median 5.0 %, at most 5.0 %" in text
    assert f"| {SHIPPED} |" in text
    assert "| infinite-width NTK | 0.000 | +0." in text  # the same for all designs
    assert text.count("| d2") == 4  # made up by chance
    assert len(known_of(cells)) == 24
    draw(cells, tmp_path / "pictures" / "estimates.png")
    assert (tmp_path / "pictures" / "estimates.png").stat().st_size > 10_000


def test_an_advantage_is_one_only_where_there_is_one():
    trained = list(np.linspace(60, 99, 30))
    same = advantage(trained, trained, trained)
    assert same == (0.0, 0.0, 0.0)
    chance = np.random.default_rng(1)
    more, low, high = advantage(trained, trained, list(chance.standard_normal(30)))
    assert 0 < low < more < high
    noisy = list(chance.standard_normal(30))
    expected = 1 - spearmanr(trained, noisy).statistic
    assert advantage(trained, trained, noisy)[0] == pytest.approx(expected)
