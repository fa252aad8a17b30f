"""Where the sub-apertures stand on the optic, and where their images stand on the sensor."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labonn.design.design import Optic
from labonn.errors import ConfigError


@dataclass(frozen=True)
class SubAperture:
    """One square of the optic: it realises the positive or the negative half of one kernel."""

    index: int  # 2 * kernel + (0 for the positive half, 1 for the negative)
    kernel: int
    sign: int  # +1 or -1
    row: int
    column: int
    centre_mm: tuple[float, float]  # (y, x) from the optic's centre, y downwards


@dataclass(frozen=True)
class Layout:
    """A grid of sub-apertures, symmetric about the optic's centre, filled row by row."""

    optic: Optic
    rows: int
    columns: int
    sub_apertures: tuple[SubAperture, ...]

    def tile_centres_um(self, tile_pitch_um: float) -> NDArray[np.float64]:
        """Where the images' centres lie on the sensor, (T, 2) as (y, x) from the sensor's centre."""
        steps = [(s.row - (self.rows - 1) / 2, s.column - (self.columns - 1) / 2) for s in self.sub_apertures]
        return np.asarray(steps) * tile_pitch_um


def lay_out(optic: Optic) -> Layout:
    """Place the pairs of sub-apertures of all kernels on the optic.

    The grid is the squarest part of what fits that holds them all, and it is centred, so that the kernels use the
    middle of the field.

    Raises
    ------
    ConfigError
        If fewer sub-apertures fit than the kernels need.
    """
    needed = optic.sub_apertures
    fit_rows, fit_columns = optic.grid()
    if fit_rows * fit_columns < needed:
        raise ConfigError(
            f"{optic.kernels} signed kernels need {needed} sub-apertures, but only {fit_rows} x {fit_columns} = "
            f"{fit_rows * fit_columns} of {optic.kernel_mm} mm with {optic.spacing_mm} mm between them fit an optic of "
            f"{optic.aperture_mm[0]} x {optic.aperture_mm[1]} mm: "
            "fewer kernels, a smaller kernel_mm or a larger aperture_mm"
        )
    holding = [(r, -(-needed // r)) for r in range(1, fit_rows + 1) if -(-needed // r) <= fit_columns]
    rows, columns = min(holding, key=lambda grid: (abs(grid[0] - grid[1]), grid[0] * grid[1]))
    period_mm = optic.kernel_mm + optic.spacing_mm
    placed = []
    for index in range(needed):
        row, column = divmod(index, columns)
        centre_mm = ((row - (rows - 1) / 2) * period_mm, (column - (columns - 1) / 2) * period_mm)
        placed.append(SubAperture(index, index // 2, 1 - 2 * (index % 2), row, column, centre_mm))
    return Layout(optic, rows, columns, tuple(placed))
