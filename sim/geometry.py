"""Where things really are: display against lenslets against camera."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.draws import Draws
from sim.world_file import WorldFile


@dataclass(frozen=True)
class Geometry:
    """The truth about where a display pixel arrives.

    A display pixel d arrives in tile s at the camera pixel `centres_px[s] + matrix @ (d - display_centre)`. Both are
    (row, column), counted from 0 at the centre of the upper left one.
    """

    centres_px: NDArray[np.float64]  # (T, 2)
    matrix: NDArray[np.float64]  # (2, 2), camera pixels per display pixel
    display_centre: tuple[float, float]


def lay(world: WorldFile, draws: Draws) -> Geometry:
    """Put the parts where the world file and chance put them."""
    misalignment, tile_shift = world.effects.misalignment, world.effects.tile_shift
    rotation_deg = scale = grid_rotation_deg = 0.0
    shift = np.zeros(2)
    if misalignment.on:
        rotation_deg = misalignment.display_rotation_deg * draws.display_rotation
        scale = misalignment.display_scale * draws.display_scale
        grid_rotation_deg = misalignment.grid_rotation_deg * draws.grid_rotation
        shift = misalignment.shift_px * draws.shift
    rows, columns = world.lenslets.grid
    row, column = np.divmod(np.arange(rows * columns), columns)
    steps = np.stack([row - (rows - 1) / 2, column - (columns - 1) / 2], axis=1)
    pitch_px = world.camera.tile_pitch_um / world.camera.pixel_um
    middle = (np.array(world.camera.shape) - 1) / 2
    turn, skew = rotation(grid_rotation_deg), np.eye(2)
    if world.effects.shear.on:
        turn = turn @ shear(world.effects.shear.grid * draws.shear[1])
        skew = shear(world.effects.shear.display * draws.shear[0])
    centres = middle + shift + pitch_px * steps @ turn.T
    if tile_shift.on:
        centres = centres + tile_shift.spread_px * draws.tile_shift
    pixel_px = world.display.pixel_on_sensor_um / world.camera.pixel_um
    height, width = world.display.shape
    return Geometry(
        centres_px=centres,
        matrix=(1 + scale) * pixel_px * rotation(rotation_deg + grid_rotation_deg) @ skew,
        display_centre=((height - 1) / 2, (width - 1) / 2),
    )


def rotation(angle_deg: float) -> NDArray[np.float64]:
    """Turn (down, right) vectors from down towards right."""
    angle = np.deg2rad(angle_deg)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def shear(slope: float) -> NDArray[np.float64]:
    """Move (down, right) vectors down by `slope` times what they go right."""
    return np.array([[1.0, slope], [0.0, 1.0]])
