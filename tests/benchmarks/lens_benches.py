"""Benches with a plain lens in place of a bench's fixed optic: the baseline that every optic is compared with.

One sub-aperture of the optic without its mask, in the same world; of the same sensor, as much as its one tile needs.
"""

import re
import shutil
import tomllib
from pathlib import Path

from tests.benchmarks.random_worlds import tables_of


def write(shipped: Path, folder: Path, name: str) -> Path:
    """Write the bench that a lens has, of a shipped one with an optic, into a folder; gives its bench file."""
    file = folder / shipped.name
    if file.exists():
        return file
    bench = tomllib.loads(shipped.read_text(encoding="utf-8"))
    world = shipped.parent / bench["world"]["file"]
    content = tomllib.loads(world.read_text(encoding="utf-8"))
    camera, grid = content["camera"], content["lenslets"]["grid"]
    pitch_px = camera["tile_pitch_um"] / camera["pixel_um"]
    shape = [int(side - (tiles - 1) * pitch_px) // 4 * 4 for side, tiles in zip(camera["shape"], grid, strict=True)]
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(shipped.parent / "fixed.cfg", folder / "fixed.cfg")

    head = world.read_text(encoding="utf-8").partition("[effects.")[0]
    head = re.sub(r"^masks = .*\n", "", head, flags=re.MULTILINE)
    head = head.replace(f"grid = {grid}", "grid = [1, 1]").replace(f"shape = {camera['shape']}", f"shape = {shape}")
    effects = content["effects"]
    for of_masks in ("fabrication", "tile_gain"):  # one lens has no mask, and no other to differ from
        effects[of_masks]["on"] = False
    (folder / world.name).write_text(head + tables_of(effects), encoding="utf-8")

    text = shipped.read_text(encoding="utf-8")
    text = text.replace(f'name = "{bench["name"]}"', f'name = "{name}"', 1)
    text = text.replace(f"camera_px = {camera['shape']}", f"camera_px = {shape}")
    text = re.sub(r'^serial_number = ".*"$', f'serial_number = "SIM-{name.upper()}"', text, flags=re.MULTILINE)
    text = re.sub(r'^description = ".*"$', 'description = "a plain lens"', text, flags=re.MULTILINE)
    file.write_text(text, encoding="utf-8")
    return file
