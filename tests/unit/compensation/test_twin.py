"""A world of known kernels, offsets and gains, and the twin that finds them again."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from labonn.compensation import fit_twin as fit_any
from labonn.compensation.twin_checks import spread_of
from labonn.errors import CalibrationError

TILES, SIDE, SUPPORT = 4, 20, 17
PLAIN = ("kernel", "offset")  # what this world has: no need to try more
OFFSET = torch.tensor([0.3, -0.2, 0.0, 1.0])


def fit_twin(images, tiles, kernels):
    return fit_any(images, tiles, kernels, parts=PLAIN)


def generator(seed):
    return torch.Generator().manual_seed(seed)


def pictures(count, seed=0):
    """Squares of different grey on dark, no two pixels of an image alike."""
    images = torch.rand(count, 1, SIDE, SIDE, generator=generator(seed))
    return images * (torch.rand(count, 1, SIDE, SIDE, generator=generator(seed + 1)) > 0.5)


def designed():
    return torch.rand(TILES, 7, 7, generator=generator(10)) / 10


def real():
    """What stands on the bench: wider than designed, with a gain of its own, asymmetric."""
    wide = functional.pad(designed(), (2, 2, 2, 2)) * torch.tensor([0.8, 1.3, 1.0, 0.6])[:, None, None]
    return wide + 0.01 * torch.rand(TILES, 11, 11, generator=generator(11))


def world(images, noise=0.0, seed=20):
    tiles = functional.conv2d(images, real()[:, None], OFFSET, padding=5)
    return tiles + noise * torch.randn(tiles.shape, generator=generator(seed))


@pytest.fixture(scope="module")
def plenty():
    """A twin with all its parts: the faint noise is what they are chosen by, not the last bits of the arithmetic."""
    images = pictures(24)
    return images, fit_any(images, world(images, noise=0.001), designed())


def test_it_recovers_kernels_beyond_the_designed_taps(plenty):
    _, twin = plenty
    margin = (SUPPORT - 11) // 2
    inner = slice(margin, margin + 11)
    np.testing.assert_allclose(twin.kernels[:, inner, inner], real(), atol=2e-3)
    rest = twin.kernels.clone()
    rest[:, inner, inner] = 0
    assert rest.abs().max() < 2e-3


def test_it_recovers_offset_gain_and_that_the_display_is_linear(plenty):
    _, twin = plenty
    np.testing.assert_allclose(twin.offset, OFFSET, atol=0.01)
    np.testing.assert_allclose(twin.gain, real().sum(dim=(1, 2)) / designed().sum(dim=(1, 2)), rtol=0.01)
    assert twin.display_gamma == pytest.approx(1.0, abs=0.02)
    assert twin.captures == 24


def test_it_predicts_images_that_it_never_saw(plenty):
    _, twin = plenty
    unseen = pictures(6, seed=100)
    truth = world(unseen)
    assert (twin.tiles(unseen) - truth).abs().max() < 0.02
    torch.testing.assert_close(
        twin.maps(unseen), twin.tiles(unseen)[:, 0::2] - twin.tiles(unseen)[:, 1::2], atol=1e-5, rtol=1e-4
    )
    assert twin.held_out_r2.min() > 0.999


def least_squares(images, tiles):
    """Oracle: numpy's lstsq on all windows of the images, dark beyond the rim; kernels and offsets, all free."""
    padded = np.pad(images[:, 0].double().numpy(), ((0, 0), (8, 8), (8, 8)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (SUPPORT, SUPPORT), axis=(1, 2)).reshape(-1, SUPPORT**2)
    rows = np.column_stack([windows, np.ones(len(windows))])
    wanted = tiles.permute(0, 2, 3, 1).reshape(-1, TILES).double().numpy()
    solution = np.linalg.lstsq(rows, wanted, rcond=None)[0]
    return torch.from_numpy(solution[:-1].T.reshape(TILES, SUPPORT, SUPPORT)), torch.from_numpy(solution[-1])


def test_with_many_captures_it_is_least_squares():
    images, noise = pictures(24), 0.02
    tiles = world(images, noise)
    twin = fit_twin(images, tiles, designed())
    kernels, offset = least_squares(images, tiles)
    error_of_a_tap = noise / float(images.square().sum().sqrt())
    np.testing.assert_allclose(twin.kernels, kernels, atol=5 * error_of_a_tap)
    np.testing.assert_allclose(twin.offset, offset, atol=0.02)


def test_it_knows_how_much_it_cannot_predict():
    """What it claims of left-out captures is what it leaves of captures that come later."""
    images, noise = pictures(24), 0.1
    twin = fit_twin(images, world(images, noise), designed())
    later = pictures(24, seed=100)
    left = world(later, noise, seed=21) - twin.tiles(later)
    unpredicted = left.square().mean(dim=(0, 2, 3))
    assert (unpredicted < 1.2 * noise**2).all()
    np.testing.assert_allclose(1 - twin.held_out_r2, unpredicted / spread_of(world(images, noise)), rtol=0.1)
    signed = left[:, 0::2] - left[:, 1::2]
    np.testing.assert_allclose(twin.map_noise, signed.square().mean(dim=(0, 2, 3)).sqrt(), rtol=0.05)


def test_captures_of_a_closed_shutter_are_refused():
    with pytest.raises(CalibrationError, match="show the same"):
        fit_twin(pictures(16), torch.zeros(16, TILES, SIDE, SIDE), designed())


def test_one_dead_tile_is_named():
    images = pictures(16)
    tiles = world(images)
    tiles[:, 2] = 0.3
    with pytest.raises(CalibrationError, match="tiles 2 show the same"):
        fit_twin(images, tiles, designed())


def test_frames_that_come_one_image_late_are_refused():
    images = pictures(16)
    with pytest.raises(CalibrationError, match="does each frame belong to its image"):
        fit_twin(images, world(images).roll(1, 0), designed())


def test_an_image_that_is_not_a_number_is_refused():
    images = pictures(16)
    tiles = world(images)
    images[3, 0, 5, 5] = torch.nan
    with pytest.raises(CalibrationError, match="not a number"):
        fit_twin(images, tiles, designed())


@pytest.mark.parametrize("seed", [30, 40, 50])
def test_a_few_noisy_captures_are_helped_by_the_design(seed):
    """Where the design is right, the twin errs less than least squares, which knows of no design."""
    images, unseen = pictures(4, seed), pictures(6, seed=100)
    drawn, truth = (functional.conv2d(x, designed()[:, None], OFFSET, padding=3) for x in (images, unseen))
    noisy = drawn + 0.2 * torch.randn(drawn.shape, generator=generator(seed))
    kernels, offset = least_squares(images, noisy)
    free = functional.conv2d(unseen.double(), kernels[:, None], offset, padding=SUPPORT // 2)
    twin = fit_twin(images, noisy, designed())
    assert (twin.tiles(unseen) - truth).square().mean() < (free - truth).square().mean()


@pytest.mark.parametrize("gamma", [0.7, 1.6])
def test_a_display_that_is_not_linear_is_noticed(gamma):
    images = pictures(16)
    twin = fit_twin(images, world(images**gamma, noise=0.01), designed())
    assert twin.display_gamma == pytest.approx(gamma, rel=0.03)
    unseen = pictures(4, seed=100)
    truth = world(unseen**gamma)
    assert float((twin.tiles(unseen) - truth).square().mean() / truth.var()) < 0.005


def test_the_same_captures_give_the_same_twin():
    images = pictures(8)
    first, second = (fit_twin(images, world(images, noise=0.05), designed()) for _ in range(2))
    assert first.kernels.numpy().tobytes() == second.kernels.numpy().tobytes()
    assert first.display_gamma == second.display_gamma


def test_fitting_changes_nothing_that_it_was_given():
    images, kernels = pictures(8), designed()
    tiles = world(images)
    before = [array.numpy().tobytes() for array in (images, tiles, kernels)]
    fit_twin(images, tiles, kernels)
    assert [array.numpy().tobytes() for array in (images, tiles, kernels)] == before


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_captured_map_that_is_no_number_is_refused(wrong):
    images = pictures(8)
    tiles = world(images)
    tiles[5, 2, 3, 4] = wrong
    with pytest.raises(CalibrationError, match="not a number"):
        fit_twin(images, tiles, designed())


def test_too_few_captures_are_refused_with_their_number():
    images = pictures(3)
    with pytest.raises(CalibrationError, match="at least 4 captures, got 3"):
        fit_twin(images, world(images), designed())


def test_maps_that_do_not_follow_the_images_are_refused():
    """A camera that sees stray light: a constant with noise, whatever is shown."""
    images = pictures(16)
    stray = 1 + 0.1 * torch.randn(16, TILES, SIDE, SIDE, generator=generator(40))
    with pytest.raises(CalibrationError, match=r"do not follow the images .*R\^2"):
        fit_twin(images, stray, designed())


def test_captures_of_another_design_are_refused():
    images = pictures(12)
    with pytest.raises(CalibrationError, match=r"other kernels than the design's .* expected above 0\.4"):
        fit_twin(images, world(images), 0.1 - designed())


def test_captures_with_half_the_tiles_are_refused_with_both_numbers():
    images = pictures(12)
    with pytest.raises(CalibrationError, match="captures of 2 tiles, but the design has 4"):
        fit_twin(images, world(images)[:, :2], designed())


def test_frames_without_light_are_named():
    images = pictures(12)
    tiles = world(images)
    tiles[[2, 7]] = OFFSET[:, None, None]
    with pytest.raises(CalibrationError, match="frames 2, 7 of 12 are dark"):
        fit_twin(images, tiles, designed())


def test_a_dark_image_may_have_a_dark_frame():
    images = pictures(12)
    images[5] = 0
    assert fit_twin(images, world(images, noise=0.01), designed()).held_out_r2.min() > 0.9


def test_saturated_captures_are_refused():
    images = pictures(12)
    tiles = world(images)
    full = torch.quantile(tiles.transpose(0, 1).flatten(1), 0.5, dim=1)
    with pytest.raises(CalibrationError, match=r"are saturated: .* shorten the exposure"):
        fit_twin(images, torch.minimum(tiles, full[:, None, None]), designed())


def test_captures_that_do_not_fit_the_images_are_refused():
    with pytest.raises(CalibrationError, match="are not those of images of"):
        fit_twin(pictures(12), world(pictures(12))[:9], designed())
