"""The calibrations of a bench: what each kind needs, how long it holds, and when it may not be used."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from labonn.errors import CalibrationError


@dataclass(frozen=True)
class Kind:
    """One kind of calibration."""

    name: str
    title: str
    needs: tuple[str, ...]
    """Kinds that must be made before, in this order."""
    holds_h: float
    """Hours after which it is stale."""
    needs_slm: bool = False


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("exposure", "exposure and signal", (), 7 * 24),
        Kind("dark", "dark frame", ("exposure",), 24),
        Kind("flat", "flat field", ("exposure", "dark"), 7 * 24),
        Kind("geometry", "display-to-camera geometry", ("exposure", "dark", "flat"), 24),
        Kind("tile-gain", "gain and background of each tile", ("exposure", "dark", "flat", "geometry"), 24),
        Kind("psf", "PSF of each sub-aperture", ("exposure", "dark", "geometry"), 7 * 24),
        Kind("phase-table", "phase table of the SLM", ("exposure", "dark", "geometry"), 30 * 24, needs_slm=True),
        Kind("settling", "settle time and latency", ("exposure",), 30 * 24),
        Kind("photon-transfer", "photon transfer of the camera", ("exposure",), 90 * 24),
    )
}
"""In the one right order."""


class Kept(Protocol):
    """What must be known of a calibration that was kept."""

    @property
    def id(self) -> str:
        """Its name."""

    @property
    def made(self) -> datetime:
        """When it was made."""

    @property
    def made_with(self) -> Mapping[str, str]:
        """Kind -> id of those it was made with."""


def usable(kind: str, current: Mapping[str, Kept], now: datetime, bench: str) -> None:
    """Refuse a calibration that is missing, stale, or made with others than the current ones; and those it needs.

    Parameters
    ----------
    kind
        Name of the kind.
    current
        The bench's current calibrations, by kind.
    now
        The present moment, with its time zone.
    bench
        The bench's name or file, for the command that renews it.

    Raises
    ------
    CalibrationError
        If it may not be used; the message names it, says why, and the command that renews it.
    """
    for needed in KINDS[kind].needs:
        usable(needed, current, now, bench)
    title = KINDS[kind].title
    renew = f"renew it: labonn run characterise {bench} --set only={kind}"
    found = current.get(kind)
    if found is None:
        raise CalibrationError(f"calibration {kind!r} ({title}) is missing; {renew}")
    age_h = (now - found.made).total_seconds() / 3600
    holds_h = KINDS[kind].holds_h
    if age_h > holds_h:
        raise CalibrationError(
            f"calibration {kind!r} ({title}) is stale: it is {age_h:.0f} h old and holds {holds_h:g} h; {renew}"
        )
    for needed, name in found.made_with.items():
        if needed in current and current[needed].id != name:
            raise CalibrationError(
                f"calibration {kind!r} ({title}) is out of order: it was made with {needed!r} {name}, which was renewed"
                f" since; {renew}"
            )
