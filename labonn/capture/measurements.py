"""The measurements behind each kind of calibration, on an open bench; `characterisation` says in which order.

Each leaves the shutter closed. What it needs from those before it comes in `Before`, read from what was kept.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.capture.before import Before, Measured, Say
from labonn.capture.calibration import middle_colour
from labonn.capture.colour import NAMES, colour_matrix, in_colour, in_turn, mosaic_of, responses
from labonn.capture.fiducials import FIDUCIAL_SCENES, fiducial_scenes, in_units, unit_taps
from labonn.capture.flat_field import flat_field, flat_field_behind
from labonn.capture.geometry import TileGeometry, decompose, find_tiles, infer_missing, mean_parts, nominal_affine
from labonn.capture.light import choose_exposure, light, take_dark, take_stack
from labonn.capture.mosaic import Mosaic
from labonn.capture.pattern_maps import measure_maps
from labonn.capture.phase_table import measure_phase_table
from labonn.capture.photon_transfer import measure_photon_transfer
from labonn.capture.psf import measure_psfs
from labonn.capture.reference import take_reference
from labonn.capture.scene import plain_scene
from labonn.capture.settling import measure_step
from labonn.errors import CalibrationError
from labonn.instruments import COLOURS, Bench

_FRAMES = 16
_LEAST_SIGNAL = 10.0  # times the noise of a dark frame
_PSF_SCENES = 16
_STEP_POINTS = 24
# Of the tiles, in one colour: a sub-aperture may make very little of one. Any two colours have tiles in common then.
_MOST_INFERRED = 0.4
_STEP_EXPOSURE_MS = 2.0
_TRANSFER_SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)


def measure_exposure(bench: Bench, before: Before, say: Say) -> Measured:
    """Find the exposure that uses the camera's range for a white display under a flat phase."""
    _show_flat_phase(bench)
    with light(bench):
        exposure_ms = choose_exposure(bench, plain_scene(1.0, bench), "a white display under a flat phase")
        frame = bench.camera.snap()
    saturated = float((frame >= bench.camera.saturation).mean())
    values = {"exposure_ms": exposure_ms, "brightest_counts": int(np.quantile(frame, 0.999)), "saturated": saturated}
    return Measured(values, fit_error=saturated, fit_error_of="share of pixels saturated")


def measure_dark(bench: Bench, before: Before, say: Say) -> Measured:
    """Average frames with the shutter closed."""
    bench.camera.exposure_ms = before.exposure_ms
    stack = take_dark(bench, _FRAMES)
    values = {"level_counts": float(stack.mean.mean()), "noise_counts": stack.noise}
    return Measured(values, {"mean": stack.mean}, stack.noise / np.sqrt(_FRAMES), "counts, standard error of a pixel")


def measure_flat(bench: Bench, before: Before, say: Say) -> Measured:
    """Normalise the picture of a white display, tile by tile."""
    white, black = _white_and_black(bench, before)
    nominal = nominal_affine(before.layout, bench.config.geometry, bench.camera.shape)
    noise = float(before.values["dark"]["noise_counts"])
    mosaic, least = mosaic_of(bench), _LEAST_SIGNAL * noise
    if mosaic is None:
        found = flat_field(white - black, nominal, before.image_shape, least)
    else:
        found = flat_field_behind(mosaic, white - black, nominal, before.image_shape, least)
    transmission = found.transmission
    if in_turn(bench):
        transmission = np.repeat(transmission[:, None], len(COLOURS), axis=1)
    lit = found.flat != 1
    signal = float((white - black)[lit].mean())
    gain_guess = noise**2 + max(signal, 0.0)  # variance in counts if a count were an electron: an upper bound
    error = float(np.sqrt(2 * gain_guess / _FRAMES) / signal)
    values = {"transmission": transmission.tolist(), "signal_counts": signal}
    return Measured(values, {"flat": found.flat}, error, "share, at most, standard error of a pixel")


