"""The calibrations of a bench: what each kind needs, how long it holds, and when it may not be used."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from labonn.capture.made_for import made_for, misfit
from labonn.instruments import Bench


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
    in_colour: bool = False
    """Whether there is any only where the camera has filters."""
    outlives: bool = False
    """Whether it holds although those that it was made with were renewed: they served to measure it, no more."""


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("exposure", "exposure and signal", (), 7 * 24),
        Kind("dark", "dark frame", ("exposure",), 24),
        Kind("colour", "colour matrix of display and camera", ("exposure", "dark"), 30 * 24, in_colour=True),
        Kind("flat", "flat field", ("exposure", "dark"), 7 * 24),
        Kind("geometry", "display-to-camera geometry", ("exposure", "dark"), 24),
        Kind("tile-gain", "gain and background of each tile", ("exposure", "dark", "colour", "geometry"), 24),
        Kind("psf", "PSF of each sub-aperture", ("exposure", "dark", "geometry"), 7 * 24),
        Kind("phase-table", "phase table of the SLM", ("exposure", "dark", "geometry"), 30 * 24, True, outlives=True),
        Kind("settling", "settle time and latency", ("exposure",), 30 * 24, outlives=True),
        Kind("photon-transfer", "photon transfer of the camera", ("exposure",), 90 * 24, outlives=True),
        Kind("maps", "exposure, gain and background for the network in use", ("colour", "flat", "geometry"), 24),
    )
}
"""In the one right order."""


def needs_of(kind: str, here: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the kinds that a calibration needs on a bench; `here` as of `why_unusable`."""
    return tuple(needed for needed in KINDS[kind].needs if here.get("filters") or not KINDS[needed].in_colour)


def why_not_on(kind: str, bench: Bench) -> str | None:
    """Say why there is no calibration of a kind on a bench; None where there may be one."""
    if KINDS[kind].needs_slm and not bench.has_slm:
        return "it has a fixed optic"
    if KINDS[kind].in_colour and bench.camera.filters is None:
        return "its camera has no filters"
    return None


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

    @property
    def made_for(self) -> Mapping[str, Any]:
        """What it was made for, by the names of `labonn.capture.made_for.conditions`."""


def why_unusable(
    kind: str, current: Mapping[str, Kept], now: datetime, bench: str, here: Mapping[str, Any]
) -> str | None:
    """Say why a calibration may not be used: it, or one that it needs, is missing, stale, out of order, or for others.

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
    here
        How the bench is set up, as `labonn.capture.made_for.conditions` says.

    Returns
    -------
    Which it is, why, and the command that renews it; None where it may be used.
    """
    if not KINDS[kind].outlives:
        for needed in needs_of(kind, here):
            if (why := why_unusable(needed, current, now, bench, here)) is not None:
                return why
    found = current.get(kind)
    why = "is missing" if found is None else _why_not(found, kind, current, now, made_for(kind, here))
    if why is None:
        return None
    return f"calibration {kind!r} ({KINDS[kind].title}) {why}; renew it: {renewal(kind, bench)}"


def renewal(kind: str, bench: str) -> str:
    """Give the command that renews a calibration."""
    return f"labonn run characterise {bench} --set only={kind}"


def _why_not(found: Kept, kind: str, current: Mapping[str, Kept], now: datetime, here: Mapping[str, Any]) -> str | None:
    age_h, holds_h = (now - found.made).total_seconds() / 3600, KINDS[kind].holds_h
    if age_h > holds_h:
        return f"is stale: it is {age_h:.0f} h old and holds {holds_h:g} h"
    for needed, name in found.made_with.items() if not KINDS[kind].outlives else ():
        if needed in current and current[needed].id != name:
            return f"is out of order: it was made with {needed!r} {name}, which was renewed since"
    if (unfit := misfit(found.made_for, here)) is not None:
        return f"does not fit: {unfit}"
    return None
