"""What has drifted since a bench's calibrations were made: a few frames, compared with what is kept."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from labonn.capture.characterisation import KINDS, renewal
from labonn.capture.checklist import Check
from labonn.capture.made_for import camera_conditions, misfit
from labonn.capture.photon_transfer import measure_photon_transfer
from labonn.capture.ready import BRIGHTER, DARKER, MOVED_TAPS
from labonn.capture.reference import Change, look_again
from labonn.capture.restoring import restoring
from labonn.capture.settling import StepResponse
from labonn.instruments import Bench
from labonn.records import StoredCalibration
from labonn.records.disk import utc_now

_GAIN = 0.02  # of a tile, against the others
_WIDER = 0.05
_TRANSFER = 0.03
_TRANSFER_SHARES = (1 / 4, 1 / 2, 1.0)  # of the exposure for a white display


@dataclass(frozen=True)
class Since:
    """A check, and what the calibration had."""

    check: Check
    kept: float


def ages(bench: Bench, kept: Mapping[str, StoredCalibration]) -> list[Since]:
    """Say how old each calibration is that is kept; it has drifted where it is older than its kind holds."""
    now, found = utc_now(), []
    for kind in (kind for kind in KINDS if kind in kept):
        age_h = (now - kept[kind].made).total_seconds() / 3600
        advice = f"it is stale: {renewal(kind, str(bench.path))}"
        found.append(Since(Check(f"age: {kind}", age_h, "h", drift=KINDS[kind].holds_h, advice=advice), 0.0))
    return found


def measure_since(bench: Bench, kept: Mapping[str, StoredCalibration]) -> list[Since]:
    """Measure shift, brightness, width and dark level against geometry; conversion gain against photon transfer.

    What is not kept, or was made for another read-out of the camera, is left out, the latter as a failed check.

    Raises
    ------
    CalibrationError, InstrumentError
        If a measurement fails.
    """
    found: list[Since] = []
    usable: set[str] = set()
    for kind in ("exposure", "dark", "geometry", "photon-transfer"):
        if kind not in kept:
            continue
        here = {name: value for name, value in camera_conditions(bench).items() if name in kept[kind].made_for}
        if (unfit := misfit(kept[kind].made_for, here)) is None:
            usable.add(kind)
        else:
            renew = f"renew it: {renewal(kind, str(bench.path))}"
            found.append(Since(Check(f"calibration: {kind}", None, failure=f"{unfit}; {renew}"), 0.0))
    with restoring(bench):
        if bench.has_slm:
            bench.slm.show(np.zeros(bench.slm.shape, np.float32))
        if usable >= {"exposure", "dark", "geometry"} and "reference" in (geometry := kept["geometry"].arrays()):
            exposure_ms = float(kept["exposure"].values["exposure_ms"])
            dark = kept["dark"].arrays()["mean"]
            affine = np.asarray(geometry["affine"], np.float64)
            found += _of_geometry(bench, look_again(bench, exposure_ms, dark, geometry["reference"], affine))
        if usable >= {"exposure", "photon-transfer"}:
            found += _of_transfer(bench, kept["exposure"], kept["photon-transfer"])
    return found


def settling_since(bench: Bench, step: StepResponse, kept: Mapping[str, StoredCalibration]) -> list[Since]:
    """Compare a step of the display with the kept settle time."""
    if "settling" not in kept:
        return []
    before_ms = float(kept["settling"].values["settled_ms"])
    limit_ms = max(1.0, 0.15 * before_ms)
    advice = f"check the display's refresh rate; {renewal('settling', str(bench.path))}"
    return [Since(Check("settle time", step.settled_ms, "ms", drift=limit_ms, advice=advice), before_ms)]


def _of_geometry(bench: Bench, change: Change) -> list[Since]:
    renew = {kind: renewal(kind, str(bench.path)) for kind in ("exposure", "dark", "geometry", "tile-gain", "psf")}
    middle = float(np.median(change.gain))
    uneven = float(np.abs(change.gain / middle - 1).max())
    moved_px = MOVED_TAPS * bench.config.geometry.pixels_per_tap
    moved = f"something was moved, or warmed: recalibrating finds it again; {renew['geometry']}"
    light = f"check the light's power and what stands in its way; {renew['exposure']}"
    dark_counts = DARKER * bench.camera.saturation
    return [
        Since(Check("picture: how far it moved", change.farthest_px, "px", drift=moved_px, advice=moved), 0.0),
        Since(Check("picture: its brightness", middle, "of then", drift=BRIGHTER, advice=light), 1.0),
        Since(
            Check("tile gain: the most that changed", uneven, "of the mean", drift=_GAIN, advice=renew["tile-gain"]),
            0.0,
        ),
        Since(
            Check(
                "PSF: width of a disc", change.wider, "of then", drift=_WIDER, advice=f"check the focus; {renew['psf']}"
            ),
            1.0,
        ),
        Since(Check("dark level", change.darker_counts, "counts above", drift=dark_counts, advice=renew["dark"]), 0.0),
    ]


def _of_transfer(bench: Bench, exposure: StoredCalibration, kept: StoredCalibration) -> list[Since]:
    exposures_ms = [share * float(exposure.values["exposure_ms"]) for share in _TRANSFER_SHARES]
    found = measure_photon_transfer(bench, exposures_ms)
    before = float(kept.values["gain_e_per_dn"])
    advice = f"another gain or mode of the camera than then: {renewal('photon-transfer', str(bench.path))}"
    check = Check("conversion gain", found.gain_e_per_dn, "e-/count", drift=_TRANSFER * before, advice=advice)
    return [Since(check, before)]
