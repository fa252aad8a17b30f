"""A laser behind a VISA resource; its dialect is a TOML table."""

from collections.abc import Callable, Hashable
from typing import ClassVar

from drivers import visa
from drivers.dialect import LineRules
from drivers.line import Line
from drivers.line_instruments import LineLight, Spoken
from labonn.instruments import InstrumentTable, LightTable


class ScpiLaserTable(visa.VisaPlace, Spoken, LightTable):
    """Its table in a bench file."""


class ScpiLaser(LineLight):
    """A laser behind a VISA resource."""

    table_model: ClassVar[type[InstrumentTable]] = ScpiLaserTable
    table: ScpiLaserTable

    def get_ready(self) -> None:
        """Load pyvisa."""
        visa.load()

    def _line(self, rules: LineRules) -> tuple[Hashable, Callable[[], Line]]:
        return self.table.line(rules)


INSTRUMENTS = {"light": ScpiLaser}
