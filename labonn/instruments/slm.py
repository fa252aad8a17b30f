"""What the frontend's phase modulator is."""

from dataclasses import dataclass
from math import isfinite, pi
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


@dataclass(frozen=True)
class PhaseOfLevels:
    """Which phase each level turns, as it was measured."""

    phase_rad: NDArray[np.float64]
    """(levels,), level 0 first, rising."""
    source: str
    """What measured it: it stands in the record of every run that uses it."""


class SLM(Modulator):
    """A phase-only spatial light modulator."""

    kind: ClassVar[str] = "slm"
    table_model: ClassVar[type[InstrumentTable]] = SLMTable
    table: SLMTable

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._measured: PhaseOfLevels | None = None
        self._level_of_phase: NDArray[np.uint8] | None = None

    @property
    def phase_of_levels(self) -> PhaseOfLevels | None:
        """The measured table by which phases become levels; None where `levels_per_2pi` of the bench file does."""
        return self._measured

    @phase_of_levels.setter
    def phase_of_levels(self, measured: PhaseOfLevels | None) -> None:
        if measured is None:
            self._measured = self._level_of_phase = None
            return
        phase_rad = np.asarray(measured.phase_rad, np.float64)
        if phase_rad.shape != (self.max_level + 1,) or not (np.diff(phase_rad) > 0).all():
            raise ConfigError(
                f"{self}: a phase table of {phase_rad.shape} from {measured.source} does not fit: it must rise over"
                f" {self.max_level + 1} levels; measure it again"
            )
        self._level_of_phase = _nearest_level(phase_rad)
        self._measured = measured

    def settings(self) -> dict[str, Any]:
        """As of every instrument; and where the phase table is from."""
        source = "levels_per_2pi of the bench file" if self._measured is None else self._measured.source
        return {**super().settings(), "phase_table": source}

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
        levels = np.empty(self.shape, np.uint8)
        rows = max(1, _BLOCK_PX // self.shape[1])
        for top in range(0, len(levels), rows):
            levels[top : top + rows] = self._levels(picture[top : top + rows])
        return levels

    def _levels(self, phase_rad: NDArray[np.floating[Any]]) -> NDArray[np.integer[Any]]:
        """Give the levels of a part that the processor's cache holds: half the time of the whole at once."""
        farthest_rad = max(float(phase_rad.max()), -float(phase_rad.min()))
        if not isfinite(farthest_rad):
            raise ValueError(f"{self}: a phase pattern holds values that are not finite")
        table = self._level_of_phase
        per_turn = self.table.levels_per_2pi if table is None else len(table)
        whole = int(per_turn)
        if whole != per_turn or farthest_rad * per_turn > _COUNTED_STEPS:
            turns: NDArray[np.float64] = np.divide(phase_rad, 2 * pi, dtype=np.float64)
            turns -= np.floor(turns)
            steps = np.rint(turns * per_turn).astype(np.int32)
            # A phase just below 2 pi may round to a level that does not exist: it is the same phase as level 0.
            steps[steps >= (self.max_level + 1 if table is None else whole)] = 0
        else:  # turns are taken off whole numbers, which is faster; single precision is enough for a few of them
            exact = phase_rad.dtype != np.float32 or farthest_rad * per_turn > _SINGLE_STEPS
            scaled = np.multiply(phase_rad, per_turn / (2 * pi), dtype=np.float64 if exact else np.float32)
            steps = np.rint(scaled, out=scaled).astype(np.int32)
            steps = steps & (whole - 1) if whole & (whole - 1) == 0 else steps % whole
        return steps if table is None else table[steps]

    def _prepare(self) -> None:
        super()._prepare()
        if self.table.levels_per_2pi > self.max_level + 1:
            raise ConfigError(
                f"{self}: levels_per_2pi = {self.table.levels_per_2pi:g}: {self.table.bit_depth} bits have only"
                f" {self.max_level + 1} levels, so the phase would not reach 2 pi"
            )


_STEPS_PER_LEVEL = 16
_BLOCK_PX = 2**15
_COUNTED_STEPS = 2**30
_SINGLE_STEPS = 2**17


def _nearest_level(phase_rad: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Give the level whose phase lies nearest, a whole turn being none, for equal steps of one turn."""
    steps = _STEPS_PER_LEVEL * len(phase_rad)
    wanted = np.exp(2j * pi * np.arange(steps) / steps)
    # The lowest of those that are equally near: a panel that turns further than once needs no more than once.
    once = phase_rad[: int(np.searchsorted(phase_rad, 2 * pi, side="right")) + 1]
    return np.asarray(np.abs(np.exp(1j * once)[:, None] - wanted[None, :]).argmin(axis=0), np.uint8)
