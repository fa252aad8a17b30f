"""A stage on a serial port; its dialect is a TOML table."""

from collections.abc import Callable, Hashable
from typing import ClassVar

from drivers import serial_line
from drivers.dialect import LineRules
from drivers.line import Line
from drivers.line_instruments import LineStage, Spoken
from labonn.instruments import InstrumentTable, StageTable


class SerialStageTable(serial_line.SerialPlace, Spoken, StageTable):
    """Its table in a bench file."""


class SerialStage(LineStage):
    """A stage on a serial port."""

    table_model: ClassVar[type[InstrumentTable]] = SerialStageTable
    table: SerialStageTable

    def get_ready(self) -> None:
        """Load pyserial."""
        serial_line.load()

    def _line(self, rules: LineRules) -> tuple[Hashable, Callable[[], Line]]:
        return self.table.line(rules)


INSTRUMENTS = {"stage": SerialStage}
