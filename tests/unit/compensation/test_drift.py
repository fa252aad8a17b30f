"""A watch without labels: known changes are found, what they cost is predicted, and chance alone does not alarm."""

import numpy as np
import pytest
import scipy.ndimage
import torch
from torch import nn

from labonn.compensation import Expectation, Outlook, control_limit, fit_twin
from labonn.compensation.drift import simple_operator
from labonn.compensation.drift_operator import fit_operator
from labonn.errors import RecordError
from labonn.training import accuracy_percent

TILES, NOISE = 4, 0.004


def pictures(count, seed):
    """Soft blobs at random places: the class is the quarter in which the brighter one lies."""
    chance = np.random.default_rng(seed)
    images = np.zeros((count, 1, 24, 24), np.float32)
    labels = chance.integers(0, 4, count)
    for image, label in zip(images[:, 0], labels, strict=True):
        quarter = np.array([label // 2, label % 2]) * 12 + 6
        for strength, place in ((1.0, quarter + chance.uniform(-5, 5, 2)), (0.6, chance.uniform(4, 20, 2))):
            y, x = np.mgrid[:24, :24] - place[:, None, None]
            image += strength * np.exp(-(y**2 + x**2) / 8)
    return torch.from_numpy(images), labels


def optics(images, shift=(0.0, 0.0), gain=1.0, seed=0):
    """Blurs, different in each tile; then moved by scipy, dimmed, and noisy."""
    spread = [scipy.ndimage.gaussian_filter(images[:, 0].numpy(), (0, 0.8 + 0.3 * t, 1.2)) for t in range(TILES)]
    tiles = np.stack(spread, axis=1)
    moved = [scipy.ndimage.shift(tile, shift, order=3, mode="nearest") for tile in tiles.reshape(-1, 24, 24)]
    tiles = gain * np.reshape(moved, tiles.shape)
    noise = NOISE * np.random.default_rng(seed).standard_normal(tiles.shape)
    return torch.from_numpy((tiles + noise).astype(np.float32))


@pytest.fixture(scope="module")
def shown():
    return pictures(24, seed=1)[0]


@pytest.fixture(scope="module")
def twin(shown):
    designed = torch.zeros(TILES, 7, 7)
    designed[:, 2:5, 2:5] = 1 / 9
    return fit_twin(shown, optics(shown), designed, parts=("kernel", "offset"))


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.3, -0.2), (1.2, 0.5), (-2.0, 1.0)])
@pytest.mark.parametrize("gain", [1.0, 0.8])
def test_a_known_shift_and_gain_are_found(shown, shift, gain):
    truth = optics(shown[:8], seed=5)
    noise = torch.full_like(truth, NOISE)
    clean = optics(shown[:8], seed=6)  # another capture stands in for what a twin says
    found = fit_operator(clean, truth, optics(shown[:8], shift, gain, seed=7), noise)
    assert found.shift_taps.numpy() == pytest.approx(np.tile(shift, (TILES, 1)), abs=0.05 + 0.12 * max(np.abs(shift)))
    assert found.gain.numpy() == pytest.approx(np.full(TILES, gain), abs=0.05)
    assert found.unexplained < 0.7 * found.changed or found.changed < 1.1
    assert (found.changed > 1.5) == (shift != (0.0, 0.0) or gain != 1.0)


def test_what_a_still_bench_shows_is_noise(shown):
    noise = torch.full((8, TILES, 24, 24), NOISE)
    found = fit_operator(optics(shown[:8], seed=3), optics(shown[:8], seed=4), optics(shown[:8], seed=5), noise)
    assert found.changed == pytest.approx(1.0, abs=0.05)
    assert found.shift_taps.norm(dim=1).max() < 0.02


