"""What a thermometer is."""

from abc import abstractmethod
from typing import ClassVar

from labonn.errors import InstrumentError
from labonn.instruments.instrument import Instrument

_COLDEST_C, _HOTTEST_C = -273.15, 1_000.0


class Thermometer(Instrument):
    """A thermometer on the bench."""

    kind: ClassVar[str] = "thermometer"
    readings: ClassVar[tuple[str, ...]] = ("celsius",)

    @property
    def celsius(self) -> float:
        """Temperature that it reads now, in degrees Celsius."""
        celsius = self._call("reading the temperature", self._celsius_hw)
        if not _COLDEST_C <= celsius <= _HOTTEST_C:  # not a number fails it too: an open sensor often reads 9.9e37
            raise InstrumentError(f"{self}: reads {celsius:g} degrees Celsius; check its sensor")
        return celsius

    @abstractmethod
    def _celsius_hw(self) -> float: ...
