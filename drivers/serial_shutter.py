"""A shutter on a serial port; its dialect is a TOML table."""

from collections.abc import Callable, Hashable
from typing import ClassVar

from drivers import serial_line
from drivers.dialect import LineRules
from drivers.line import Line
from drivers.line_instruments import LineShutter, Spoken
from labonn.instruments import InstrumentTable, ShutterTable


class SerialShutterTable(serial_line.SerialPlace, Spoken, ShutterTable):
    """Its table in a bench file."""


class SerialShutter(LineShutter):
    """A shutter on a serial port."""

    table_model: ClassVar[type[InstrumentTable]] = SerialShutterTable
    table: SerialShutterTable

    def get_ready(self) -> None:
        """Load pyserial."""
        serial_line.load()

    def _line(self, rules: LineRules) -> tuple[Hashable, Callable[[], Line]]:
        return self.table.line(rules)


INSTRUMENTS = {"shutter": SerialShutter}
