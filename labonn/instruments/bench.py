"""An open bench: its instruments in their roles."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labonn.errors import ConfigError, InstrumentError
from labonn.instruments.bench_config import BenchConfig
from labonn.instruments.camera import Camera
from labonn.instruments.clock import Clock
from labonn.instruments.control import Control
from labonn.instruments.darkness import each_at_once, found_lit
from labonn.instruments.display import Display
from labonn.instruments.guard import Guard
from labonn.instruments.instrument import Instrument
from labonn.instruments.light import Light
from labonn.instruments.lock import Holder
from labonn.instruments.power_meter import PowerMeter
from labonn.instruments.shutter import Shutter
from labonn.instruments.slm import SLM
from labonn.instruments.stage import Stage
from labonn.instruments.thermometer import Thermometer


@dataclass(frozen=True)
class Bench:
    """The instruments of an open bench."""

    path: Path
    config: BenchConfig
    clock: Clock
    guard: Guard
    control: Control
    display: Display
    camera: Camera
    shutter: Shutter
    fitted_slm: SLM | None = None
    light: Light | None = None
    meter: PowerMeter | None = None
    thermometer: Thermometer | None = None
    stage: Stage | None = None
    stage_down: Stage | None = None
    stage_right: Stage | None = None
    left_by: Holder | None = None
    """The process that held the bench before and died: the bench may have been lit since."""
    left_note: str | None = None
    """What the watchdog did then."""

    @property
    def name(self) -> str:
        """The bench's name, unique on this machine."""
        return self.config.name

    @property
    def slm(self) -> SLM:
        """The frontend's SLM.

        Raises
        ------
        ConfigError
            If the bench has a fixed optic instead.
        """
        if self.fitted_slm is None:
            raise ConfigError(f"bench {self.name!r} has a fixed optic and no SLM; {self.path} names none under [roles]")
        return self.fitted_slm

    @property
    def has_slm(self) -> bool:
        """Whether the frontend is an SLM, and not a fixed optic."""
        return self.fitted_slm is not None

    @property
    def found_lit(self) -> bool:
        """Whether there was light on the bench when it was opened."""
        return found_lit(self.instruments)

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """Every instrument, in the order in which they are connected: what makes dark comes first."""
        every = (
            self.shutter,
            self.light,
            self.display,
            self.fitted_slm,
            self.camera,
            self.meter,
            self.thermometer,
            self.stage,
            self.stage_down,
            self.stage_right,
        )
        return tuple(instrument for instrument in every if instrument is not None)

    def settings(self) -> dict[str, Any]:
        """Snapshot of every instrument's identity and settings, ready for JSON."""
        return {
            "bench": self.name,
            "file": str(self.path),
            "optic": None if self.config.optic is None else self.config.optic.model_dump(mode="json"),
            "geometry": self.config.geometry.model_dump(mode="json"),
            "instruments": {
                instrument.name: {"identity": instrument.identify(), **instrument.settings()}
                for instrument in self.instruments
            },
        }

    def make_dark(self, *, light_off: bool = False) -> None:
        """Close the shutter, turn the light off, show black; each proven by its own reading, whatever the others do.

        A light that `stay_warm` lets stay on does so behind a shutter that is proven closed, unless `light_off`.

        Raises
        ------
        InstrumentError
            If an instrument did not do its part: the bench may still be lit.
        """
        warm = [self.light] if self.light is not None and self.light.table.stay_warm and not light_off else []
        failures = each_at_once([one for one in self.instruments if one not in warm], lambda one: one.make_dark())
        if failures:
            failures += each_at_once(warm, lambda one: one.make_dark())
            raise InstrumentError(
                f"bench {self.name!r} could not be made dark, LOOK AT IT: " + "; ".join(map(str, failures))
            ) from failures[0]
