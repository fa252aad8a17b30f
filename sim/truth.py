"""What really is the case in a world, for tests that check what labonn believes."""

from math import inf
from typing import Any

import numpy as np

from sim.optics import content_key
from sim.pupil import centre_px
from sim.stage import AXES
from sim.world import World


def truth(world: World) -> dict[str, Any]:
    """Everything but pixels, as JSON values.

    `lit`: light may be on the bench, because the shutter is open, told to be, or still moving, and the laser is on;
    what the display shows does not count. `time_lit_s`: in all, in the world's time. `lit_since_unix_s` and
    `dark_since_unix_s`: the host's time when that last began; null before. `shutter_open`: where the blade is or is
    going; `shutter_told_open`: what it was told last, which is something else where it is stuck. What a world without a
    laser does not have is null.
    """
    shown = {device: world.shown(device) for device in world.panel_shapes()}
    geometry, draws, file = world.optics.geometry, world.optics.draws, world.file
    light, camera = world.illumination, world.camera
    laser = light.laser
    now_s = world.clock.now_s()
    lit = light.lit
    moved = world.movement.at(now_s)
    return {
        "bench": world.name,
        "seed": world.seed,
        "now_s": now_s,
        "light_on": light.light_on,
        "laser_power_mw": light.laser_power_mw(),
        "laser_told_mw": None if laser is None else laser.told_mw,
        "interlock_closed": None if laser is None else laser.interlock_closed,
        "laser_fault": None if laser is None else laser.fault,
        "shutter_open": light.shutter.is_open(inf),
        "shutter_told_open": light.shutter.told_open,
        "lit": lit,
        "dark": not lit,
        "time_lit_s": light.darkness.lit_s(now_s),
        "lit_since_unix_s": light.darkness.lit_since_unix_s,
        "dark_since_unix_s": light.darkness.dark_since_unix_s,
        "celsius": world.warmth.celsius(),
        "camera_delivers": camera.delivers,
        "exposure_ms": camera.exposure_ms,
        "trigger_mode": camera.trigger_mode,
        "frames": camera.frames,
        "faults": world.faults.report(),
        "shown": {
            device: {"key": content_key(levels), "mean_level": float(levels.mean()), "max_level": int(levels.max())}
            for device, levels in shown.items()
        },
        "effects": file.effects.model_dump(mode="json"),
        "carried_um": {axis: world.carrier.really_um(axis, now_s) for axis in AXES},
        "moved": {"shift_px": moved.shift_px, "focus_um": moved.focus_um, "power": light.drift(now_s)},
        "sensor": file.camera.model_dump(),
        "drawn": {name: np.asarray(value).tolist() for name, value in vars(draws).items()},
        "geometry": {
            "tile_centres_px": (geometry.centres_px + np.array(moved.shift_px)).tolist(),
            "display_to_camera": geometry.matrix.tolist(),
            "display_centre": list(geometry.display_centre),
            "sub_aperture_centres_px": [centre_px(file, tile) for tile in range(file.lenslets.count)],
        },
    }