def measure_colour(bench: Bench, before: Before, say: Say) -> Measured:
    """Show each colour alone, and find how much of it every filter sees."""
    mosaic, planes = mosaic_of(bench), bench.display.planes
    if mosaic is None or planes is None:
        raise CalibrationError("colour: this bench is grey; its camera's table names no filters")
    _show_flat_phase(bench)
    bench.camera.exposure_ms = before.exposure_ms
    with light(bench):
        bench.display.show(plain_scene(0.0, bench))
        black = take_stack(bench, _FRAMES)
        pictures = []
        for colour in range(len(COLOURS)):
            bench.display.show(plain_scene(1.0, bench, colour))
            pictures.append(take_stack(bench, _FRAMES).mean - black.mean)
    nominal = nominal_affine(before.layout, bench.config.geometry, bench.camera.shape)
    boxes = [_inner_half(affine, before.image_shape) for affine in nominal]
    seen = np.stack([responses(picture, boxes) for picture in pictures], axis=-1)
    found = colour_matrix(seen, mosaic, planes, black.noise)
    values = {
        "filters": mosaic.filters,
        "matrix": found.matrix.tolist(),
        "brightness_counts": found.brightness.tolist(),
        "noise_grows": found.condition,
    }
    arrays = {"matrix": found.matrix, "unmixing": found.unmixing, "seen": seen}
    return Measured(values, arrays, found.spread, "rms of the tiles' own matrices from their mean")


def measure_geometry(bench: Bench, before: Before, say: Say) -> Measured:
    """Find every tile by discs on the display: shift, rotation, scale and shear; in colour for each colour."""
    _show_flat_phase(bench)
    bench.camera.exposure_ms = before.exposure_ms
    if in_colour(bench):
        return _geometry_in_colour(bench, before, say, mosaic_of(bench))
    with light(bench):
        found, failures, seen = _find_tiles(bench, before)
    if failures:
        raise next(iter(failures.values()))
    nominal = nominal_affine(before.layout, bench.config.geometry, bench.camera.shape)
    parts = [decompose(affine, reference) for affine, reference in zip(found.affine, nominal, strict=True)]
    values = {"tiles": parts, "rms_px": found.rms_px.tolist()}
    rms_px = float(np.sqrt(np.mean(found.rms_px**2)))
    arrays = {"affine": found.affine, "reference": seen[0]}
    return Measured(values, arrays, rms_px, "px rms of the discs from an affine map")


def _geometry_in_colour(bench: Bench, before: Before, say: Say, mosaic: Mosaic | None) -> Measured:
    found: list[TileGeometry] = []
    inferred: dict[str, list[int]] = {}
    with light(bench):
        for colour, letter in enumerate(COLOURS):
            say(f"geometry in {NAMES[letter]}")
            geometry, failures, _ = _find_tiles(bench, before, mosaic, colour)
            if len(failures) > _MOST_INFERRED * len(before.layout.sub_apertures):
                error = next(iter(failures.values()))
                raise CalibrationError(
                    f"in {NAMES[letter]} {len(failures)} of {len(before.layout.sub_apertures)} tiles are not found;"
                    f" the first of them: {error}"
                ) from error
            found.append(geometry)
            inferred[NAMES[letter]] = list(failures)
        reference = take_reference(bench)
    affine = np.stack([one.affine for one in found], axis=1)
    rms = np.stack([one.rms_px for one in found], axis=1)
    if (lost := np.isnan(rms).all(axis=1)).any():
        raise CalibrationError(
            f"tile {int(np.flatnonzero(lost)[0])}: is found in no colour; check that sub-aperture, the focus and the"
            " exposure"
        )
    affine, rms = infer_missing(affine), np.where(np.isnan(rms), np.nanmean(rms), rms)
    middle = middle_colour(affine)
    nominal = nominal_affine(before.layout, bench.config.geometry, bench.camera.shape)
    parts = [decompose(one, reference_place) for one, reference_place in zip(middle, nominal, strict=True)]
    values = {
        "tiles": parts,
        "rms_px": rms.tolist(),
        "inferred": inferred,
        "chromatic": {NAMES[letter]: mean_parts(affine[:, colour], middle) for colour, letter in enumerate(COLOURS)},
    }
    arrays: dict[str, NDArray[Any]] = {"affine": affine, "reference": reference}
    return Measured(values, arrays, float(np.sqrt(np.mean(rms**2))), "px rms of the discs from an affine map")


