"""Exposure, dark frame, and each tile's gain and background behind a student's own phase pattern."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.capture.alignment import shifts_taps
from labonn.capture.before import Before, Measured, Pattern, Say
from labonn.capture.calibration import Calibration
from labonn.capture.colour import in_turn
from labonn.capture.frame_check import saturated_px
from labonn.capture.gain import fit_gains
from labonn.capture.light import choose_exposure, light, take_dark
from labonn.capture.loop import take_images
from labonn.capture.reference import take_reference
from labonn.capture.registration import Registration, named
from labonn.capture.retakes import CaptureCounts
from labonn.capture.scene import scene_of
from labonn.errors import CalibrationError
from labonn.instruments import Bench

Floats = NDArray[np.float32]

_DARK_FRAMES = 16
# When a probe image saturates although the one that should be brightest did not.
_EXPOSURES_TRIED = 4
_SHORTER = 0.7
_ALIGNED = 2  # times
_MOST_SATURATED = 1e-4  # of a frame: hot pixels


def measure_maps(bench: Bench, before: Before, say: Say) -> Measured:
    """Measure what turns frames into the student's maps; the pattern is on the SLM when this ends well.

    Raises
    ------
    CalibrationError
        If no pattern was given, a probe image saturates at every exposure, or a tile does not follow the student's map.
    """
    pattern = before.pattern
    if pattern is None:
        raise CalibrationError("maps: no network is in use on this bench; train and deploy one first")
    one = np.ones(before.affine.shape[:-2])
    if pattern.predicted_tiles.shape[1:-2] != one.shape:
        raise CalibrationError(
            f"maps: the network in use has maps of {pattern.predicted_tiles.shape[1:-2]} (tiles, and colours if any),"
            f" and the bench is calibrated for {one.shape}; a network in colour needs a bench in colour, and the other"
            " way round"
        )
    if pattern.phase_rad is not None:
        bench.slm.show(pattern.phase_rad)
    with light(bench):
        say("exposure for captures")
        images = pattern.predicted_tiles.reshape(len(pattern.probe_images), -1)
        brightest = pattern.probe_images[int(np.argmax(images.max(axis=1)))]
        choose_exposure(bench, _brightest_scene(brightest, bench), "the brightest probe image")
        for _ in range(_EXPOSURES_TRIED):
            say("dark frame for captures")
            dark = take_dark(bench, _DARK_FRAMES)
            bench.shutter.open()
            say("gain and background")
            blank = Measured(
                {"exposure_ms": bench.camera.exposure_ms, "dark_noise": dark.noise},
                {"dark": dark.mean, "gain": one, "background": 0 * one, "gain_residual": np.nan * one},
            )
            registration = Registration(assembled(bench.name, before, blank))
            captured = _capture(bench, registration, pattern.probe_images)
            if captured is not None and not bench.has_slm:
                blank, captured = _aligned(bench, before, blank, captured, pattern, say)
            if captured is not None:
                return _with_gains(bench, blank, captured, pattern)
            bench.camera.exposure_ms *= _SHORTER
    raise CalibrationError(
        f"some probe image saturates the camera at every exposure down to {bench.camera.exposure_ms / _SHORTER:.3g} ms;"
        " dim the light, and look for a reflection"
    )


def assembled(bench: str, before: Before, maps: Measured, made_utc: str = "") -> Calibration:
    """Put together what captures need: of the flat phase what was kept, and of the pattern what was measured.

    Behind a fixed optic a white display is no flat field: what its kernels scatter, into their neighbours' tiles too,
    is in the picture, and is no gain of pixels.
    """
    flat = np.asarray(before.arrays["flat"]["flat"], np.float32)
    if before.pattern is not None and before.pattern.phase_rad is None:
        flat = np.ones_like(flat)
    return Calibration(
        bench=bench,
        made_utc=made_utc or datetime.now(UTC).isoformat(timespec="seconds"),
        image_shape=before.image_shape,
        exposure_ms=float(maps.values["exposure_ms"]),
        dark=np.asarray(maps.arrays["dark"], np.float32),
        dark_noise=float(maps.values["dark_noise"]),
        flat=flat,
        affine=np.asarray(maps.arrays.get("affine", before.affine), np.float64),
        geometry_rms_px=np.asarray(before.values["geometry"]["rms_px"], np.float64),
        transmission=np.asarray(before.values["flat"]["transmission"], np.float64),
        gain=np.asarray(maps.arrays["gain"], np.float64),
        background=np.asarray(maps.arrays["background"], np.float64),
        gain_residual=np.asarray(maps.arrays["gain_residual"], np.float64),
        **_in_colour(before),
    )


def _brightest_scene(image: Floats, bench: Bench) -> Floats:
    """Give the brightest scene that an image is shown as: of one colour, where they are shown one after another."""
    if not in_turn(bench):
        return scene_of(image, bench)
    alone, brightest = np.zeros_like(image), int(np.argmax(image.max(axis=(1, 2))))
    alone[brightest] = image[brightest]
    return scene_of(alone, bench)


def _in_colour(before: Before) -> dict[str, Any]:
    if "colour" in before.arrays:
        unmixing = np.asarray(before.arrays["colour"]["unmixing"], np.float64)
        return {"filters": str(before.values["colour"]["filters"]), "unmixing": unmixing}
    if before.affine.ndim == 4:  # colours that are shown one after another do not mix
        return {"unmixing": np.eye(before.affine.shape[1])}
    return {}


def _capture(bench: Bench, registration: Registration, images: Floats) -> Floats | None:
    """Capture the probe images; give their maps in counts, (N, T, [C,] h, w), or None where any of them saturated."""
    captured = []
    for shot in take_images(bench, images, registration, CaptureCounts(), most_saturated=1.0):
        if saturated_px(shot.frame, bench.camera.saturation) > _MOST_SATURATED * shot.frame.size:
            return None
        captured.append(shot.tiles)
    return np.stack(captured)


def _aligned(
    bench: Bench, before: Before, blank: Measured, captured: Floats, pattern: Pattern, say: Say
) -> tuple[Measured, Floats | None]:
    """Move tiles to where the expected maps are, and capture the probe images there: behind a fixed optic."""
    affine: NDArray[np.float64] = before.affine.copy()
    found: Floats | None = captured
    for look in range(_ALIGNED):
        if found is None:
            break
        say(f"where the maps lie, look {look + 1} of {_ALIGNED}")
        shift = shifts_taps(found, pattern.predicted_tiles)
        affine[..., 2] += np.einsum("...ij,...j->...i", affine[..., :2], shift)
        blank = replace(blank, arrays={**blank.arrays, "affine": affine.copy()})
        found = _capture(bench, Registration(assembled(bench.name, before, blank)), pattern.probe_images)
    return blank, found


def _with_gains(bench: Bench, blank: Measured, captured: Floats, pattern: Pattern) -> Measured:
    swing = captured.max(axis=(0, -2, -1)) - captured.min(axis=(0, -2, -1))
    # A cell averages many pixels, so a swing of one pixel's noise is already well above a cell's own.
    if (weak := swing < blank.values["dark_noise"]).any():
        place = tuple(np.argwhere(weak)[0])
        raise CalibrationError(
            f"{named(place)}: the probe images move its map by {swing[place]:.2g} counts, no more than noise does;"
            " check the SLM's pattern, the display and the light"
        )
    gains = fit_gains(captured, pattern.predicted_tiles)
    arrays: dict[str, NDArray[Any]] = {**blank.arrays, "reference": take_reference(bench)}
    arrays |= {"gain": gains.gain, "background": gains.background, "gain_residual": gains.residual}
    error = float(np.mean(gains.residual))
    return Measured(blank.values, arrays, error, "share of the maps, rms of what gain and background leave")
