"""Calibrations that are made, kept, and used again where they hold: the one way to them, for every protocol."""

from pathlib import Path
from typing import Any

import numpy as np

from labonn.capture.before import Before, Measured, Pattern, Say
from labonn.capture.calibration import Calibration
from labonn.capture.characterisation import needs_of, why_unusable
from labonn.capture.made_for import conditions, made_for
from labonn.capture.measurements import MEASUREMENTS
from labonn.capture.pattern_maps import assembled
from labonn.capture.restoring import restoring
from labonn.design import Layout
from labonn.errors import CalibrationError
from labonn.instruments import Bench, PhaseOfLevels
from labonn.records import StoredCalibration, calibration_history, current_calibrations, keep_calibration
from labonn.records.disk import utc_now


class Calibrator:
    """Makes calibrations of an open bench, keeps them, and says which of those that are kept may be used.

    Parameters
    ----------
    bench
        An open bench.
    lab_dir
        The laboratory's folder.
    run
        The run that makes them.
    layout
        Which sub-aperture makes which tile.
    image_shape
        Taps of an image, (h, w).
    pattern
        What `maps` are made for; without it, they cannot be made.

    Raises
    ------
    RecordError
        If one that is kept is damaged.
    """

    def __init__(
        self,
        bench: Bench,
        lab_dir: Path,
        run: str,
        layout: Layout,
        image_shape: tuple[int, int],
        pattern: Pattern | None = None,
    ) -> None:
        if pattern is not None and pattern.predicted_tiles.shape[1] != len(layout.sub_apertures):
            raise ValueError(f"maps of {pattern.predicted_tiles.shape[1]} tiles do not fit {len(layout.sub_apertures)}")
        self.bench, self.layout, self.image_shape, self.pattern = bench, layout, image_shape, pattern
        self._lab_dir, self._run = lab_dir, run
        self.current: dict[str, StoredCalibration] = current_calibrations(lab_dir, bench.name)
        """By kind; the latest of each that did not fail."""
        self._now = conditions(bench, layout, image_shape)
        if bench.has_slm and self.why_unusable("phase-table") is None:
            table = self.current["phase-table"]
            bench.slm.phase_of_levels = PhaseOfLevels(table.arrays()["phase_rad"].astype(np.float64), table.id)
        if pattern is not None:
            self._now = conditions(bench, layout, image_shape, pattern)

    def why_unusable(self, kind: str) -> str | None:
        """Why what is kept of a kind may not be used, and the command that renews it; None where it may."""
        why = why_unusable(kind, self.current, utc_now(), str(self.bench.path), self._conditions())
        return None if why is None else f"{why}{self._last_failure(kind)}"

    def before(self, kind: str) -> Before:
        """Give what a kind needs, as it was kept.

        Raises
        ------
        CalibrationError
            If any of it may not be used.
        """
        needs = self.needs(kind)
        for needed in needs:
            if (why := self.why_unusable(needed)) is not None:
                raise CalibrationError(why)
        return Before(
            self.layout,
            self.image_shape,
            {needed: self.current[needed].values for needed in needs},
            {needed: self.current[needed].arrays() for needed in needs},
            self.pattern,
        )

    def needs(self, kind: str) -> tuple[str, ...]:
        """Which kinds one needs on this bench, in the right order."""
        return needs_of(kind, self._now)

    def kept_for_captures(self) -> Calibration | None:
        """Give what the latest captures with this pattern were made with, however old it is, and measure nothing.

        None where there were none, or the bench is set up otherwise now, or one of its calibrations was renewed since.
        """
        maps = self.current.get("maps")
        if maps is None:
            return None
        then = maps.made  # what was fresh then is asked for, not what is fresh now
        if why_unusable("maps", self.current, then, str(self.bench.path), self._conditions()) is not None:
            return None
        needs = {needed: self.current[needed] for needed in ("exposure", "dark", *self.needs("maps"))}
        before = Before(
            self.layout,
            self.image_shape,
            {name: one.values for name, one in needs.items()},
            {name: one.arrays() for name, one in needs.items()},
            self.pattern,
        )
        return assembled(self.bench.name, before, Measured(dict(maps.values), maps.arrays()), maps.made_utc)

    def make(self, kind: str, say: Say) -> Measured:
        """Make one calibration and keep it, also where it fails; the one before it stays in use then.

        The bench is left as it was found, except that `maps` leave their pattern and their exposure where they succeed.

        Raises
        ------
        CalibrationError
            If what it needs may not be used, or it fails.
        InstrumentError
            If an instrument fails.
        """
        before = self.before(kind)
        kept: dict[str, Any] = {
            "bench": self.bench.name,
            "kind": kind,
            "run": self._run,
            "made_with": {needed: self.current[needed].id for needed in self.needs(kind)},
            "made_for": made_for(kind, self._conditions()),
        }
        with restoring(self.bench) as state:
            try:
                measured = MEASUREMENTS[kind](self.bench, before, say)
            except CalibrationError as error:
                keep_calibration(self._lab_dir, **kept, values={}, failure=str(error))
                raise
            if kind == "maps":
                state.keep()
        self.current[kind] = keep_calibration(
            self._lab_dir,
            **kept,
            values=measured.values,
            arrays=measured.arrays,
            fit_error=measured.fit_error,
            fit_error_of=measured.fit_error_of,
        )
        return measured

    def _conditions(self) -> dict[str, Any]:
        exposure = self.current.get("exposure")
        return self._now if exposure is None else {**self._now, "exposure_ms": exposure.values["exposure_ms"]}

    def _last_failure(self, kind: str) -> str:
        """What the latest try at a kind that there is none of failed with."""
        if kind in self.current or not (tries := calibration_history(self._lab_dir, self.bench.name, kind)):
            return ""
        return f" (the last try failed: {tries[-1].reason})"
