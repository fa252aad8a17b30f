"""What really is the case in a world, for tests that check what labonn believes."""

from typing import Any

import numpy as np

from sim.optics import content_key
from sim.pupil import centre_px
from sim.world import World


def truth(world: World) -> dict[str, Any]:
    """Everything but pixels, as JSON values."""
    shown = {device: world.shown(device) for device in world.panel_shapes()}
    geometry, draws, file = world.optics.geometry, world.optics.draws, world.file
    lit = world.shutter_is_open and bool(shown["display"].any())
    return {
        "bench": world.name,
        "seed": world.seed,
        "now_s": world.clock.now_s(),
        "light_on": True,  # the mono world's source has no switch: the shutter makes it dark
        "shutter_open": world.shutter_is_open,
        "lit": lit,
        "dark": not lit,
        "camera_delivers": world.camera_delivers,
        "exposure_ms": world.exposure_ms,
        "frames": world.frames,
        "shown": {
            device: {"key": content_key(levels), "mean_level": float(levels.mean()), "max_level": int(levels.max())}
            for device, levels in shown.items()
        },
        "effects": file.effects.model_dump(),
        "sensor": file.camera.model_dump(),
        "drawn": {name: np.asarray(value).tolist() for name, value in vars(draws).items()},
        "geometry": {
            "tile_centres_px": geometry.centres_px.tolist(),
            "display_to_camera": geometry.matrix.tolist(),
            "display_centre": list(geometry.display_centre),
            "sub_aperture_centres_px": [centre_px(file, tile) for tile in range(file.lenslets.count)],
        },
    }
