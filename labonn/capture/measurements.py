"""The measurements behind each kind of calibration, on an open bench; `characterisation` says in which order.

Each leaves the shutter closed. What it needs from those before it comes in `Before`, read from what was kept.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from labonn.capture.before import Before, Measured, Say
from labonn.capture.fiducials import FIDUCIAL_SCENES, fiducial_scenes
from labonn.capture.flat_field import flat_field
from labonn.capture.geometry import find_geometry, nominal_affine
from labonn.capture.light import choose_exposure, light, take_dark, take_stack
from labonn.capture.pattern_maps import measure_maps
from labonn.capture.phase_table import measure_phase_table
from labonn.capture.photon_transfer import measure_photon_transfer
from labonn.capture.psf import measure_psfs
from labonn.capture.scene import plain_scene
from labonn.capture.settling import measure_step
from labonn.instruments import Bench

_FRAMES = 16
_LEAST_SIGNAL = 10.0  # times the noise of a dark frame
_PSF_SCENES = 16
_STEP_POINTS = 24
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
    found = flat_field(white - black, nominal, before.image_shape, _LEAST_SIGNAL * noise)
    lit = found.flat != 1
    signal = float((white - black)[lit].mean())
    gain_guess = noise**2 + max(signal, 0.0)  # variance in counts if a count were an electron: an upper bound
    error = float(np.sqrt(2 * gain_guess / _FRAMES) / signal)
    values = {"transmission": found.transmission.tolist(), "signal_counts": signal}
    return Measured(values, {"flat": found.flat}, error, "share, at most, standard error of a pixel")


def measure_geometry(bench: Bench, before: Before, say: Say) -> Measured:
    """Find every tile by discs on the display: shift, rotation, scale and shear."""
    _show_flat_phase(bench)
    bench.camera.exposure_ms = before.exposure_ms
    with light(bench):
        stacks = []
        for scene in fiducial_scenes(bench):
            bench.display.show(scene)
            stacks.append(take_stack(bench, _FRAMES // FIDUCIAL_SCENES))
    seen = np.stack([stack.mean for stack in stacks])
    noise = float(np.mean([stack.noise for stack in stacks]))
    nominal = nominal_affine(before.layout, bench.config.geometry, bench.camera.shape)
    found = find_geometry(seen - before.arrays["dark"]["mean"], nominal, noise, seen >= bench.camera.saturation)
    parts = [decompose(affine, reference) for affine, reference in zip(found.affine, nominal, strict=True)]
    values = {"tiles": parts, "rms_px": found.rms_px.tolist()}
    rms_px = float(np.sqrt(np.mean(found.rms_px**2)))
    arrays = {"affine": found.affine, "reference": seen[0]}
    return Measured(values, arrays, rms_px, "px rms of the discs from an affine map")


def decompose(affine: NDArray[np.float64], nominal: NDArray[np.float64]) -> dict[str, float]:
    """Shift in px, rotation in degrees, scale and shear of one tile (2, 3) against its nominal place."""
    turn = affine[:, :2] @ np.linalg.inv(nominal[:, :2])
    scale_x = float(np.hypot(turn[0, 1], turn[1, 1]))
    angle = float(np.arctan2(-turn[0, 1], turn[1, 1]))
    # What is left of the vertical axis once the horizontal one is turned back and scaled.
    back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) @ turn
    shift = affine[:, 2] - nominal[:, 2]
    return {
        "shift_down_px": float(shift[0]),
        "shift_right_px": float(shift[1]),
        "rotation_deg": float(np.rad2deg(angle)),
        "scale": float(np.sqrt(scale_x * abs(back[0, 0]))),
        "shear": float(back[1, 0] / scale_x),
    }


def measure_tile_gain(bench: Bench, before: Before, say: Say) -> Measured:
    """Compare the tiles' light for a white and a black display, each within its own outline."""
    white, black = _white_and_black(bench, before)
    dark = before.arrays["dark"]["mean"]
    gains, backgrounds, errors = [], [], []
    for affine in before.affine:
        # The inner half: the outer taps are blurred over the edge, and vignetted.
        reach = [abs(affine[axis, axis]) * before.image_shape[axis] / 4 for axis in (0, 1)]
        rows, columns = (
            slice(round(affine[axis, 2] - reach[axis]), round(affine[axis, 2] + reach[axis]) + 1) for axis in (0, 1)
        )
        lit = (white - black)[rows, columns]
        gains.append(float(lit.mean()))
        backgrounds.append(float((black - dark)[rows, columns].mean()))
        errors.append(float(lit.std() / np.sqrt(lit.size)) / gains[-1])
    mean = float(np.mean(gains))
    values = {"gain": [gain / mean for gain in gains], "background_counts": backgrounds, "mean_counts": mean}
    return Measured(values, fit_error=float(np.mean(errors)), fit_error_of="share, standard error of a tile's gain")


def measure_psf(bench: Bench, before: Before, say: Say) -> Measured:
    """Measure every sub-aperture's PSF under a flat phase."""
    _show_flat_phase(bench)
    bench.camera.exposure_ms = before.exposure_ms
    found = measure_psfs(bench, before.affine, scenes=_PSF_SCENES, on_scene=lambda n: say(f"scene {n}"))
    y, x = np.mgrid[: found.psf.shape[1], : found.psf.shape[2]] - found.psf.shape[1] // 2
    spread_px = [float(np.sqrt((np.clip(psf, 0, None) * (y**2 + x**2)).sum() / 2)) for psf in found.psf]
    values = {"pixel_um": found.pixel_um, "spread_px": spread_px, "residual": found.residual.tolist()}
    return Measured(values, {"psf": found.psf}, float(found.residual.mean()), "share, rms of what is not explained")


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


def _white_and_black(bench: Bench, before: Before) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    _show_flat_phase(bench)
    bench.camera.exposure_ms = before.exposure_ms
    with light(bench):
        bench.display.show(plain_scene(1.0, bench))
        white = take_stack(bench, _FRAMES).mean
        # Stray light of the source itself arrives whatever the display shows.
        bench.display.show(plain_scene(0.0, bench))
        return white, take_stack(bench, _FRAMES).mean


def _show_flat_phase(bench: Bench) -> None:
    if bench.has_slm:
        bench.slm.show(np.zeros(bench.slm.shape, np.float32))
