"""Whoever measures puts things back: exposure, read-out, what SLM and display showed, however the measuring ends."""

from collections.abc import Iterator
from contextlib import contextmanager

from labonn.instruments import Bench


class State:
    """How the bench was."""

    def __init__(self) -> None:
        self.kept = False

    def keep(self) -> None:
        """Let the bench be as it is now, after all."""
        self.kept = True


@contextmanager
def restoring(bench: Bench) -> Iterator[State]:
    """Set again, at the end, what was set at the beginning; with the shutter as whoever is inside left it: closed.

    Also where it ends by an error, by Ctrl-C or because the run was asked to stop. What neither SLM nor display has
    been shown since the bench was opened cannot be shown again. A bench that was made dark under whoever measured stays
    as it is, since its instruments do nothing more.

    Raises
    ------
    InstrumentError
        If an instrument does not do as it is told.
    """
    camera, modulators = bench.camera, [bench.display, *([bench.slm] if bench.has_slm else [])]
    exposure_ms, roi, binning = camera.exposure_ms, camera.roi, camera.binning
    shown = [modulator.levels_shown for modulator in modulators]
    table = bench.slm.phase_of_levels if bench.has_slm else None
    state = State()
    try:
        yield state
    finally:
        if bench.guard.error is None and not state.kept:
            if camera.binning != binning:
                camera.roi, camera.binning = None, binning
            if camera.roi != roi:
                camera.roi = roi
            if camera.exposure_ms != exposure_ms:
                camera.exposure_ms = exposure_ms
            for modulator, levels in zip(modulators, shown, strict=True):
                if levels is not None and modulator.levels_shown is not levels:
                    modulator.show_levels(levels)
            if bench.has_slm:
                bench.slm.phase_of_levels = table
