"""Maps that lie off where they are expected are found again, whatever their gain; tiles that a colour does not show."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift

from labonn.capture.alignment import MOST_TAPS, shifts_taps
from labonn.capture.geometry import infer_missing


def maps(count: int = 3, tiles: tuple[int, ...] = (3,)) -> np.ndarray:
    rng = np.random.default_rng(0)
    return gaussian_filter(rng.normal(size=(count, *tiles, 32, 32)), (0,) * (1 + len(tiles)) + (1.5, 1.5))


@pytest.mark.parametrize("tiles", [(3,), (2, 3)])
def test_shifts_are_found_to_a_fiftieth_of_a_tap(tiles: tuple[int, ...]) -> None:
    expected, rng = maps(tiles=tiles), np.random.default_rng(1)
    really = rng.uniform(-3, 3, (*tiles, 2))
    captured = np.empty_like(expected)
    for place in np.ndindex(*tiles):
        at = (slice(None), *place)
        moved = shift(expected[at], (0, *really[place]), order=5, mode="nearest")
        captured[at] = rng.uniform(50, 300) * moved + rng.uniform(0, 40)
    captured += rng.normal(scale=2.0, size=captured.shape)
    found = shifts_taps(captured.astype(np.float32), expected.astype(np.float32))
    np.testing.assert_allclose(found, really, atol=0.02)


def test_what_is_no_copy_is_not_moved_far() -> None:
    noise = np.random.default_rng(2).normal(size=(3, 3, 32, 32)).astype(np.float32)
    assert np.abs(shifts_taps(noise, maps().astype(np.float32))).max() <= MOST_TAPS


def test_a_colour_that_a_tile_does_not_show_is_put_where_it_is_elsewhere() -> None:
    rng = np.random.default_rng(3)
    tile, colour = rng.normal(size=(5, 1, 2, 3)), rng.normal(scale=0.1, size=(1, 3, 2, 3))
    whole = tile + colour
    seen = whole.copy()
    seen[1, 1] = np.nan
    seen[4, 0] = seen[4, 2] = np.nan
    np.testing.assert_allclose(infer_missing(seen), whole, atol=1e-12)
