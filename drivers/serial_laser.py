"""A laser on a serial port; its dialect is a TOML table."""

from collections.abc import Callable, Hashable
from typing import ClassVar

from drivers import serial_line
from drivers.dialect import LineRules
from drivers.line import Line
from drivers.line_instruments import LineLight, Spoken
from labonn.instruments import InstrumentTable, LightTable


class SerialLaserTable(serial_line.SerialPlace, Spoken, LightTable):
    """Its table in a bench file."""


class SerialLaser(LineLight):
    """A laser on a serial port."""

    table_model: ClassVar[type[InstrumentTable]] = SerialLaserTable
    table: SerialLaserTable

    def get_ready(self) -> None:
        """Load pyserial."""
        serial_line.load()

    def _line(self, rules: LineRules) -> tuple[Hashable, Callable[[], Line]]:
        return self.table.line(rules)


INSTRUMENTS = {"light": SerialLaser}
