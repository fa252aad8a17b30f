"""Which part of the optic and of the sensor each half of a kernel takes, and in which exposure."""

from dataclasses import dataclass
from math import ceil

from labonn.design.layout import Layout
from labonn.design.sensor_room import SensorRoom


@dataclass(frozen=True)
class Tile:
    """A sub-aperture's image on the sensor."""

    kernel: int
    sign: int
    exposure: int
    """From 0 on."""
    optic_mm: tuple[float, float]
    """Centre of its sub-aperture, (y, x) from the optic's."""
    off_axis: float
    """How far that is from the optic's centre, as part of its half diagonal: 0 in the middle, 1 in a corner."""
    sensor_um: tuple[float, float]
    """Centre of its image, (y, x) from the sensor's, in its exposure."""


def place_tiles(layout: Layout, room: SensorRoom, *, tile_pitch_um: float) -> tuple[Tile, ...]:
    """Say where each sub-aperture's image falls: whole blocks of the layout's grid, one after the other, centred."""
    rows, columns = room.block
    across = ceil(layout.columns / columns)
    half_mm = [side / 2 for side in layout.optic.aperture_mm]
    placed = []
    for one in layout.sub_apertures:
        (down, row), (right, column) = divmod(one.row, rows), divmod(one.column, columns)
        shown = min(rows, layout.rows - down * rows), min(columns, layout.columns - right * columns)
        sensor_um = (
            (row - (shown[0] - 1) / 2) * tile_pitch_um,
            (column - (shown[1] - 1) / 2) * tile_pitch_um,
        )
        y_mm, x_mm = one.centre_mm
        off_axis = ((y_mm**2 + x_mm**2) / (half_mm[0] ** 2 + half_mm[1] ** 2)) ** 0.5
        placed.append(Tile(one.kernel, one.sign, down * across + right, one.centre_mm, off_axis, sensor_um))
    return tuple(placed)
