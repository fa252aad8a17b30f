"""Whether a design's tiles have room on a bench's sensor, and how many exposures one image takes there."""

from dataclasses import dataclass
from math import ceil, floor

from labonn.design.design import Design
from labonn.design.layout import Layout
from labonn.errors import ConfigError

_ROUNDING = 1e-9


@dataclass(frozen=True)
class SensorRoom:
    """The tiles of a design on a sensor."""

    tile_taps: tuple[int, int]
    """What a kernel makes of an image, height and width: the image, and what it is blurred over its edge."""
    tiles_per_frame: int
    """How many tiles the sensor holds."""
    exposures: int
    """How many frames one image takes."""
    used: float
    """Share of the sensor's area that the tiles of one frame take."""
    block: tuple[int, int]
    """Rows and columns of the layout's grid that one frame shows."""
    gap_taps: float
    """Dark between neighbouring tiles."""


def sensor_room(
    design: Design, layout: Layout, *, tap_um: float, tile_pitch_um: float, sensor_um: tuple[float, float]
) -> SensorRoom:
    """Place a design's tiles on a sensor.

    Parameters
    ----------
    design, layout
        What is to be placed.
    tap_um
        Distance on the sensor between neighbouring taps.
    tile_pitch_um
        Distance on the sensor between neighbouring tiles, both axes.
    sensor_um
        The sensor's height and width.

    Raises
    ------
    ConfigError
        If neighbouring tiles would overlap, the sensor holds none, or one image takes more exposures than the design
        says.
    """
    tile_taps = tuple(side + design.optic.taps - 1 for side in design.image_shape)
    largest_um = max(tile_taps) * tap_um
    if largest_um > tile_pitch_um * (1 + _ROUNDING):
        raise ConfigError(
            f"design {design.name!r}: a tile of {tile_taps[0]} x {tile_taps[1]} taps of {tap_um:g} um is"
            f" {largest_um:.0f} um long, but tiles are {tile_pitch_um:g} um apart (tile_pitch_um), so that neighbours"
            " overlap: smaller images, fewer taps, or a larger pitch"
        )
    sensor = f"a sensor of {sensor_um[0] / 1e3:.2f} x {sensor_um[1] / 1e3:.2f} mm"
    rows, columns = (floor(side / tile_pitch_um + _ROUNDING) for side in sensor_um)
    # Whole rows and columns of the layout's grid at a time: the others' light is kept off the sensor.
    block = min(rows, layout.rows), min(columns, layout.columns)
    held = min(block[0] * block[1], len(layout.sub_apertures))
    if not held:
        raise ConfigError(f"design {design.name!r}: {sensor} holds not one tile of {tile_pitch_um / 1e3:.2f} mm")
    exposures = ceil(layout.rows / block[0]) * ceil(layout.columns / block[1])
    if exposures > design.exposures:
        raise ConfigError(
            f"design {design.name!r}: {len(layout.sub_apertures)} tiles in {layout.rows} rows and {layout.columns}"
            f" columns, of {tile_pitch_um / 1e3:.2f} mm each, do not fit {sensor}: it holds {held} at a time,"
            f" so one image takes {exposures} exposures and the design says exposures = {design.exposures}; change it,"
            " or take smaller images or fewer kernels"
        )
    used = held * tile_pitch_um**2 / (sensor_um[0] * sensor_um[1])
    gap_taps = max(0.0, tile_pitch_um / tap_um - max(tile_taps))
    return SensorRoom((tile_taps[0], tile_taps[1]), held, exposures, used, block, gap_taps)
