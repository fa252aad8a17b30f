"""What the frontend's phase modulator is."""

from math import pi
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from labonn.errors import ConfigError
from labonn.instruments.instrument import InstrumentTable
from labonn.instruments.modulator import Modulator, ModulatorTable


class SLMTable(ModulatorTable):
    """A phase SLM's table in a bench file."""

    levels_per_2pi: float = Field(gt=1, description="how many levels turn the phase by one wavelength")


class SLM(Modulator):
    """A phase-only spatial light modulator."""

    kind: ClassVar[str] = "slm"
    table_model: ClassVar[type[InstrumentTable]] = SLMTable
    table: SLMTable

    def show(self, phase_rad: NDArray[np.floating[Any]], *, wait: bool = True) -> None:
        """Show a phase pattern and, unless told otherwise, wait until it has settled.

        Parameters
        ----------
        phase_rad
            Phase in radians, (H, W) floating point, any finite value: it is wrapped to one wavelength.
        wait
            Whether to wait for `settle_ms`.

        Raises
        ------
        ValueError
            If the pattern has another shape or is not finite.
        InstrumentError
            If the SLM does not take it.
        """
        self._show_levels(self.levels_of(phase_rad), wait)

    def levels_of(self, picture: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
        """Check a phase pattern in radians, and give the levels that it is sent as."""
        self._check_picture(picture, "a phase pattern")
        if not np.isfinite(picture).all():
            raise ValueError(f"{self}: a phase pattern holds values that are not finite")
        return self._levels(picture)

    def _prepare(self) -> None:
        super()._prepare()
        if self.table.levels_per_2pi > self.max_level + 1:
            raise ConfigError(
                f"{self}: levels_per_2pi = {self.table.levels_per_2pi:g}: {self.table.bit_depth} bits have only"
                f" {self.max_level + 1} levels, so the phase would not reach 2 pi"
            )

    def _levels(self, phase_rad: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
        turns = np.asarray(phase_rad, np.float64) / (2 * pi)
        levels = np.rint((turns - np.floor(turns)) * self.table.levels_per_2pi)
        # A phase just below 2 pi may round to a level that does not exist: it is the same phase as level 0.
        return np.where(levels > self.max_level, 0, levels).astype(np.uint8)
