"""What a stage is: one axis that moves within its limits and says where it is."""

from abc import abstractmethod
from typing import ClassVar

from pydantic import Field, FiniteFloat

from labonn.errors import ConfigError, InstrumentError
from labonn.instruments.instrument import Instrument, InstrumentTable


class StageTable(InstrumentTable):
    """A stage's table in a bench file."""

    lowest_um: FiniteFloat = Field(description="it is never sent below this position")
    highest_um: FiniteFloat = Field(description="it is never sent above this position")
    tolerance_um: float = Field(1.0, gt=0, description="how far from its goal it may report to be")


class Stage(Instrument):
    """A motorised axis, such as the focus of the camera."""

    kind: ClassVar[str] = "stage"
    readings: ClassVar[tuple[str, ...]] = ("position_um",)
    table_model: ClassVar[type[InstrumentTable]] = StageTable
    table: StageTable

    @property
    def position_um(self) -> float:
        """Where it says that it is."""
        return self._call("reading its position", self._position_um_hw)

    def move_to_um(self, position_um: float) -> None:
        """Move, and check that it says that it has arrived.

        Raises
        ------
        ConfigError
            If the position lies outside the limits of the bench file.
        InstrumentError
            If it does not arrive.
        """
        if not self.table.lowest_um <= position_um <= self.table.highest_um:
            raise ConfigError(
                f"{self}: position_um = {position_um:g}: must lie between lowest_um = {self.table.lowest_um:g} and"
                f" highest_um = {self.table.highest_um:g}, which the bench file sets"
            )
        self._act(f"moving to {position_um:g} um", lambda: self._move_to_um_hw(position_um))
        actual_um = self.position_um
        if not abs(actual_um - position_um) <= self.table.tolerance_um:
            raise InstrumentError(f"{self}: was sent to {position_um:g} um and says that it is at {actual_um:g} um")

    @abstractmethod
    def _position_um_hw(self) -> float: ...

    @abstractmethod
    def _move_to_um_hw(self, position_um: float) -> None: ...
