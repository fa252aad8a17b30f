"""Making a bench ready for captures: kept calibrations where they hold, new ones where they do not."""

from dataclasses import dataclass

import numpy as np

from labonn.capture.before import Say
from labonn.capture.calibrate import Calibrator
from labonn.capture.calibration import Calibration
from labonn.capture.pattern_maps import assembled
from labonn.capture.reference import look_again
from labonn.capture.restoring import restoring

MOVED_TAPS = 0.02  # a fifth of what geometry may be off is 0.1 px; what is above it is a bench that moved
DARKER = 5e-4  # of the camera's range
BRIGHTER = 0.2
_LEAST_LIKENESS = 0.9


@dataclass(frozen=True)
class Used:
    """A calibration that captures are made with."""

    kind: str
    id: str
    made_utc: str
    why: str
    """Why it was made now; empty where a kept one is used."""

    def as_row(self) -> dict[str, str]:
        """Give it as a line of a table."""
        how = f"made now: {self.why}" if self.why else "kept"
        return {"calibration": self.kind, "is": how, "made": self.made_utc[:19].replace("T", " "), "id": self.id}


def ready_for_captures(calibrator: Calibrator, say: Say) -> tuple[Calibration, list[Used]]:
    """Give the calibration for captures with the calibrator's pattern, which is on the SLM, if any, when this ends.

    What is kept and may be used is looked at first: a dark frame and one picture of discs say whether something has
    moved, or become brighter or dimmer, since. What does not hold any more is made again, in the right order, with
    whatever was made with it.

    Raises
    ------
    CalibrationError
        If one fails; the message names it, the tile and what to do.
    InstrumentError
        If an instrument fails.
    """
    # In the one right order; `maps` come after them, and are always made: light and pattern are not what they were.
    basis = ("exposure", "dark", *calibrator.needs("maps"))
    changed: dict[str, str] = {}
    if all(calibrator.why_unusable(kind) is None for kind in basis):
        say("do kept calibrations hold?")
        changed = _what_changed(calibrator)
    made: dict[str, str] = {}
    for kind in basis:
        if why := calibrator.why_unusable(kind) or changed.get(kind):
            say(kind)
            calibrator.make(kind, say)
            made[kind] = why.split("; renew it")[0]
    made["maps"] = "it is measured before every use"
    maps = calibrator.make("maps", say)
    current = calibrator.current
    used = [Used(kind, current[kind].id, current[kind].made_utc, made.get(kind, "")) for kind in (*basis, "maps")]
    if calibrator.bench.has_slm and (table := calibrator.bench.slm.phase_of_levels) is not None:
        used.append(Used("phase-table", table.source, current["phase-table"].made_utc, ""))
    name, made_utc = calibrator.bench.name, current["maps"].made_utc
    return assembled(name, calibrator.before("maps"), maps, made_utc), used


def _what_changed(calibrator: Calibrator) -> dict[str, str]:
    """Say which of the kept calibrations a look at the bench contradicts, and how."""
    bench, current = calibrator.bench, calibrator.current
    behind_pattern = calibrator.pattern is not None and calibrator.why_unusable("maps") is None
    kept = current["maps" if behind_pattern else "geometry"]
    arrays, geometry = kept.arrays(), current["geometry"].arrays()
    dark = arrays["dark"] if behind_pattern else current["dark"].arrays()["mean"]
    exposure_ms = float((kept if behind_pattern else current["exposure"]).values["exposure_ms"])
    affine = np.asarray(geometry["affine"], np.float64)
    with restoring(bench):
        if bench.has_slm:
            phase_rad = None if calibrator.pattern is None else calibrator.pattern.phase_rad
            flat = np.zeros(bench.slm.shape, np.float32)
            bench.slm.show(phase_rad if behind_pattern and phase_rad is not None else flat)
        change = look_again(bench, exposure_ms, dark, arrays["reference"], affine)
    found: dict[str, str] = {}
    if not abs(1 - np.median(change.gain)) <= BRIGHTER:
        found["exposure"] = f"the light is {100 * np.median(change.gain):.0f} % of what it was"
    if not abs(change.darker_counts) <= DARKER * bench.camera.saturation:
        found["dark"] = f"a dark frame is {change.darker_counts:+.1f} counts brighter than it was"
    limit_px = MOVED_TAPS * bench.config.geometry.pixels_per_tap
    if not (change.farthest_px <= limit_px and change.likeness.min() >= _LEAST_LIKENESS):
        found["flat"] = found["geometry"] = (
            f"the picture has moved by up to {change.farthest_px:.2f} px since, and {limit_px:.2f} are let pass"
            if change.farthest_px > limit_px
            else f"a tile's picture is no longer what it was (likeness {change.likeness.min():.2f})"
        )
        found["colour"] = found["geometry"]  # filters that begin at another pixel, or a colour that died, look so too
    return found
