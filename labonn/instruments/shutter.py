"""What a shutter is: closed is dark, and closed is proven by reading it back."""

from abc import abstractmethod
from typing import ClassVar

from pydantic import Field

from labonn.errors import InstrumentError
from labonn.instruments.instrument import Instrument, InstrumentTable


class ShutterTable(InstrumentTable):
    """A shutter's table in a bench file."""

    settle_ms: float = Field(0.0, ge=0, description="how long it takes to move")


class Shutter(Instrument):
    """What lets light onto the bench."""

    kind: ClassVar[str] = "shutter"
    table_model: ClassVar[type[InstrumentTable]] = ShutterTable
    table: ShutterTable

    @property
    def is_open(self) -> bool:
        """Whether the shutter says that it is open."""
        return self._call("reading its position", self._is_open_hw)

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
        self.close()

    def _move(self, *, opening: bool) -> None:
        doing = "opening" if opening else "closing"

        self._call(doing, lambda: self._set_open_hw(opening))
        self.site.clock.sleep_ms(self.table.settle_ms)
        if self._call("reading its position", self._is_open_hw) != opening:
            raise InstrumentError(
                f"{self}: {doing}: it says that it is still {'closed' if opening else 'OPEN'}; check it by eye"
            )

    @abstractmethod
    def _is_open_hw(self) -> bool: ...

    @abstractmethod
    def _set_open_hw(self, opening: bool) -> None: ...
