"""Reading a design: from a file, or from the catalogue that comes with labonn."""

from importlib import resources
from pathlib import Path

from labonn.config import read_toml
from labonn.design.design import Design
from labonn.design.layout import lay_out
from labonn.design.operations import check_parameters
from labonn.errors import ConfigError


def load_design(source: str | Path) -> Design:
    """Read a design file, or one of the shipped designs by its name.

    Raises
    ------
    ConfigError
        If there is no such file or name, the file is wrong, or what it describes cannot be laid out.
    """
    catalogue = resources.files("labonn.design") / "catalogue"
    path = Path(source)
    if path.suffix != ".toml":
        shipped = sorted(entry.name.removesuffix(".design.toml") for entry in catalogue.iterdir())
        if str(source) not in shipped:
            raise ConfigError(
                f"there is no design {str(source)!r}: give a file (*.toml), or one of {', '.join(shipped)}"
            )
        with resources.as_file(catalogue / f"{source}.design.toml") as file:
            return _read(file)
    return _read(path)


def _read(path: Path) -> Design:
    design = read_toml(path, Design)
    try:
        lay_out(design.optic)
    except ConfigError as error:
        raise ConfigError(f"{path}: optic: {error}") from error
    try:
        check_parameters(design)
    except ConfigError as error:
        raise ConfigError(f"{path}: backend: {error}") from error
    return design
