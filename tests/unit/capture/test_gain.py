import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from labonn.capture.gain import fit_gains
from labonn.errors import CalibrationError


def test_is_a_linear_regression_for_each_tile() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.gamma(1.0, 1.0, (5, 3, 6, 6)).astype(np.float32)
    captured = np.array([100, 250, 40])[:, None, None] * predicted + 7 + rng.normal(0, 5, predicted.shape)
    found = fit_gains(captured.astype(np.float32), predicted)
    for tile in range(3):
        x, y = predicted[:, tile].reshape(-1, 1), captured[:, tile].ravel()
        line = LinearRegression().fit(x, y)
        assert found.gain[tile] == pytest.approx(line.coef_[0], rel=1e-4)
        assert found.background[tile] == pytest.approx(line.intercept_, rel=1e-3)
        assert found.residual[tile] == pytest.approx(np.sqrt(1 - line.score(x, y)), rel=1e-3)


def test_a_map_that_falls_where_the_student_s_rises_is_refused() -> None:
    predicted = np.random.default_rng(0).uniform(size=(4, 2, 5, 5)).astype(np.float32)
    captured = predicted.copy()
    captured[:, 1] *= -1
    with pytest.raises(CalibrationError, match=r"tile 1: .*gain -1"):
        fit_gains(captured, predicted)


def test_a_constant_prediction_is_refused() -> None:
    predicted = np.zeros((4, 2, 5, 5), np.float32)
    with pytest.raises(CalibrationError, match=r"tile 0: .*constant"):
        fit_gains(predicted, predicted)