@pytest.fixture(scope="module")
def outlook(shown, twin):
    """Of a small backend that was trained on what these optics show."""
    images, labels = pictures(300, seed=2)
    tiles = optics(images, seed=8)
    torch.manual_seed(0)
    layers = (nn.AvgPool2d(4), nn.Flatten(), nn.Linear(TILES // 2 * 36, 16), nn.ReLU(), nn.Linear(16, 4))
    backend = nn.Sequential(*layers)
    optimiser = torch.optim.Adam(backend.parameters(), 1e-2)
    for _ in range(150):
        optimiser.zero_grad()
        nn.functional.cross_entropy(backend(tiles[:, 0::2] - tiles[:, 1::2]), torch.from_numpy(labels)).backward()
        optimiser.step()
    return Outlook(Expectation.of(twin, shown[:8], optics(shown[:8])), backend.eval(), images, labels), backend


@pytest.fixture(scope="module")
def ladder(outlook):
    return outlook[0].ladder()


@pytest.mark.parametrize("shift", [(0.0, 0.0), (1.5, -1.5)])
def test_the_predicted_loss_is_the_loss(outlook, ladder, shown, shift):
    watch, backend = outlook
    found = watch.drift(optics(shown[:8], shift, seed=9), ladder)
    images, labels = pictures(300, seed=2)
    percent = []
    for moved in ((0.0, 0.0), shift):
        tiles = optics(images, moved, seed=10)
        percent.append(accuracy_percent(backend, tiles[:, 0::2] - tiles[:, 1::2], labels))
    lost = percent[0] - percent[1]
    assert found.loss_points == pytest.approx(lost, abs=max(3, 0.4 * lost))
    assert (lost > 2) == (shift != (0.0, 0.0))
    assert found.shift_taps == pytest.approx(np.hypot(*shift), abs=0.05 + 0.15 * np.hypot(*shift))


def test_a_change_that_is_no_operator_is_judged_by_the_kernel(outlook, ladder, shown):
    watch, _ = outlook
    now = optics(shown[:8], seed=11)
    now[:, :, 12:] = now[:, :, :12].flip(0)  # half of each map is another image's
    found = watch.drift(now, ladder)
    assert found.unexplained > 0.7 * found.residual
    assert found.ntk_alignment < 0.99
    assert found.loss_points == max(found.simulated_points, found.kernel_points)
    assert found.loss_points > 2


def test_a_ladder_rises_and_a_still_bench_does_not_alarm(outlook, ladder, shown):
    assert (np.diff(ladder, axis=0) >= 0).all()
    assert ladder[0].tolist() == [0, 0]
    assert ladder[-1, 0] > 0.1
    still = outlook[0].still(ladder)
    limit = control_limit(still, [], false_alarms=0.05, watches=720, resolution_points=outlook[0].resolution_points)
    found = [outlook[0].drift(optics(shown[:8], seed=seed), ladder) for seed in range(20, 25)]
    assert max(drift.loss_points for drift in found) < limit.limit_points


def test_a_simple_operator_does_as_it_says(shown):
    moved = simple_operator(TILES, 1.0, 0.5, 0.25)
    assert moved.gain.tolist() == pytest.approx([1, 0.75] * 2)
    assert moved.shift_taps.norm(dim=1).numpy() == pytest.approx(np.ones(TILES), abs=0.05)
    tiles = optics(shown[:2])
    assert moved(tiles).shape == tiles.shape


def test_what_a_release_expects_comes_back_from_its_arrays(twin, shown):
    expectation = Expectation.of(twin, shown[:8], optics(shown[:8]))
    arrays = {name: value.numpy() for name, value in expectation.as_arrays().items()}
    found = Expectation.from_arrays(arrays)
    torch.testing.assert_close(found.tiles(shown), twin.tiles(shown))
    assert torch.equal(found.then, expectation.then)
    del arrays["weights"]
    with pytest.raises(RecordError, match="has no 'weights'"):
        Expectation.from_arrays(arrays)


def test_the_false_alarm_rate_is_that_of_the_month():
    chance = np.random.default_rng(0)
    alarmed = 0
    for _ in range(400):
        limit = control_limit(chance.normal(0, 0.1, 16), [], false_alarms=0.2, watches=100, resolution_points=0.0)
        alarmed += bool((chance.normal(0, 0.1, 100) > limit.limit_points).any())
    assert 0.10 < alarmed / 400 < 0.27  # 0.2, and a little less: watches of one chart share its limit


@pytest.mark.parametrize(("drifting", "most"), [(0.0, 1.3), (0.02, 1.3)])
def test_sigma_follows_the_watches_and_not_their_drift(drifting, most):
    chance = np.random.default_rng(1)
    earlier = (chance.normal(0, 0.5, 200) + drifting * np.arange(200)).tolist()
    still = chance.normal(0, 0.1, 16)
    limit = control_limit(still, earlier, false_alarms=0.05, watches=720, resolution_points=0.0)
    assert 0.4 < limit.sigma_points < 0.5 * most
    early = control_limit(still, earlier[:19], false_alarms=0.05, watches=720, resolution_points=0.0)
    assert early.sigma_points < 0.2


def test_a_knock_does_not_make_the_chart_blind():
    chance = np.random.default_rng(2)
    earlier = chance.normal(0, 0.1, 60)
    earlier[40] = 5.0
    still = chance.normal(0, 0.1, 16)
    limit = control_limit(still, earlier.tolist(), false_alarms=0.05, watches=720, resolution_points=0.0)
    without = control_limit(still, [], false_alarms=0.05, watches=720, resolution_points=0.0)
    assert limit.limit_points < 1.3 * without.limit_points


def test_no_sigma_is_finer_than_an_image():
    limit = control_limit([0.0] * 16, [], false_alarms=0.05, watches=720, resolution_points=0.4)
    assert limit.sigma_points == 0.2
    assert limit.limit_points > 0.4
