"""The calibration of a bench, each step in the one right order."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from labonn.capture.calibration import Calibration
from labonn.capture.fiducials import fiducial_scenes
from labonn.capture.flat_field import flat_field
from labonn.capture.frame_check import saturated_px
from labonn.capture.gain import fit_gains
from labonn.capture.geometry import find_geometry, nominal_affine
from labonn.capture.light import choose_exposure, light, take_dark, take_stack
from labonn.capture.loop import take_images
from labonn.capture.registration import Registration
from labonn.capture.retakes import CaptureCounts
from labonn.capture.scene import plain_scene, scene_of
from labonn.design import Layout
from labonn.errors import CalibrationError
from labonn.instruments import Bench

_FRAMES = 16  # of a dark or white stack: shot noise of a flat-field pixel then stays near 0.3 %
_FIDUCIAL_FRAMES = 4
# When a probe image saturates although the one that should be brightest did not.
_EXPOSURES_TRIED = 4
_SHORTER = 0.7
_MOST_SATURATED = 1e-4  # of a frame: hot pixels
# A signal fainter than this many standard deviations of the dark frames' noise is none.
_LEAST_SIGNAL = 10.0


def calibrate(
    bench: Bench,
    layout: Layout,
    pattern_rad: NDArray[np.float32],
    probe_images: NDArray[np.float32],
    predicted_tiles: NDArray[np.float32],
    on_step: Callable[[str], None] | None = None,
) -> Calibration:
    """Calibrate a bench for one phase pattern, which is on its SLM when this ends.

    In order, because each needs the ones before it: exposure, dark frame, flat field and geometry under a flat phase;
    then with the pattern the exposure for captures, its dark frame, and each tile's gain and background.

    Parameters
    ----------
    bench
        An open bench. Its shutter is closed when this ends.
    layout
        Which sub-aperture makes which tile.
    pattern_rad
        The student's phase pattern, (H, W) of the SLM.
    probe_images
        Images to fit gain and background on, (N, h, w) in [0, 1].
    predicted_tiles
        The student's optical maps of them, (N, T, h, w).
    on_step
        Told the name of each step as it begins.

    Raises
    ------
    CalibrationError
        If a step fails; the message names it, the tile and what to do.
    InstrumentError
        If an instrument fails.
    """
    expected = (len(probe_images), len(layout.sub_apertures), *probe_images.shape[1:])
    if predicted_tiles.shape != expected:
        raise ValueError(f"predicted_tiles of shape {predicted_tiles.shape} do not fit the probe images: {expected}")
    begin = on_step or (lambda _: None)
    image_shape = (probe_images.shape[1], probe_images.shape[2])
    begin("flat phase")
    bench.slm.show(np.zeros(bench.slm.shape, np.float32))
    white = plain_scene(1.0, bench)
    with light(bench):
        begin("exposure")
        choose_exposure(bench, white, "a white display under a flat phase")
        begin("dark frame and flat field")
        black_stack = take_dark(bench, _FRAMES)
        blank = _blank(bench, layout, image_shape, black_stack.mean, black_stack.noise)
        bench.shutter.open()
        blank = _with_flat_field(bench, blank, white)
        begin("geometry")
        blank = _with_geometry(bench, blank)
    begin("phase pattern")
    bench.slm.show(pattern_rad)
    with light(bench):
        begin("exposure for captures")
        brightest = probe_images[int(np.argmax(predicted_tiles.max(axis=(1, 2, 3))))]
        choose_exposure(bench, scene_of(brightest, bench), "the brightest probe image")
        for _ in range(_EXPOSURES_TRIED):
            dark = take_dark(bench, _FRAMES)
            begin("gain and background")
            bench.shutter.open()
            ready = replace(blank, exposure_ms=bench.camera.exposure_ms, dark=dark.mean, dark_noise=dark.noise)
            captured, saturated = _capture_probes(bench, Registration(ready), probe_images)
            if not saturated:
                return _with_gains(ready, captured, predicted_tiles)
            bench.camera.exposure_ms *= _SHORTER
    raise CalibrationError(
        f"some probe image saturates the camera at every exposure down to {bench.camera.exposure_ms / _SHORTER:.3g} ms;"
        " dim the light, and look for a reflection"
    )


def _blank(
    bench: Bench, layout: Layout, image_shape: tuple[int, int], dark: NDArray[np.float32], dark_noise: float
) -> Calibration:
    """Give the calibration that stands before anything but the dark frame is known."""
    affine = nominal_affine(layout, bench.config.geometry, bench.camera.shape)
    tiles = len(affine)
    return Calibration(
        bench=bench.name,
        made_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        image_shape=image_shape,
        exposure_ms=bench.camera.exposure_ms,
        dark=dark,
        dark_noise=dark_noise,
        flat=np.ones_like(dark),
        affine=affine,
        geometry_rms_px=np.full(tiles, np.nan),
        transmission=np.ones(tiles),
        gain=np.ones(tiles),
        background=np.zeros(tiles),
        gain_residual=np.full(tiles, np.nan),
    )


def _with_flat_field(bench: Bench, blank: Calibration, white: NDArray[np.float32]) -> Calibration:
    bench.display.show(white)
    lit = take_stack(bench, _FRAMES).mean
    # Stray light of the source itself arrives whatever the display shows, and not through the optics.
    bench.display.show(plain_scene(0.0, bench))
    unlit = take_stack(bench, _FRAMES).mean
    field = flat_field(lit - unlit, blank.affine, blank.image_shape, _LEAST_SIGNAL * blank.dark_noise)
    return replace(blank, flat=field.flat, transmission=field.transmission)


def _with_geometry(bench: Bench, blank: Calibration) -> Calibration:
    stacks = []
    for scene in fiducial_scenes(bench):
        bench.display.show(scene)
        stacks.append(take_stack(bench, _FIDUCIAL_FRAMES))
    seen, noise = np.stack([stack.mean for stack in stacks]), float(np.mean([stack.noise for stack in stacks]))
    found = find_geometry(seen - blank.dark, blank.affine, noise, seen >= bench.camera.saturation)
    return replace(blank, affine=found.affine, geometry_rms_px=found.rms_px)


def _capture_probes(
    bench: Bench, registration: Registration, probe_images: NDArray[np.float32]
) -> tuple[NDArray[np.float32], bool]:
    """Capture the probe images; give their maps in counts, (N, T, h, w), and whether any of them saturated."""
    captured = []
    for shot in take_images(bench, probe_images, registration, CaptureCounts(), most_saturated=1.0):
        if saturated_px(shot.frame, bench.camera.saturation) > _MOST_SATURATED * shot.frame.size:
            return np.empty(0, np.float32), True
        captured.append(shot.tiles)
    return np.stack(captured), False


def _with_gains(ready: Calibration, captured: NDArray[np.float32], predicted_tiles: NDArray[np.float32]) -> Calibration:
    swing = captured.max(axis=(0, 2, 3)) - captured.min(axis=(0, 2, 3))
    # A cell averages many pixels, so a swing of one pixel's noise is already well above a cell's own.
    if (weak := swing < ready.dark_noise).any():
        tile = int(np.flatnonzero(weak)[0])
        raise CalibrationError(
            f"tile {tile}: the probe images move its map by {swing[tile]:.2g} counts, no more than noise does; check"
            " the SLM's pattern, the display and the light"
        )
    gains = fit_gains(captured, predicted_tiles)
    return replace(ready, gain=gains.gain, background=gains.background, gain_residual=gains.residual)
