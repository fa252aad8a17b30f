"""Small worlds for tests: the shipped one's physics, on fewer and smaller parts."""

import tomllib
from pathlib import Path
from typing import Any

import sim
from sim.world_file import WorldFile

BENCHES = Path(sim.__file__).parent / "benches"
LASER = {"nominal_power_mw": 15.0, "rated_power_mw": 20.0, "response_ms": 2.0}
NOISE = ("shot_noise", "read_noise", "dark_current", "pixel_gain", "column_offset", "light_noise")
SMALL = {
    "slm.shape": [96, 96],
    "lenslets.grid": [2, 2],
    "lenslets.pitch_px": 40,
    "lenslets.aperture_px": 32,
    "lenslets.focal_mm": 6.25,  # the shipped world's f-number: the same diffraction
    "display.shape": [96, 96],
    "camera.shape": [150, 140],
    "camera.tile_pitch_um": 240.0,
    "effects.beam.waist_mm": 1.0,
    "effects.beam.offset_mm": [0.02, 0.0],
}


def content(changes: dict[str, Any] | None = None, off: tuple[str, ...] | str = ()) -> dict[str, Any]:
    """The shipped world's file with changes, and with some effects ("all": every one) switched off."""
    values: dict[str, Any] = tomllib.loads((BENCHES / "mono.world.toml").read_text(encoding="utf-8"))
    for effect in values["effects"] if off == "all" else off:
        values["effects"][effect]["on"] = False
    values.pop("laser", None)  # the source is always on, unless a test gives it a laser
    for path, value in (changes or {}).items():
        if path in ("laser", "meter", "thermometer", "faults"):
            values[path] = value
            continue
        *tables, key = path.split(".")
        table = values
        for name in tables:
            table = table[name]
        assert key in table, path
        table[key] = value
    return values


def small_world(changes: dict[str, Any] | None = None, off: tuple[str, ...] | str = ()) -> WorldFile:
    return WorldFile.model_validate(content({**SMALL, **(changes or {})}, off))


def one_lens(changes: dict[str, Any] | None = None, off: tuple[str, ...] | str = "all") -> WorldFile:
    """One sub-aperture of the shipped world, alone on its SLM."""
    alone = {"slm.shape": [256, 256], "lenslets.grid": [1, 1]}
    return WorldFile.model_validate(content({**alone, **(changes or {})}, off))
