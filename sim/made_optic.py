"""A simulated bench of one's own, around an optic that was made for one's own kernels.

The maker gets the kernels of a trained model and gives masks; the laboratory mounts them, and writes into its bench
file whose they are. The new bench has a name of its own, so that its world is never taken for that of another optic.
"""

import json
import re
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from sim.errors import SimulationError

Array = NDArray[np.float64]
_SERIAL = re.compile(r'^serial_number = ".*"$', re.MULTILINE)
_NAME = re.compile(r'^name = ".*"$', re.MULTILINE)


@dataclass(frozen=True)
class Order:
    """What an optic is made for.

    Attributes
    ----------
    parts
        (T, channels, taps, taps), non-negative: what each sub-aperture shall make of a point. Light convolves and a
        network correlates, so it is the kernel turned by 180 degrees.
    model
        The id of the model that they are of.
    """

    parts: Array
    model: str


def order_of_model(folder: Path) -> Order:
    """Read the kernels of a trained model (a folder that `labonn train` made).

    Raises
    ------
    SimulationError
        If there are none, or they are of one colour.
    """
    try:
        with h5py.File(folder / "arrays.h5", "r") as file:
            parts = np.asarray(file["kernels"][()], np.float64)
        model = str(json.loads((folder / "model.json").read_text(encoding="utf-8"))["id"])
    except (OSError, KeyError, ValueError) as error:
        said = f"{folder}: is no folder of a model with kernels (arrays.h5, model.json): {error}"
        raise SimulationError(said) from error
    if parts.ndim == 3:
        parts = parts[:, None]
    if parts.ndim != 4 or (parts < 0).any():
        raise SimulationError(
            f"{folder}: kernels of {parts.shape}; masks need (tiles, colours, taps, taps), none negative"
        )
    return Order(parts[..., ::-1, ::-1].copy(), model)


def mount(bench: Path, folder: Path, masks: Path, model: str) -> Path:
    """Copy a simulated bench into a folder, with other masks in it; gives its bench file.

    Parameters
    ----------
    bench
        The bench file to begin from.
    folder
        Where the new one goes; it must not have one yet.
    masks
        The masks' file: it is moved to the place that the world file names.
    model
        Goes into the bench file's [optic].

    Raises
    ------
    SimulationError
        If there is a bench already, or a file is missing.
    """
    target = folder / bench.name
    if target.exists():
        raise SimulationError(f"{target}: there is a bench already; name another folder, or remove this one")
    serial = sha256(np.load(masks)["levels"].tobytes()).hexdigest()[:8]
    try:
        text = bench.read_text(encoding="utf-8")
        content = tomllib.loads(text)
        world = content["world"]["file"]
        beside = [world, *_cfgs(content["instruments"])]
        if not _SERIAL.search(text):
            raise SimulationError(f"{bench}: has no [optic] with a serial_number")
        folder.mkdir(parents=True, exist_ok=True)
        for name in dict.fromkeys(beside):
            shutil.copyfile(bench.parent / name, folder / name)
        named = tomllib.loads((folder / world).read_text(encoding="utf-8"))["optic"]["masks"]
        shutil.move(masks, folder / named)
        text = _SERIAL.sub(
            f'serial_number = "SIM-{serial.upper()}"\nmodel = "{model}"  # it was made for', text, count=1
        )
        target.write_text(_NAME.sub(f'name = "{content["name"]}-{serial}"', text, count=1), encoding="utf-8")
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        raise SimulationError(f"{bench}: cannot be copied to {folder}: {error}") from error
    return target


def _cfgs(instruments: Mapping[str, Any]) -> list[str]:
    """Names of the files beside a bench file that its instruments are configured in."""
    return [table["cfg"] for table in instruments.values() if "cfg" in table and not Path(table["cfg"]).is_absolute()]
