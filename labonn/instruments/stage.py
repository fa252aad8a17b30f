"""What a stage is: one axis that moves within its limits, says where it is, and stops when it is told."""

import logging
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, Self

from pydantic import Field, FiniteFloat, model_validator

from labonn.errors import ConfigError, InstrumentError, LabonnError
from labonn.instruments.instrument import Instrument, InstrumentTable

logger = logging.getLogger(__name__)

# How often it is asked whether it has arrived, in the bench's time.
_LOOK_MS = 20.0


class StageTable(InstrumentTable):
    """A stage's table in a bench file."""

    lowest_um: FiniteFloat = Field(description="it is never sent below this position")
    highest_um: FiniteFloat = Field(description="it is never sent above this position")
    tolerance_um: float = Field(1.0, gt=0, description="how far from its goal it may report to be")
    move_timeout_ms: float = Field(60_000.0, gt=0, description="how long a move, or homing, may take")
    may_home: bool = Field(False, description="whether it may drive to its reference, wherever that is")
    needs_homing: bool = Field(False, description="whether its positions mean nothing until it has been there")

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if self.lowest_um >= self.highest_um:
            raise ValueError(f"lowest_um = {self.lowest_um:g}: must be below highest_um = {self.highest_um:g}")
        return self


class Stage(Instrument):
    """A motorised axis, such as the focus of the camera."""

    kind: ClassVar[str] = "stage"
    readings: ClassVar[tuple[str, ...]] = ("position_um",)
    table_model: ClassVar[type[InstrumentTable]] = StageTable
    table: StageTable
    _under_way = False
    _stopped = False

    @property
    def position_um(self) -> float:
        """Where it says that it is."""
        return self._call("reading its position", self._position_um_hw)

    @property
    def is_homed(self) -> bool:
        """Whether its positions count from its reference; true for one that has none."""
        return self._call("asking whether it is homed", self._is_homed_hw)

    def move_to_um(self, position_um: float) -> None:
        """Move, and wait until it says that it has arrived.

        Raises
        ------
        ConfigError
            If the position lies outside the limits of the bench file, or it has to be homed first.
        InstrumentError
            If it does not arrive, or is stopped on its way. It stands still then.
        """
        if not self.table.lowest_um <= position_um <= self.table.highest_um:
            raise ConfigError(
                f"{self}: position_um = {position_um:g}: must lie between lowest_um = {self.table.lowest_um:g} and"
                f" highest_um = {self.table.highest_um:g}, which the bench file sets"
            )
        if self.table.needs_homing and not self.is_homed:
            raise ConfigError(
                f"{self}: position_um = {position_um:g}: it has not been homed since it was switched on, so nobody"
                " knows where that is; home it first (may_home = true)"
            )
        self._go(f"moving to {position_um:g} um", lambda: self._move_to_um_hw(position_um))
        actual_um = self.position_um
        if not abs(actual_um - position_um) <= self.table.tolerance_um:
            raise InstrumentError(f"{self}: was sent to {position_um:g} um and says that it is at {actual_um:g} um")

    def home(self) -> None:
        """Drive to its reference, which may lie outside the limits, and count positions from there.

        Raises
        ------
        ConfigError
            If the bench file does not allow it.
        InstrumentError
            If it does not get there, or is stopped on its way.
        """
        if not self.table.may_home:
            raise ConfigError(
                f"{self}: homing: may_home is not true in the bench file; make sure that nothing stands in its way"
                " to its reference, then set it"
            )
        self._go("homing", self._home_hw)
        if not self.is_homed:
            raise InstrumentError(f"{self}: homing: it says that it has not found its reference")

    def stop(self) -> None:
        """Stop where it is, from any thread, while it moves; a move that is waited for fails by it.

        Raises
        ------
        InstrumentError
            If it does not say that it stands still.
        """
        self._stopped = True
        self._call("stopping", self._stop_hw)
        if self._call("asking whether it moves", self._is_moving_hw):
            raise InstrumentError(f"{self}: was told to stop and says that it STILL MOVES; look at it")

    def make_dark(self) -> None:
        """Stop it where it moves: nothing moves on a bench that is made dark."""
        if self._connected and self._under_way:
            self.stop()

    def _go(self, doing: str, begin: Callable[[], None]) -> None:
        """Begin, and wait until it stands still; where that goes wrong, or is broken off, it is stopped."""
        self._stopped, self._under_way = False, True
        try:
            self._act(doing, begin)
            self._wait(doing)
        except BaseException as error:
            if not self._stopped:
                try:
                    self.stop()
                except LabonnError as failure:
                    logger.error("%s", failure)
                    error.add_note(str(failure))
            raise
        finally:
            self._under_way = False
        if self._stopped:
            raise InstrumentError(f"{self}: {doing}: was stopped on its way, at {self.position_um:g} um")

    def _wait(self, doing: str) -> None:
        until_s = self.site.clock.now_s() + self.table.move_timeout_ms / 1e3
        while self._act("asking whether it moves", self._is_moving_hw):
            if self.site.clock.now_s() >= until_s:
                raise InstrumentError(
                    f"{self}: {doing}: still moves after {self.table.move_timeout_ms:g} ms, and was stopped; look for"
                    " what is in its way, or give it longer (move_timeout_ms)"
                )
            self.site.clock.sleep_ms(_LOOK_MS)

    @abstractmethod
    def _position_um_hw(self) -> float: ...

    @abstractmethod
    def _move_to_um_hw(self, position_um: float) -> None:
        """Begin to move; it may return before it has arrived."""

    def _is_moving_hw(self) -> bool:
        """Whether it moves; false where `_move_to_um_hw` returns when it has arrived."""
        return False

    def _stop_hw(self) -> None:
        """Stop; nothing where `_move_to_um_hw` returns when it has arrived."""

    def _home_hw(self) -> None:
        """Begin to drive to its reference; it may return before it is there."""
        raise ConfigError(f"{self}: its driver does not home it")

    def _is_homed_hw(self) -> bool:
        return True
