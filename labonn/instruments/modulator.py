"""What shapes light pixel by pixel and takes a moment to settle; displays and SLMs are kinds of it."""

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from labonn.errors import InstrumentError
from labonn.instruments.instrument import Instrument, InstrumentTable


class ModulatorTable(InstrumentTable):
    """What the table of a display or an SLM says."""

    pitch_um: float = Field(gt=0, description="pixel pitch")
    settle_ms: float = Field(ge=0, description="from the command until a frame shows only the new picture")
    bit_depth: int = Field(8, ge=1, le=8, description="bits of its levels")


class Modulator(Instrument):
    """An array of pixels that is sent one picture at a time."""

    table_model: ClassVar[type[InstrumentTable]] = ModulatorTable
    table: ModulatorTable

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._shape = (0, 0)
        self._levels_shown: NDArray[np.uint8] | None = None
        self._levels_loaded: NDArray[np.uint8] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return self._shape

    @property
    def pitch_um(self) -> float:
        """Distance between pixel centres."""
        return self.table.pitch_um

    @property
    def settle_ms(self) -> float:
        """How long a picture takes, from the command, until a frame shows it alone."""
        return self.table.settle_ms

    @property
    def max_level(self) -> int:
        """The largest level of a pixel."""
        return (1 << self.table.bit_depth) - 1

    @property
    def levels_shown(self) -> NDArray[np.uint8] | None:
        """Levels that were shown last, (H, W); None before the first."""
        return self._levels_shown

    def show_levels(self, levels: NDArray[np.uint8], *, wait: bool = True) -> None:
        """Show levels as they are, and unless told otherwise wait until they have settled.

        Parameters
        ----------
        levels
            (H, W) uint8, up to `max_level`.
        wait
            Whether to wait for `settle_ms`.

        Raises
        ------
        ValueError
            If they have another shape or type, or are too large.
        InstrumentError
            If the instrument does not take them.
        """
        self._check_levels(levels)
        self._show_levels(levels, wait)

    def load_levels(self, levels: NDArray[np.uint8]) -> None:
        """Send levels ahead, while others are shown: `show_loaded` has only to say so then.

        Parameters
        ----------
        levels
            As of `show_levels`; not to be written to afterwards.

        Raises
        ------
        ValueError
            If they have another shape or type, or are too large.
        InstrumentError
            If the instrument does not take them.
        """
        self._check_levels(levels)
        self._levels_loaded = None
        self._act("loading a picture", lambda: self._load_hw(levels))
        self._levels_loaded = levels

    def show_loaded(self) -> None:
        """Show what was loaded, without waiting.

        Raises
        ------
        InstrumentError
            If nothing is loaded, or the instrument does not show it.
        """
        levels, self._levels_loaded = self._levels_loaded, None
        if levels is None:
            raise InstrumentError(f"{self}: no picture is loaded, or another was shown since; load it again")
        self._levels_shown = None
        self._act("showing a loaded picture", lambda: self._show_loaded_hw(levels))
        self._levels_shown = levels

    def _prepare(self) -> None:
        self._shape = self._call("reading its size", self._shape_hw)
        if min(self._shape) < 1:
            raise InstrumentError(f"{self}: reports a size of {self._shape[0]} x {self._shape[1]} px")

    def _show_levels(self, levels: NDArray[np.uint8], wait: bool) -> None:
        self._levels_shown = self._levels_loaded = None
        self._act("showing a picture", lambda: self._show_hw(levels))
        self._levels_shown = levels
        if wait:
            self.site.clock.sleep_ms(self.settle_ms)

    def _check_levels(self, levels: NDArray[np.uint8]) -> None:
        if levels.shape != self._shape or levels.dtype != np.uint8 or levels.max() > self.max_level:
            raise ValueError(
                f"{self}: levels of shape {levels.shape}, {levels.dtype}, up to {levels.max()} do not fit; it is"
                f" {self._shape} (H, W) of uint8, up to {self.max_level}"
            )

    def _check_picture(self, picture: NDArray[Any], what: str) -> None:
        if picture.shape != self._shape:
            raise ValueError(f"{self}: {what} of shape {picture.shape} does not fit; it is {self._shape} (H, W)")
        if picture.dtype.kind != "f":
            raise ValueError(f"{self}: {what} must be floating point, not {picture.dtype}")

    @abstractmethod
    def levels_of(self, picture: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
        """Check what `show` may be given, and say which levels it would send, (H, W) uint8.

        Raises
        ------
        ValueError
            If it has another shape, or values that cannot be shown.
        """

    @abstractmethod
    def _shape_hw(self) -> tuple[int, int]: ...

    @abstractmethod
    def _show_hw(self, levels: NDArray[np.uint8]) -> None: ...

    def _load_hw(self, levels: NDArray[np.uint8]) -> None:
        """Send levels without showing them."""

    def _show_loaded_hw(self, levels: NDArray[np.uint8]) -> None:
        """Show what `_load_hw` was given last."""
        self._show_hw(levels)
