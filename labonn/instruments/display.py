"""What the input display is: the scene that the optics see."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from labonn.instruments.modulator import Modulator

# What an interpolation may leave outside [0, 1] through rounding alone.
_ROUNDING = 1e-5


class Display(Modulator):
    """An intensity display: 0 is black, 1 is its full brightness."""

    kind: ClassVar[str] = "display"

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

    def make_dark(self) -> None:
        """Show black, without waiting."""
        if self._connected:
            black = np.zeros(self.shape, np.uint8)
            self._call("showing black", lambda: self._show_hw(black))
            self._levels_shown, self._levels_loaded = black, None
