"""Fitting the optical twin to captures, without labels."""

import torch
from torch import Tensor

from labonn.compensation.twin import Twin
from labonn.compensation.twin_basis import ALL_PARTS, Basis, Part
from labonn.compensation.twin_checks import check_captures, check_explained, check_frames, check_likeness, spread_of
from labonn.compensation.twin_display import Display, Fitted, fit_display, fit_kernels, fold_moments, plain, quick_basis
from labonn.compensation.twin_noise import fit_noise
from labonn.compensation.twin_selection import Selection, select
from labonn.compensation.twin_sensor import Sensor, fit_sensor, straight
from labonn.optics import signed_maps

FOLDS = 4
# Part of the left-out residual that a part must take away to be believed: with many captures, with one.
WORTH, WORTH_OF_ONE = 0.005, 0.1
SENSOR_ROUNDS = 6
WORTH_A_LOOK = 0.05  # of the residual, by a curve without refitting the kernels, before anybody does
MOST_CAPTURES = 500  # more do not make it better, only slower


def fit_twin(images: Tensor, tiles: Tensor, designed_kernels: Tensor, *, parts: tuple[Part, ...] = ALL_PARTS) -> Twin:
    """Refit the frontend to captures, without labels.

    The weights are a ridge regression towards the designed kernels, blurred and moved as all tiles are. Which parts
    there are beyond kernels and offsets, the display's gamma, the frames' levels and the sensor's curve, and how much
    the prior weighs, is what predicts each quarter of the captures from the others best; simplest first.

    Parameters
    ----------
    images
        (N, 1, H, W) float32, what was shown; in colour (N, C, H, W), the tiles' own first.
    tiles
        (N, T, H, W) float32, what was captured.
    designed_kernels
        (T, taps, taps) float32, the student's.
    parts
        What may be chosen, the simplest first; "kernel" and "offset" always are.

    Raises
    ------
    CalibrationError
        If there are too few captures, one is not a number, dark or not of its image, a tile is missing, or the tiles do
        not follow the images at all.
    """
    check_captures(images, tiles, designed_kernels)
    check_frames(images, tiles)
    images, tiles = images[:MOST_CAPTURES].float(), tiles[:MOST_CAPTURES].float()
    fold = torch.arange(len(images)) % FOLDS
    worth = max(WORTH, WORTH_OF_ONE / len(images))
    display, sensor, base = _curves(images, tiles, designed_kernels, fold, worth)
    light, linear = display.light(images), sensor.light(tiles)

    wide = Basis(parts, (images.shape[2], images.shape[3]), others=images.shape[1] - 1)
    selection = select(wide, fold_moments(wide, light, linear, fold), base.expected, worth)
    predicted = sensor.read(_left_out(selection, light, fold))
    residual = tiles - predicted
    r2 = 1 - residual.square().mean(dim=(0, 2, 3)) / spread_of(tiles)
    check_explained(r2)

    whole = selection.folds.whole
    weights = whole.solve(selection.precision, selection.prior)
    variance = whole.error(weights) / whole.readings
    signed = signed_maps(residual)
    kernels = selection.basis.kernels(weights)[:, 0]
    check_likeness(kernels, designed_kernels)
    return Twin(
        basis=selection.basis,
        weights=weights.float(),
        display_gamma=display.gamma,
        display_gamma_se=display.gamma_se,
        sensor=sensor,
        level_rms=display.level_rms,
        noise=fit_noise(predicted, residual),
        gain=(kernels.sum(dim=(1, 2)) / designed_kernels.double().sum(dim=(1, 2)).clamp_min(1e-12)).float(),
        held_out_r2=r2,
        map_noise=signed.square().mean(dim=(0, 2, 3)).sqrt(),
        residual=residual.square().mean(dim=0).sqrt(),
        ridge=selection.ridge,
        gains=selection.gains,
        spread=whole.factor(selection.precision).float(),
        spread_scale=variance.sqrt().float(),
        captures=len(images),
    )


def _curves(
    images: Tensor, tiles: Tensor, designed: Tensor, fold: Tensor, worth: float
) -> tuple[Display, Sensor, Fitted]:
    """Find the display, then the sensor's curve; the sensor stays straight unless its curve is worth it.

    A sensor that saturates looks like a display of another gamma: the curve is looked for with a linear display, too.
    """
    display, best = fit_display(images, tiles, designed, fold, plain(len(images)), worth)
    sensor, error = straight(tiles.shape[1]), best.error
    for tried in (display, Display(1.0, 0.0, display.level))[: 1 if display.gamma == 1.0 else 2]:
        light = tried.light(images)
        fitted = fit_kernels(light, tiles, designed, fold)
        bent = fit_sensor(_light_of(fitted, light, fold), tiles)
        if not _reading_error(fitted, bent, light, tiles, fold) < (1 - WORTH_A_LOOK) * fitted.error:
            continue
        for _ in range(SENSOR_ROUNDS):
            fitted = fit_kernels(light, bent.light(tiles), designed, fold)
            left = _reading_error(fitted, bent, light, tiles, fold)
            if left < (1 - worth) * error:
                display, sensor, best, error = tried, bent, fitted, left
            bent = fit_sensor(_light_of(fitted, light, fold), tiles)
    if not sensor.straight:
        finer, fitted = fit_display(images, sensor.light(tiles), designed, fold, display, worth)
        if _reading_error(fitted, sensor, finer.light(images), tiles, fold) < error:
            display, best = finer, fitted
    return display, sensor, best


def _light_of(fitted: Fitted, light: Tensor, fold: Tensor) -> Tensor:
    """What a quick fit says of the light of each capture's tiles, from the captures of the other folds."""
    basis = quick_basis(light)
    held_out = fitted.folds.held_out(fitted.precision, fitted.expected.mean(basis))
    return _by_fold(basis, held_out, light, fold)


def _reading_error(fitted: Fitted, sensor: Sensor, light: Tensor, tiles: Tensor, fold: Tensor) -> float:
    """Left-out residual of readings, not of the light that a sensor's curve makes of them."""
    left = (tiles - sensor.read(_light_of(fitted, light, fold))).double()
    return float(left.square().mean(dim=(0, 2, 3)).sum())


def _left_out(selection: Selection, light: Tensor, fold: Tensor) -> Tensor:
    """The light of each capture's tiles, predicted from the captures of the other folds, (N, T, H, W)."""
    held_out = selection.folds.held_out(selection.precision, selection.prior)
    return _by_fold(selection.basis, held_out, light, fold)


def _by_fold(basis: Basis, weights: list[Tensor], light: Tensor, fold: Tensor) -> Tensor:
    predicted = light.new_empty(len(light), weights[0].shape[1], *light.shape[2:])
    for k, mine in enumerate(weights):
        predicted[fold == k] = basis.predict(light[fold == k], mine.float())
    return predicted
