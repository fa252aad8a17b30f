"""Whether a bench is what it was: noise and light may differ, what moved may not."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift

from labonn.capture.sameness import compare

TILES = 5
NOISE = 0.01


def maps(seed=0):
    chance = np.random.default_rng(seed)
    pictures = gaussian_filter(chance.uniform(0, 1, (6, TILES, 28, 28)), (0, 0, 1.5, 1.5))
    return (pictures / pictures.std()).astype(np.float32)


def taken(truth, chance, *, light=0.0, background=0.5):
    """Capture maps with noise, and light that varies by 1 %."""
    factor = 1 + light + chance.normal(0, 0.01, (len(truth), 1, 1, 1))
    return ((truth + background) * factor - background + chance.normal(0, NOISE, truth.shape)).astype(np.float32)


def look(change=lambda truth: truth, seed=1, **then):
    chance = np.random.default_rng(seed)
    truth = maps()
    now = change(truth)
    again = np.stack([taken(now, chance, **then), taken(now, chance, **then)])
    return compare(taken(truth, chance), again, np.full(TILES, 0.5))


@pytest.mark.parametrize("seed", range(20))
def test_noise_and_flickering_light_are_no_change(seed):
    found = look(seed=seed)
    assert found.same
    assert found.ratio < 1.1


def test_light_that_is_a_little_brighter_is_no_change_and_much_brighter_is():
    little = look(light=0.01)
    assert little.same
    assert little.light == pytest.approx(0.01, abs=0.01)
    much = look(light=0.08)
    assert not much.same
    assert "the light by +8" in str(much)


def test_one_tile_that_has_moved_is_named():
    def move(truth):
        moved = truth.copy()
        moved[:, 3] = shift(truth[:, 3], (0, 0.05, 0), order=3, mode="nearest")
        return moved

    found = look(move)
    assert not found.same
    assert found.tile == 3
    assert "tile 3" in str(found)


def test_what_moves_maps_by_less_than_noise_is_let_pass():
    assert look(lambda truth: truth + np.float32(0.3 * NOISE)).same


def test_a_bench_without_noise_is_the_same_where_nothing_moved():
    truth = maps()
    assert compare(truth, np.stack([truth, truth]), np.zeros(TILES)).same
    assert not compare(truth, np.roll(np.stack([truth, truth]), 1, axis=-1), np.zeros(TILES)).same
