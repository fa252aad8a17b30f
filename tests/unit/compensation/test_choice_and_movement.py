"""Which images are chosen, and how far maps have moved."""

import itertools

import numpy as np
import pytest
import scipy.ndimage
import torch
from torch.nn import functional

from labonn.compensation import fit_twin
from labonn.compensation.choice import choose_images, patterns
from labonn.compensation.movement import movement, require_still
from labonn.errors import CalibrationError, ConfigError

TILES, SIDE = 4, 20


def generator(seed):
    return torch.Generator().manual_seed(seed)


def pictures(count, seed=0):
    noise = torch.randn(count, 1, SIDE, SIDE, generator=generator(seed))
    smooth = functional.avg_pool2d(noise, 3, stride=1, padding=1).clamp(0, 0.5)
    smooth[:, :, :3], smooth[:, :, -3:], smooth[:, :, :, :3], smooth[:, :, :, -3:] = 0, 0, 0, 0
    return 2 * smooth


def log_determinant(images, chosen, taps=5):
    """Oracle: of the true Gram matrix of all windows, with the same floor."""
    grams = []
    for image in images:
        windows = functional.unfold(image[None].double(), taps, padding=taps - 1)[0]
        grams.append(windows @ windows.T)
    floor = 1e-3 * torch.stack(grams).diagonal(dim1=1, dim2=2).mean()
    return float(torch.logdet(sum(grams[i] for i in chosen) + floor * torch.eye(taps**2)))


def test_the_d_optimal_choice_is_among_the_best_of_all_pairs():
    images = pictures(12) * torch.linspace(0.3, 1.0, 12)[:, None, None, None]
    chosen = choose_images(images, 2, "d-optimal", seed=0).tolist()
    every = sorted((log_determinant(images, pair) for pair in itertools.combinations(range(12), 2)), reverse=True)
    assert log_determinant(images, chosen) >= every[5]  # of 66


def test_a_random_choice_is_without_repetition_and_follows_from_its_seed():
    images = pictures(30)
    first, same, other = (choose_images(images, 10, seed=seed).tolist() for seed in (0, 0, 1))
    assert first == same != other
    assert len(set(first)) == 10


@pytest.mark.parametrize("choice", ["random", "d-optimal"])
def test_all_are_chosen_where_there_are_no_more(choice):
    assert sorted(choose_images(pictures(5), 9, choice, seed=0).tolist()) == [0, 1, 2, 3, 4]


def test_an_unknown_choice_is_answered_with_the_known_ones():
    with pytest.raises(ConfigError, match="random, d-optimal"):
        choose_images(pictures(3), 2, "best", seed=0)


def test_patterns_are_pictures_of_every_grey_half_dark():
    made = patterns(8, (20, 28), seed=0)
    assert made.shape == (8, 1, 20, 28)
    assert float(made.min()) == 0
    assert 0.9 < float(made.max()) <= 1
    assert float((made == 0).double().mean()) == pytest.approx(0.5, abs=0.1)
    squares = made[3, 0].reshape(5, 4, 7, 4)
    assert torch.equal(squares, squares[:, :1, :, :1].expand_as(squares))


def designed():
    return torch.rand(TILES, 7, 7, generator=generator(10)) / 10


def captured(images, down=0.0, right=0.0, seed=3):
    tiles = functional.conv2d(images, designed()[:, None], padding=3)
    tiles = torch.from_numpy(scipy.ndimage.shift(tiles.numpy(), (0, 0, down, right), order=5))
    return tiles + 0.01 * torch.randn(tiles.shape, generator=generator(seed))


@pytest.fixture(scope="module")
def twin():
    images = pictures(10)
    return fit_twin(images, captured(images), designed(), parts=("kernel", "offset"))


@pytest.mark.parametrize(("down", "right"), [(0.6, -0.4), (-1.3, 0.2), (0.0, 0.0)])
def test_maps_that_moved_say_how_far(twin, down, right):
    images = pictures(4, seed=40)
    found = movement(twin, images, captured(images, down, right))
    np.testing.assert_allclose(found.all_taps, [down, right], atol=0.07)
    assert found.distance_taps == pytest.approx(np.hypot(down, right), abs=0.07)


def test_maps_are_looked_at_in_parts_that_fit_into_memory(twin, monkeypatch):
    images = pictures(4, seed=40)
    tiles = captured(images, 0.6, -0.4)
    at_once = movement(twin, images, tiles).tiles_taps
    monkeypatch.setattr("labonn.compensation.movement.PART_VALUES", 1)
    torch.testing.assert_close(movement(twin, images, tiles).tiles_taps, at_once, atol=1e-3, rtol=0)


def test_a_bumped_camera_is_refused_with_its_movement(twin):
    images = pictures(4, seed=40)
    with pytest.raises(CalibrationError, match=r"\+0\.[67].* taps down and -0\.[45].* right .* bumped"):
        require_still(twin, images, captured(images, 0.7, -0.5))


@pytest.mark.parametrize("still", [1, 35])
def test_a_bump_between_two_captures_is_seen_in_those_after_it(twin, still):
    images = pictures(71, seed=40)
    tiles = torch.cat((captured(images[:still]), captured(images[still:], 0.7, -0.5)))
    with pytest.raises(CalibrationError, match="bumped"):
        require_still(twin, images, tiles)


def test_a_camera_that_stands_still_passes(twin):
    images = pictures(4, seed=40)
    assert require_still(twin, images, captured(images, 0.03, -0.02)).distance_taps < 0.1
