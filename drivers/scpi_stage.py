"""A stage behind a VISA resource; its dialect is a TOML table."""

from collections.abc import Callable, Hashable
from typing import ClassVar

from drivers import visa
from drivers.dialect import LineRules
from drivers.line import Line
from drivers.line_instruments import LineStage, Spoken
from labonn.instruments import InstrumentTable, StageTable


class ScpiStageTable(visa.VisaPlace, Spoken, StageTable):
    """Its table in a bench file."""


class ScpiStage(LineStage):
    """A stage behind a VISA resource."""

    table_model: ClassVar[type[InstrumentTable]] = ScpiStageTable
    table: ScpiStageTable

    def get_ready(self) -> None:
        """Load pyvisa."""
        visa.load()

    def _line(self, rules: LineRules) -> tuple[Hashable, Callable[[], Line]]:
        return self.table.line(rules)


INSTRUMENTS = {"stage": ScpiStage}
