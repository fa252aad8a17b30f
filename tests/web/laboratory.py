"""A laboratory with a network on a simulated bench: little trained, as nothing here depends on how good it is."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from labonn.design import load_design
from labonn.records import current_release, make_release, read_weights, set_current_release
from tests.bench.conftest import Simulated, bench_of, simulated

_SHIPPED = Path(load_design.__code__.co_filename).parent / "catalogue" / "digits-mono.design.toml"
_LITTLE = {"epochs = 30": "epochs = 2", "epochs = 50": "epochs = 2"}
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
    folder: Path, name: str, clock: str = "virtual", *changes: tuple[str, str], deployed: bool = True
) -> Iterator[Laboratory]:
    """Make a laboratory, by default with a trained and deployed network, and keep its simulated bench alive."""
    lab = folder / "lab"
    file = bench_of(folder, name, ('clock = "virtual"', f'clock = "{clock}"'), *changes)
    with simulated(file) as world:
        made = Laboratory(lab, world, name)
        if deployed and not lab.exists():
            _deploy(made, folder)
        yield made


def _deploy(made: Laboratory, folder: Path) -> None:
    text = _SHIPPED.read_text(encoding="utf-8")
    for old, new in _LITTLE.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    design = folder / "little.design.toml"
    design.write_text(text, encoding="utf-8")
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
    subprocess.run(command, check=True, capture_output=True)
