"""What an optical power meter is."""

from abc import abstractmethod
from math import isfinite
from typing import ClassVar

from pydantic import Field

from labonn.errors import InstrumentError
from labonn.instruments.instrument import Instrument, InstrumentTable


class PowerMeterTable(InstrumentTable):
    """A power meter's table in a bench file."""

    wavelength_nm: float | None = Field(None, gt=0, description="wavelength that its sensor is corrected for")
    noise_mw: float = Field(0.01, ge=0, description="what it may read in the dark")


class PowerMeter(Instrument):
    """A meter in the light's way."""

    kind: ClassVar[str] = "meter"
    readings: ClassVar[tuple[str, ...]] = ("power_mw",)
    table_model: ClassVar[type[InstrumentTable]] = PowerMeterTable
    table: PowerMeterTable

    @property
    def power_mw(self) -> float:
        """Power that it reads now."""
        power_mw = self._call("reading the power", self._power_mw_hw)
        if not isfinite(power_mw):
            raise InstrumentError(f"{self}: reads {power_mw} mW; check its sensor and range")
        return power_mw

    def _prepare(self) -> None:
        wavelength_nm = self.table.wavelength_nm
        if wavelength_nm is not None:
            self._call(
                f"setting the wavelength to {wavelength_nm:g} nm", lambda: self._set_wavelength_nm_hw(wavelength_nm)
            )

    @abstractmethod
    def _power_mw_hw(self) -> float: ...

    @abstractmethod
    def _set_wavelength_nm_hw(self, wavelength_nm: float) -> None: ...
