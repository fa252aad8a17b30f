"""Settings of a protocol: from ``key=value`` to checked parameters."""

import difflib
import json
from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from labonn.config import explain
from labonn.errors import ConfigError

Parameters = TypeVar("Parameters", bound=BaseModel)


def split_settings(settings: Iterable[str]) -> dict[str, str]:
    """Split ``key=value`` texts.

    Raises
    ------
    ConfigError
        If one has no ``=`` or a key comes twice.
    """
    split: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        key = key.strip()
        if not equals or not key:
            raise ConfigError(f"--set {setting}: expected key=value")
        if key in split:
            raise ConfigError(f"--set {key}: given twice ({split[key]!r} and {value.strip()!r})")
        split[key] = value.strip()
    return split


def make_parameters(model: type[Parameters], settings: Mapping[str, str]) -> Parameters:
    """Turn settings, texts as they were typed, into a protocol's parameters.

    A text is taken as it is where that fits the field, else read as JSON (``null``, ``[1, 2]``), else split at commas.

    Raises
    ------
    ConfigError
        If a key is unknown or missing, or a value does not fit; the message lists all keys and their help.
    """
    unknown = [key for key in settings if key not in model.model_fields]
    if unknown:
        lines = [f"--set {key}: no such key{_suggestion(key, model)}" for key in unknown]
        raise ConfigError("\n".join([*lines, *_keys(model)]))
    readings = {key: _readings(text) for key, text in settings.items()}
    chosen = dict.fromkeys(readings, 0)
    first_failure: ValidationError | None = None
    while True:
        try:
            return model.model_validate({key: readings[key][index] for key, index in chosen.items()})
        except ValidationError as failure:
            first_failure = first_failure or failure
            wrong = {str(item["loc"][0]) for item in failure.errors() if item["loc"]}
            retry = [key for key in wrong & chosen.keys() if chosen[key] + 1 < len(readings[key])]
            if not retry:
                in_a_list = any(len(item["loc"]) > 1 or item["type"].startswith("too_") for item in failure.errors())
                said = failure if in_a_list else first_failure  # of a list, what is wrong with its parts
                raise ConfigError("\n".join([explain(said, "--set"), *_keys(model)])) from failure
            for key in retry:
                chosen[key] += 1


def _readings(text: str) -> list[Any]:
    """Give what a text may mean, most literal first."""
    try:
        value = json.loads(text)
    except ValueError:
        empty = [None] if text.lower() == "none" else []
        return [text, *empty, [part.strip() for part in text.split(",")]]
    return [text, value] if isinstance(value, (list, dict)) else [text, value, [value]]


def _suggestion(key: str, model: type[BaseModel]) -> str:
    close = difflib.get_close_matches(key, model.model_fields, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def describe_parameters(model: type[BaseModel]) -> list[dict[str, str]]:
    """List a protocol's keys: ``key``, ``type``, ``default`` and ``help`` of each."""
    return [
        {
            "key": name,
            "type": _type_name(field),
            "default": "(needed)" if field.is_required() else _default(field),
            "help": field.description or "",
        }
        for name, field in model.model_fields.items()
    ]


def _keys(model: type[BaseModel]) -> list[str]:
    keys = describe_parameters(model)
    if not keys:
        return ["This protocol has no keys to set."]
    return ["The keys are:"] + [
        f"  {key['key']} ({key['type']}, {key['default']})" + (f": {key['help']}" if key["help"] else "")
        for key in keys
    ]


def _type_name(field: FieldInfo) -> str:
    return " ".join([_kind_name(field.annotation), *_limits(field.metadata)])


def _limits(metadata: Iterable[Any]) -> list[str]:
    return [
        f"{sign} {getattr(limit, attribute)}"
        for limit in metadata
        for attribute, sign in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))
        if getattr(limit, attribute, None) is not None
    ]


def _kind_name(kind: Any) -> str:
    """Name a type as one would say it: ``int or 'all'``."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return " ".join([_kind_name(inner[0]), *_limits(inner[1:])])
    if origin is list:
        return f"list of {_kind_name(inner[0])}"
    if origin is Literal:
        return " or ".join(repr(value) for value in inner)
    if origin in (Union, UnionType):
        return " or ".join(_kind_name(part) for part in inner)
    if kind is NoneType:
        return "none"
    return kind.__name__ if isinstance(kind, type) and origin is None else str(kind).replace("typing.", "")


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True, validated_data={})
    return "" if default is PydanticUndefined else str(default)
