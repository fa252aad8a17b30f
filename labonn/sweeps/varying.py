"""Variants of a design: keys by their dotted names, checked as a design file's are."""

import tomllib
from collections.abc import Mapping
from math import ceil, sqrt
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from labonn.config import explain
from labonn.design import Design, lay_out
from labonn.design.design import Optic
from labonn.design.operations import check_parameters
from labonn.errors import ConfigError

DESIGN, WORLD, SEED = "design.", "world.", "seed"


def check_key(key: str, *, fabricates: bool) -> None:
    """Refuse a key that nothing has.

    Parameters
    ----------
    key
        ``design.`` and a design's key, ``world.`` and a world file's effect and its key, or ``seed``.
    fabricates
        Whether there is a world.

    Raises
    ------
    ConfigError
        If there is no such key; the message says which there are.
    """
    if key == SEED:
        return
    if key.startswith(WORLD):
        if not fabricates:
            raise ConfigError('a world is there only where does = "fabricate"')
        if len(key.split(".")) != 3:
            raise ConfigError("a world's key is an effect and what it has, as in world.aberrations.defocus_waves")
        return
    if not key.startswith(DESIGN):
        raise ConfigError(f"no such key: it begins with {DESIGN} or {WORLD}, or is {SEED}")
    model: type[BaseModel] | None = Design
    for part in key.removeprefix(DESIGN).split("."):
        names = {} if model is None else {field.alias or name: field for name, field in model.model_fields.items()}
        if part not in names:
            known = ", ".join(names) or "nothing"
            raise ConfigError(f"no such key: at {part!r}, a design has {known}")
        model = _model_of(names[part].annotation)
    if model is not None:
        raise ConfigError(f"is a table; name one of its keys: {', '.join(model.model_fields)}")


def read_world(bench: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """A simulated bench's file and its world's, as tables.

    Raises
    ------
    ConfigError
        If one of them cannot be read, or the bench is a real one.
    """
    try:
        known = tomllib.loads(bench.read_text(encoding="utf-8"))
        if "world" not in known:
            raise ConfigError(f"{bench}: has no [world]: only simulated benches are fabricated by a sweep")
        return known, tomllib.loads((bench.parent / known["world"]["file"]).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{bench}: it or its world cannot be read: {error}") from error


def set_in_world(world: dict[str, Any], key: str, value: Any) -> None:
    """Set a strength of an effect, and switch the effect on.

    Raises
    ------
    ConfigError
        If the world has no such effect, or the effect no such strength.
    """
    effect, strength = key.removeprefix(WORLD).split(".")
    effects = world.get("effects", {})
    if strength not in effects.get(effect, {}):
        known = ", ".join(effects.get(effect, effects))
        place = f"effect {effect!r} has" if effect in effects else "the world's effects are"
        raise ConfigError(f"no such key: {place} {known}")
    effects[effect] |= {strength: value, "on": True}


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """The table that a key is, None of a value."""
    for one in (annotation, *get_args(annotation)):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
    return None


def vary(design: Design, settings: Mapping[str, Any], *, name: str, fit_optic: bool) -> Design:
    """A design with some keys set anew.

    Parameters
    ----------
    design
        What is varied.
    settings
        Values by key; keys of worlds and the seed are passed over.
    name
        Of the variant.
    fit_optic
        Whether its aperture is made as large as its kernels need.

    Raises
    ------
    ConfigError
        If a value is wrong, or what comes out cannot be laid out or is larger than it may be.
    """
    content = design.model_dump(mode="python", by_alias=True)
    content["name"] = name
    for key, value in settings.items():
        if key.startswith(DESIGN):
            *tables, last = key.removeprefix(DESIGN).split(".")
            inner = content
            for table in tables:
                inner = inner[table]
            inner[last] = value
    try:
        varied = Design.model_validate(content)
        if fit_optic:
            varied = varied.model_copy(update={"optic": _fitted(varied.optic)})
    except ValidationError as error:
        raise ConfigError(explain(error, name)) from error
    lay_out(varied.optic)
    check_parameters(varied)
    return varied


def _fitted(optic: Optic) -> Optic:
    """The same with the squarest aperture that holds its sub-apertures."""
    rows = ceil(sqrt(optic.sub_apertures))
    columns = ceil(optic.sub_apertures / rows)
    sides_mm = [count * optic.kernel_mm + (count - 1) * optic.spacing_mm for count in (columns, rows)]
    return optic.model_copy(update={"aperture_mm": (round(sides_mm[0], 9), round(sides_mm[1], 9))})
