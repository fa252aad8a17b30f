"""The shared normal equations against scikit-learn's ridge."""

import numpy as np
import torch
from sklearn.linear_model import Ridge

from labonn.compensation.twin_regression import Folds, Moments

CAPTURES, FEATURES, PIXELS, TILES = 12, 7, 40, 3


def problem():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(CAPTURES, FEATURES, PIXELS))
    truth = rng.normal(size=(FEATURES, TILES))
    tiles = np.einsum("nfp,ft->ntp", rows, truth) + 0.5 * rng.normal(size=(CAPTURES, TILES, PIXELS))
    return torch.from_numpy(rows).float(), torch.from_numpy(tiles).float()


def oracle(rows, tiles, precision, prior):
    """Ridge about a mean: on targets from which the mean's prediction is taken, with features scaled."""
    x = rows.double().permute(0, 2, 1).reshape(-1, FEATURES).numpy()
    y = tiles.double().permute(0, 2, 1).reshape(-1, TILES).numpy()
    scale = np.sqrt(precision)
    fitted = Ridge(alpha=1.0, fit_intercept=False).fit(x / scale, y - x @ prior)
    return fitted.coef_.T / scale[:, None] + prior


def folds_of(rows, tiles, count=4):
    fold = torch.arange(CAPTURES) % count
    return fold, Folds(tuple(Moments.of(rows[fold == k], tiles[fold == k]) for k in range(count)))


def test_it_is_ridge_regression_about_a_mean():
    rows, tiles = problem()
    precision, prior = np.linspace(0.5, 200, FEATURES), np.random.default_rng(1).normal(size=(FEATURES, TILES))
    weights = Moments.of(rows, tiles).solve(torch.from_numpy(precision), torch.from_numpy(prior))
    np.testing.assert_allclose(weights, oracle(rows, tiles, precision, prior), rtol=1e-4, atol=1e-5)


def test_the_error_without_a_look_at_pixels_is_the_residual_of_captures_left_out():
    rows, tiles = problem()
    precision, prior = np.full(FEATURES, 3.0), np.zeros((FEATURES, TILES))
    fold, folds = folds_of(rows, tiles)
    expected = np.zeros(TILES)
    for k in range(4):
        weights = oracle(rows[fold != k], tiles[fold != k], precision, prior)
        left = tiles[fold == k].numpy() - np.einsum("nfp,ft->ntp", rows[fold == k], weights)
        expected += (left**2).sum(axis=(0, 2))
    np.testing.assert_allclose(folds.error(torch.from_numpy(precision), torch.from_numpy(prior)), expected, rtol=1e-4)


def test_some_features_are_a_problem_of_their_own():
    rows, tiles = problem()
    chosen = torch.tensor([0, 2, 5])
    alone, part = Moments.of(rows[:, chosen], tiles), Moments.of(rows, tiles).of_features(chosen)
    for name in ("gram", "target", "power"):
        torch.testing.assert_close(getattr(alone, name), getattr(part, name), rtol=1e-5, atol=1e-4)


def test_a_feature_that_no_capture_shows_stays_at_its_mean():
    rows, tiles = problem()
    rows[:, 4] = 0
    prior = torch.ones(FEATURES, TILES, dtype=torch.float64)
    weights = Moments.of(rows, tiles).solve(torch.full((FEATURES,), 2.0, dtype=torch.float64), prior)
    torch.testing.assert_close(weights[4], prior[4], atol=1e-5, rtol=0)


def test_features_that_say_the_same_can_be_solved():
    rows, tiles = problem()
    rows[:, 4] = rows[:, 3]
    weights = Moments.of(rows, tiles).solve(torch.zeros(FEATURES).double(), torch.zeros(FEATURES, TILES).double())
    assert torch.isfinite(weights).all()
