"""Beginning a laboratory: files to edit, and what to do next."""

import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from labonn.cli.answer import Answer
from labonn.errors import ConfigError, RecordError
from labonn.records.disk import write_atomically

if TYPE_CHECKING:
    from rich.console import Console

_DESIGN = "digits-mono"


def init_command(folder: Path, lab: Path | None) -> Answer:
    """Write a bench file and a design file into a folder, and make the laboratory's own folder.

    Raises
    ------
    ConfigError
        If one of the files is there already, or the folder cannot be written: nothing is.
    """
    name = bench_name(folder)
    content = laboratory_files(name)
    bench, design = (folder / file for file in content)
    lab = folder / "lab" if lab is None else lab
    if there := [path for path in (bench, design) if path.exists()]:
        raise ConfigError(f"{there[0]}: is there already, and is not overwritten; nothing was written")
    try:
        lab.mkdir(parents=True, exist_ok=True)
        for file, text in content.items():
            write_atomically(folder / file, text.encode("utf-8"))
    except (OSError, RecordError) as error:
        raise ConfigError(f"{folder}: cannot be written: {error}") from error

    steps = _next_steps(folder, name, lab)
    said = {"bench": str(bench), "design": str(design), "lab": str(lab), "next": steps}

    def show(console: "Console") -> None:
        console.print(f"written: {bench}\n         {design}\n\nNext:", markup=False)
        for number, step in enumerate(steps, start=1):
            console.print(f"{number}. {step}", markup=False)

    return Answer(said, show)


def bench_name(folder: Path) -> str:
    """Name a bench after its folder, by what may stand in such a name."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", folder.absolute().name).strip("-_")
    return name[:64] or "bench"


def laboratory_files(name: str) -> dict[str, str]:
    """Give the files of a new laboratory, the bench file first: name -> text."""
    bench = files("labonn.cli").joinpath("templates", "laboratory.bench.toml").read_text(encoding="utf-8")
    design = files("labonn.design").joinpath("catalogue", f"{_DESIGN}.design.toml").read_text(encoding="utf-8")
    head = "# Yours to edit: what the optic computes, and the network behind it. A copy of the shipped design.\n"
    return {
        f"{name}.bench.toml": bench.replace("NAME.bench.toml", f"{name}.bench.toml").replace('"NAME"', f'"{name}"'),
        f"{name}.design.toml": head + design.replace(f'name = "{_DESIGN}"', f'name = "{name.lower()}"'),
    }


def _next_steps(folder: Path, name: str, lab: Path) -> list[str]:
    where = "" if lab == folder / "lab" else f" --lab {lab.absolute()}"
    bench = f"{name}.bench.toml"
    return [
        f'cd "{folder}"' if " " in str(folder) else f"cd {folder}",
        f"fill in {bench}: Micro-Manager's .cfg, the instruments' addresses, geometry; arm the laser (max_power_mw)",
        f"labonn bench check {bench}{where}        opens every instrument, measures it, says what is wrong",
        f"edit {name}.design.toml: aperture, kernels, wavelength of your optic",
        f"labonn run train_and_deploy {bench} --set design={name}.design.toml{where}",
        f"labonn recalibrate {bench}{where}        whenever the optics have drifted",
    ]
