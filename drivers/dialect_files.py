"""Finding the dialect that an instrument's table names: shipped, beside the bench file, or written in the table."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from drivers.dialect import Dialect
from labonn.config import explain, read_toml
from labonn.errors import ConfigError

MODELS: Final = Path(__file__).parent / "models"

AnyDialect = TypeVar("AnyDialect", bound=Dialect)


class _Table(BaseModel):
    """Whatever a TOML file says."""

    model_config = ConfigDict(frozen=True, extra="allow")


def read_dialect(
    kind: type[AnyDialect],
    where: str,
    folder: Path,
    *,
    model: str | None,
    inline: Mapping[str, Any] | None,
    parameters: Mapping[str, str],
) -> AnyDialect:
    """Read and check the dialect that an instrument's table names.

    Parameters
    ----------
    kind
        What it must be a dialect of.
    where
        The instrument's table, for messages.
    folder
        The bench file's folder.
    model
        Name of a shipped dialect, or path of a `.toml` file.
    inline
        The dialect itself, in place of `model`.
    parameters
        What stands for the dialect's own `parameters`, where they are not as it says.

    Raises
    ------
    ConfigError
        If neither or both of `model` and `inline` are given, there is no such dialect, or it is wrong.
    """
    if (model is None) == (inline is None):
        raise ConfigError(f"{where}: give either model, one of {_shipped(kind)} or a file of your own, or dialect")
    if inline is not None:
        content, source = dict(inline), f"{where}.dialect"
    else:
        assert model is not None
        content, source = _read(kind, where, folder, model)
    given = content.get("parameters", {})
    for name in parameters:
        if not isinstance(given, dict) or name not in given:
            known = ", ".join(given) if isinstance(given, dict) and given else "none"
            raise ConfigError(f"{where}: parameters.{name}: {source} has no such parameter; it has: {known}")
    if isinstance(given, dict):
        content["parameters"] = given | dict(parameters)
    try:
        return kind.model_validate(_filled(content, content.get("parameters", {})))
    except ValidationError as error:
        raise ConfigError(explain(error, source)) from error


def _read(kind: type[Dialect], where: str, folder: Path, model: str) -> tuple[dict[str, Any], str]:
    if model.endswith(".toml"):
        file = folder / model
    else:
        file = MODELS / f"{model}.toml"
        if not file.is_file():
            raise ConfigError(
                f"{where}: model = {model!r}: there is no such dialect; there are: {_shipped(kind)},"
                ' or a file of your own: model = "my-instrument.toml"'
            )
    return read_toml(file, _Table).model_dump(), str(file)


def _filled(value: Any, parameters: Any) -> Any:
    """Put the parameters in their places, in every text."""
    if isinstance(value, str) and isinstance(parameters, dict):
        for name, text in parameters.items():
            value = value.replace("{" + name + "}", str(text))
    elif isinstance(value, dict):
        return {key: item if key == "parameters" else _filled(item, parameters) for key, item in value.items()}
    elif isinstance(value, list):
        return [_filled(item, parameters) for item in value]
    return value


def _shipped(kind: type[Dialect]) -> str:
    wanted = kind.model_fields["kind"].annotation
    names = []
    for file in sorted(MODELS.glob("*.toml")):
        said = tomllib.loads(file.read_text(encoding="utf-8")).get("kind")
        if said in getattr(wanted, "__args__", ()):
            names.append(repr(file.stem))
    return ", ".join(names)