def _find_tiles(
    bench: Bench, before: Before, mosaic: Mosaic | None = None, colour: int | None = None
) -> tuple[TileGeometry, dict[int, CalibrationError], NDArray[np.float32]]:
    """Show the discs, white or in one colour, and find the tiles; gives the pictures, too, (scenes, H, W)."""
    stacks = []
    for scene in fiducial_scenes(bench, colour):
        bench.display.show(scene)
        stacks.append(take_stack(bench, _FRAMES // FIDUCIAL_SCENES))
    seen = np.stack([stack.mean for stack in stacks])
    noise = float(np.mean([stack.noise for stack in stacks]))
    nominal = nominal_affine(before.layout, bench.config.geometry, bench.camera.shape)
    pictures = seen - before.arrays["dark"]["mean"]
    if mosaic is not None and colour is not None:
        pictures = np.stack([mosaic.picture(picture, COLOURS[colour]) for picture in pictures])
    unit = unit_taps(bench)
    found, failures = find_tiles(pictures, in_units(nominal, unit), noise, seen >= bench.camera.saturation)
    found.affine[..., :2] /= unit
    return found, failures, seen


def measure_tile_gain(bench: Bench, before: Before, say: Say) -> Measured:
    """Compare the tiles' light for a white and a black display, each within its own outline."""
    dark = before.arrays["dark"]["mean"]
    if in_turn(bench):
        return _tile_gain_in_turn(bench, before)
    white, black = _white_and_black(bench, before)
    if (mosaic := mosaic_of(bench)) is not None:
        return _tile_gain_in_colour(before, mosaic, white - black, black - dark)
    gains, backgrounds, errors = [], [], []
    for affine in before.affine:
        rows, columns = _inner_half(affine, before.image_shape)
        lit = (white - black)[rows, columns]
        gains.append(float(lit.mean()))
        backgrounds.append(float((black - dark)[rows, columns].mean()))
        errors.append(float(lit.std() / np.sqrt(lit.size)) / gains[-1])
    mean = float(np.mean(gains))
    values = {"gain": [gain / mean for gain in gains], "background_counts": backgrounds, "mean_counts": mean}
    return Measured(values, fit_error=float(np.mean(errors)), fit_error_of="share, standard error of a tile's gain")


def _tile_gain_in_colour(
    before: Before, mosaic: Mosaic, lit: NDArray[np.float32], unlit: NDArray[np.float32]
) -> Measured:
    """Do the same for each colour, in its own place on each tile, unmixed."""
    unmixing = before.arrays["colour"]["unmixing"]
    masks = [mosaic.mask(colour, lit.shape) for colour in COLOURS]
    gains, backgrounds = np.empty(before.affine.shape[:2]), np.empty(before.affine.shape[:2])
    variance = np.empty(before.affine.shape[:2])
    for tile, affines in enumerate(before.affine):
        for colour, affine in enumerate(affines):
            box = _inner_half(affine, before.image_shape)
            behind, stray = ([picture[box][mask[box]] for mask in masks] for picture in (lit, unlit))
            gains[tile, colour] = unmixing[colour] @ [part.mean() for part in behind]
            backgrounds[tile, colour] = unmixing[colour] @ [part.mean() for part in stray]
            variance[tile, colour] = unmixing[colour] ** 2 @ [part.var() / part.size for part in behind]
    return _gains_in_colour(gains, backgrounds, variance)


def _tile_gain_in_turn(bench: Bench, before: Before) -> Measured:
    """Do the same for colours that are shown one after another."""
    gains, backgrounds = np.empty(before.affine.shape[:2]), np.empty(before.affine.shape[:2])
    variance = np.empty(before.affine.shape[:2])
    for colour in range(len(COLOURS)):
        plain, black = _white_and_black(bench, before, colour)
        for tile, affine in enumerate(before.affine[:, colour]):
            box = _inner_half(affine, before.image_shape)
            lit = (plain - black)[box]
            gains[tile, colour], variance[tile, colour] = lit.mean(), lit.var() / lit.size
            backgrounds[tile, colour] = (black - before.arrays["dark"]["mean"])[box].mean()
    return _gains_in_colour(gains, backgrounds, variance)


def _gains_in_colour(
    gains: NDArray[np.float64], backgrounds: NDArray[np.float64], variance: NDArray[np.float64]
) -> Measured:
    mean = gains.mean(axis=0)
    values = {
        "gain": (gains / mean).tolist(),
        "background_counts": backgrounds.tolist(),
        "mean_counts": mean.tolist(),
    }
    error = float(np.mean(np.sqrt(variance) / gains))
    return Measured(values, fit_error=error, fit_error_of="share, standard error of a tile's gain in one colour")


def _inner_half(affine: NDArray[np.float64], image_shape: tuple[int, int]) -> tuple[slice, slice]:
    """Pixels of a tile's inner half: the outer taps are blurred over the edge, and vignetted."""
    reach = [abs(affine[axis, axis]) * image_shape[axis] / 4 for axis in (0, 1)]
    rows, columns = (
        slice(round(affine[axis, 2] - reach[axis]), round(affine[axis, 2] + reach[axis]) + 1) for axis in (0, 1)
    )
    return rows, columns


def measure_psf(bench: Bench, before: Before, say: Say) -> Measured:
    """Measure every sub-aperture's PSF under a flat phase; in colour for each colour."""
    _show_flat_phase(bench)
    bench.camera.exposure_ms = before.exposure_ms
    if in_colour(bench):
        return _psf_in_colour(bench, before, say, mosaic_of(bench))
    found = measure_psfs(bench, before.affine, scenes=_PSF_SCENES, on_scene=lambda n: say(f"scene {n}"))
    values = {
        "pixel_um": found.pixel_um,
        "spread_px": _spread_px(found.psf),
        "residual": found.residual.tolist(),
    }
    return Measured(values, {"psf": found.psf}, float(found.residual.mean()), "share, rms of what is not explained")


def _psf_in_colour(bench: Bench, before: Before, say: Say, mosaic: Mosaic | None) -> Measured:
    psfs, residuals = [], []
    for colour, letter in enumerate(COLOURS):
        say(f"PSF in {NAMES[letter]}")
        own = before.affine[:, colour]
        found = measure_psfs(bench, own, scenes=_PSF_SCENES, colour=colour, mosaic=mosaic)
        psfs.append(found.psf)
        residuals.append(found.residual)
    psf, residual = np.stack(psfs, axis=1), np.stack(residuals, axis=1)
    values = {"pixel_um": found.pixel_um, "spread_px": _spread_px(psf), "residual": residual.tolist()}
    return Measured(values, {"psf": psf}, float(residual.mean()), "share, rms of what is not explained")


def measure_phase(bench: Bench, before: Before, say: Say) -> Measured:
    """Measure which phase the SLM's levels turn."""
    _show_flat_phase(bench)
    bench.camera.exposure_ms = before.exposure_ms
    bench.slm.phase_of_levels = None  # levels, as the bench file would have them, are what is measured
    found = measure_phase_table(bench, before.layout, before.affine, on_pattern=lambda n: say(f"pattern {n}"))
    values = {
        "scale": found.scale,
        "gamma": found.gamma,
        "levels_per_2pi": found.levels_per_2pi,
        "turn_at_highest_level_rad": float(found.phase_rad(np.array([bench.slm.max_level]))[0]),
    }
    arrays = {
        "levels": found.levels,
        "zeroth_order": found.zeroth_order,
        "phase_rad": found.phase_rad(np.arange(bench.slm.max_level + 1)),
    }
    return Measured(values, arrays, found.rms, "share of the zeroth order, rms")


def measure_settling(bench: Bench, before: Before, say: Say) -> Measured:
    """Measure how long the display takes to settle to 99 %, and its latency."""
    longest_ms = 2 * max(bench.display.settle_ms, _STEP_EXPOSURE_MS)
    exposure_ms = min(_STEP_EXPOSURE_MS, before.exposure_ms)
    _show_flat_phase(bench)
    bench.camera.exposure_ms = exposure_ms
    found = measure_step(bench, exposure_ms, np.linspace(0, longest_ms, _STEP_POINTS))
    values = {
        "latency_ms": found.latency_ms,
        "settled_ms": found.settled_ms,
        "command_ms": found.command_ms,
        "exposure_ms": found.exposure_ms,
        "by": found.by,
    }
    fitted = found.level if found.fitted_level is None else found.fitted_level
    error = float(np.sqrt(np.mean((fitted - found.level) ** 2)))
    return Measured(
        values,
        {"delay_ms": found.delay_ms, "level": found.level, "fitted_level": fitted},
        error,
        "share of a step, rms",
    )


def measure_transfer(bench: Bench, before: Before, say: Say) -> Measured:
    """Measure the camera's photon transfer."""
    exposures_ms = [share * before.exposure_ms for share in _TRANSFER_SHARES]
    _show_flat_phase(bench)
    bench.camera.exposure_ms = before.exposure_ms
    found = measure_photon_transfer(bench, exposures_ms, say)
    values = {
        "gain_e_per_dn": found.gain_e_per_dn,
        "read_noise_e": found.read_noise_e,
        "read_noise_dn": found.read_noise_dn,
        "black_dn": found.black_dn,
        "full_scale_e": found.full_scale_e,
        "nonlinearity": found.nonlinearity,
        "hot_px": found.hot_px.tolist(),
        "stuck_px": found.stuck_px.tolist(),
    }
    arrays = {"signal_dn": found.signal_dn, "variance_dn2": found.variance_dn2}
    return Measured(values, arrays, found.gain_error, "share, standard error of the conversion gain")


MEASUREMENTS: dict[str, Callable[[Bench, Before, Say], Measured]] = {
    "exposure": measure_exposure,
    "dark": measure_dark,
    "colour": measure_colour,
    "flat": measure_flat,
    "geometry": measure_geometry,
    "tile-gain": measure_tile_gain,
    "psf": measure_psf,
    "phase-table": measure_phase,
    "settling": measure_settling,
    "photon-transfer": measure_transfer,
    "maps": measure_maps,
}
"""By the names of `characterisation.KINDS`."""


def _white_and_black(
    bench: Bench, before: Before, colour: int | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    _show_flat_phase(bench)
    bench.camera.exposure_ms = before.exposure_ms
    with light(bench):
        bench.display.show(plain_scene(1.0, bench, colour))
        white = take_stack(bench, _FRAMES).mean
        # Stray light of the source itself arrives whatever the display shows.
        bench.display.show(plain_scene(0.0, bench))
        return white, take_stack(bench, _FRAMES).mean


def _spread_px(psfs: NDArray[np.float32]) -> Any:
    """Standard deviation along one axis of each PSF (..., side, side), as lists."""
    y, x = np.mgrid[: psfs.shape[-2], : psfs.shape[-1]] - psfs.shape[-2] // 2
    return np.sqrt((np.clip(psfs, 0, None) * (y**2 + x**2)).sum(axis=(-2, -1)) / 2).tolist()


def _show_flat_phase(bench: Bench) -> None:
    if bench.has_slm:
        bench.slm.show(np.zeros(bench.slm.shape, np.float32))
