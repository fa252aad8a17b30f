"""What the input display is: the scene that the optics see."""

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from labonn.errors import InstrumentError
from labonn.instruments.instrument import InstrumentTable
from labonn.instruments.modulator import Modulator, ModulatorTable

COLOURS = "RGB"
"""In the order in which an image has its planes."""

# What an interpolation may leave outside [0, 1] through rounding alone.
_ROUNDING = 1e-5


class DisplayTable(ModulatorTable):
    """What the table of a display says."""

    planes: Literal["RGB", "RBG", "GRB", "GBR", "BRG", "BGR"] | None = Field(
        None, description="a colour display's planes, from the top, one below another in a picture; grey where missing"
    )


class Display(Modulator):
    """An intensity display: 0 is black, 1 is its full brightness."""

    kind: ClassVar[str] = "display"
    table_model: ClassVar[type[InstrumentTable]] = DisplayTable
    table: DisplayTable

    @property
    def planes(self) -> str | None:
        """The colours of its planes, from the top; None where it shows grey."""
        return self.table.planes

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Height and width of one plane, in pixels: of the whole picture where it shows grey."""
        height, width = self.shape
        return height // len(self.planes or "1"), width

    def stacked(self, colours: NDArray[Any]) -> NDArray[Any]:
        """Put planes (C, h, w), in the order of `COLOURS`, below one another in the display's order: (H, W)."""
        assert self.planes is not None
        return np.concatenate([colours[COLOURS.index(one)] for one in self.planes])

    def show(self, picture: NDArray[np.floating[Any]], *, wait: bool = True) -> None:
        """Show a picture and, unless told otherwise, wait until it has settled.

        Parameters
        ----------
        picture
            Brightness, (H, W) floating point in [0, 1].
        wait
            Whether to wait for `settle_ms`; a loop that has other work meanwhile waits by itself.

        Raises
        ------
        ValueError
            If the picture has another shape, or a value outside [0, 1].
        InstrumentError
            If the display does not take it.
        """
        self._show_levels(self.levels_of(picture), wait)

    def levels_of(self, picture: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
        """Check a picture, and give the levels that it is sent as."""
        self._check_picture(picture, "a picture")
        return self.levels_of_part(picture)

    def levels_of_part(self, picture: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
        """Give the levels of what will be a part of a picture, of any shape.

        Raises
        ------
        ValueError
            If it has a value outside [0, 1].
        """
        # Written so that NaN fails it too.
        if not (picture.min() >= -_ROUNDING and picture.max() <= 1 + _ROUNDING):
            raise ValueError(f"{self}: a picture from {picture.min()} to {picture.max()} does not lie within 0 to 1")
        levels: NDArray[np.uint8] = np.rint(np.clip(picture, 0, 1) * self.max_level).astype(np.uint8)
        return levels

    def _prepare(self) -> None:
        super()._prepare()
        if self.planes is not None and self.shape[0] % len(self.planes):
            raise InstrumentError(
                f"{self}: reports {self.shape[0]} rows, which are not {len(self.planes)} planes of the same height;"
                f' correct planes = "{self.planes}" in the bench file, or how the display is driven'
            )

    def make_dark(self) -> None:
        """Show black, without waiting."""
        if self._connected:
            black = np.zeros(self.shape, np.uint8)
            self._call("showing black", lambda: self._show_hw(black))
            self._levels_shown, self._levels_loaded = black, None
