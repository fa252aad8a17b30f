"""What a shutter is: closed is dark, and closed is proven by reading it back."""

import logging
import time
from abc import abstractmethod
from typing import Any, ClassVar

from pydantic import Field

from labonn.errors import InstrumentError
from labonn.instruments.instrument import Instrument, InstrumentTable

logger = logging.getLogger(__name__)

# This computer's time, beyond the shutter's own, in which a reading may still be from before the command.
_GRACE_S = 0.2


class ShutterTable(InstrumentTable):
    """A shutter's table in a bench file."""

    settle_ms: float = Field(0.0, ge=0, description="how long it takes to move")


class Shutter(Instrument):
    """What lets light onto the bench."""

    kind: ClassVar[str] = "shutter"
    table_model: ClassVar[type[InstrumentTable]] = ShutterTable
    readings: ClassVar[tuple[str, ...]] = ("is_open", "obeys")
    table: ShutterTable

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.found_open = False
        """Whether it was open when it was connected."""
        self.told_open = False
        """Whether it was last told to be open."""
        self.moves = 0
        """How often it was told to move, until now."""
        self._told_s = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the shutter says that it is open."""
        return self._call("reading its position", self._is_open_hw)

    @property
    def obeys(self) -> bool:
        """Whether it is closed when it was told to be, once it has had time to move; what interlocks watch."""
        moving_s = self.table.settle_ms / 1e3 + _GRACE_S
        return not self.is_open or self.told_open or time.monotonic() - self._told_s < moving_s

    def open(self) -> None:
        """Let light in, and wait until the shutter says so."""
        self._move(opening=True)

    def close(self) -> None:
        """Shut the light out, and wait until the shutter says so."""
        self._move(opening=False)

    def make_dark(self) -> None:
        """Close, proven by reading the position back."""
        if self._connected:
            self.close()

    def _prepare(self) -> None:
        self.found_open = self.is_open
        self.close()

    def _move(self, *, opening: bool) -> None:
        doing = "opening" if opening else "closing"
        carry_out = self._act if opening else self._call
        if opening:
            self.site.guard.before_light()
        self.moves += 1
        self.told_open, self._told_s = opening, time.monotonic()
        complaint: InstrumentError | None = None
        try:
            carry_out(doing, lambda: self._set_open_hw(opening))
        except InstrumentError as error:
            if opening:
                raise
            complaint = error  # what its position says counts more
        self.site.clock.sleep_ms(self.table.settle_ms)
        if self._call("reading its position", self._is_open_hw) != opening:
            raise complaint or InstrumentError(
                f"{self}: {doing}: it says that it is still {'closed' if opening else 'OPEN'}; check it by eye"
            )
        if complaint is not None:
            logger.warning("%s; it says that it is closed", complaint)
        self.moves += 1  # what was exposed while it moved saw neither the one nor the other
        if not opening:
            self.site.guard.after_dark()

    @abstractmethod
    def _is_open_hw(self) -> bool: ...

    @abstractmethod
    def _set_open_hw(self, opening: bool) -> None: ...
