"""Every bench that comes with the simulated laboratory opens, takes a frame of what it is shown, and goes dark."""

import os
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest

from labonn.capture.light import light
from labonn.instruments import open_bench

from .conftest import BENCHES, simulated

NAMES = sorted(path.name.removesuffix(".bench.toml") for path in BENCHES.glob("*.bench.toml"))


@pytest.mark.parametrize("name", NAMES)
def test_it_opens_takes_a_frame_and_goes_dark(name: str, tmp_path: Path) -> None:
    file = shutil.copytree(BENCHES, tmp_path / "benches") / f"{name}.bench.toml"
    content = file.read_text(encoding="utf-8")
    file.write_text(content.replace(f'name = "{name}"', f'name = "{name}-{os.getpid()}"'), encoding="utf-8")
    world = tomllib.loads((BENCHES / f"{name}.world.toml").read_text(encoding="utf-8"))
    with simulated(file) as laboratory:
        laboratory.ask(op="psf", tile=0, side=8)  # answers when the first pattern's PSFs are known
        with open_bench(file) as bench:
            assert bench.has_slm == ("slm" in world)
            assert bench.config.geometry.wavelength_nm == world["source"]["wavelength_nm"]
            with light(bench):
                bench.display.show(np.zeros(bench.display.shape))
                black = bench.camera.snap().astype(float)
                bench.display.show(np.full(bench.display.shape, 0.5))
                grey = bench.camera.snap().astype(float)
            assert grey.shape == tuple(side // bench.camera.binning for side in world["camera"]["shape"])
            assert grey.mean() > black.mean() + 50
            assert bench.display.shape[0] == len(world["source"].get("channels_nm", [0])) * world["display"]["shape"][0]
        assert laboratory.truth()["dark"] is True
        assert laboratory.truth()["time_lit_s"] > 0
