"""A laboratory with a network on a simulated bench: little trained, as nothing here depends on how good it is.

`small` makes both smaller: four sub-apertures of the sixteen, a quarter of the frame. What the page does is the same.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from labonn.design import load_design
from labonn.records import current_release, make_release, read_weights, set_current_release
from tests.bench.conftest import Simulated, bench_of, patience, simulated

_SHIPPED = Path(load_design.__code__.co_filename).parent / "catalogue" / "digits-mono.design.toml"
_LITTLE = {"epochs = 30": "epochs = 1", "epochs = 50": "epochs = 2", 'method = "ntkd"': 'method = "kd"'}
_SMALL_DESIGN = {"aperture_mm = [8.64, 8.64]": "aperture_mm = [4.3, 4.3]", "kernels = 8": "kernels = 2"}
_SMALL_WORLD = {
    "shape = [1080, 1920]": "shape = [544, 640]",
    "grid = [4, 4]": "grid = [2, 2]",
    "shape = [1080, 1080]": "shape = [540, 540]",
}
_SMALL_BENCH = (
    ("camera_px = [540, 540]", "camera_px = [270, 270]"),
    ("timeout_ms = 10_000   # this", "timeout_ms = 4_000   # this"),  # a camera that is gone is waited for so long
)
PATIENT = ("period_ms = 250\n", "period_ms = 2000\n")
"""A change of a bench file: this computer may have much else to do."""
_SETTINGS = ("pattern_steps=20", "evaluation_images=30")


@dataclass(frozen=True)
class Laboratory:
    """A laboratory and its bench."""

    lab: Path
    world: Simulated
    name: str

    @property
    def bench(self) -> Path:
        return self.world.file

    def release_again(self) -> str:
        """Release the backend that is in use a second time, as if it were another; gives the new release."""
        now = current_release(self.lab, self.name)
        assert now is not None
        made = make_release(
            self.lab,
            bench=self.name,
            run=now.run,
            optic=now.optic,
            model=now.model,
            backend=read_weights(now.folder / "backend.safetensors"),
            figures=now.figures,
            calibration=now.file("calibration.h5"),
        )
        set_current_release(self.lab, self.name, made.id)
        return made.id


@contextmanager
def laboratory(
    folder: Path,
    name: str,
    clock: str = "virtual",
    *changes: tuple[str, str],
    deployed: bool = True,
    small: bool = False,
) -> Iterator[Laboratory]:
    """Make a laboratory, by default with a trained and deployed network, and keep its simulated bench alive."""
    lab = folder / "lab"
    smaller = _SMALL_BENCH if small else ()
    file = bench_of(folder, name, ('clock = "virtual"', f'clock = "{clock}"'), PATIENT, *smaller, *changes)
    if small:
        patience(file, 3_000)
        world_file = file.parent / "mono.world.toml"
        world_file.write_text(_changed(world_file, _SMALL_WORLD), encoding="utf-8")
    with simulated(file) as world:
        made = Laboratory(lab, world, name)
        if deployed and not lab.exists():
            _deploy(made, folder, _LITTLE | _SMALL_DESIGN if small else _LITTLE)
        yield made


def _changed(file: Path, changes: Mapping[str, str]) -> str:
    text = file.read_text(encoding="utf-8")
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def _deploy(made: Laboratory, folder: Path, changes: Mapping[str, str]) -> None:
    design = folder / "little.design.toml"
    design.write_text(_changed(_SHIPPED, changes), encoding="utf-8")
    words = [f"--set={setting}" for setting in (*_SETTINGS, f"design={design}")]
    command = [
        sys.executable,
        "-m",
        "labonn",
        "run",
        "train_and_deploy",
        str(made.bench),
        "--lab",
        str(made.lab),
        *words,
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
