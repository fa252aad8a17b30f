"""Reading the TOML files that people write: designs, benches, sweeps.

A file that is wrong is refused as a whole, with one line for each thing that is wrong: file, key, value, what would be
right.
"""

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from labonn.errors import ConfigError


class Frozen(BaseModel):
    """A value that is checked when it is made, never changes, and refuses keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)


FileModel = TypeVar("FileModel", bound=BaseModel)


def read_toml(path: Path, model: type[FileModel]) -> FileModel:
    """Read and check one TOML file.

    Parameters
    ----------
    path
        The file.
    model
        What its content must be.

    Raises
    ------
    ConfigError
        If the file cannot be read, is not TOML, or does not fit the model.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not a text file in UTF-8 ({error.reason} at byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}") from error
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConfigError(explain(error, str(path))) from error


def explain(error: ValidationError, where: str) -> str:
    """Say each thing that pydantic found wrong in one line: place, key, value, what would be right."""
    lines = []
    for item in error.errors(include_url=False):
        key = ".".join(str(part) for part in item["loc"]) or "(the whole)"
        if item["type"] == "extra_forbidden":
            lines.append(f"{where}: {key}: no such key; check its spelling")
        elif item["type"] == "missing":
            lines.append(f"{where}: {key}: is missing")
        else:
            value = "" if isinstance(item["input"], dict) else f" = {item['input']!r}"
            lines.append(f"{where}: {key}{value}: {item['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)
