"""``python -m labonn.web.describing SCRIPT...``: what protocol scripts are and what can be set, as one JSON object.

A process of its own: it imports the scripts, and with them torch, which the page's server must not wait for; and a
script that breaks at its import breaks nothing else.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from labonn.errors import LabonnError
from labonn.records.disk import plain


def describe(path: Path) -> dict[str, Any]:
    """Describe one script: its purpose, and each of its parameters; or what is wrong with it."""
    from labonn.protocol.script import load_script
    from labonn.protocol.settings import describe_parameters

    try:
        script = load_script(path)
    except LabonnError as error:
        return {"error": str(error)}
    schemas = _schemas(script.parameters)
    keys = [{**key, **_field(schemas.get(key["key"], {}))} for key in describe_parameters(script.parameters)]
    return {"purpose": script.purpose, "sha256": script.sha256, "keys": keys}


def _schemas(parameters: type[BaseModel]) -> Mapping[str, Mapping[str, Any]]:
    try:
        return dict(parameters.model_json_schema().get("properties", {}))
    except Exception:  # noqa: BLE001 - a type that JSON schema does not know is typed in as text
        return {}


def _field(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Say what kind of field in a form fits a parameter."""
    kind = {"integer": "integer", "number": "number", "boolean": "switch"}.get(str(schema.get("type")), "text")
    lowest = schema.get("minimum", schema.get("exclusiveMinimum"))
    highest = schema.get("maximum", schema.get("exclusiveMaximum"))
    choices = schema.get("enum", [])
    return {
        "kind": "choice" if choices else kind,
        "lowest": lowest,
        "highest": highest,
        "choices": [str(choice) for choice in choices],
        "begins": _written(schema.get("default")),
    }


def _written(value: Any) -> str:
    """Write a default as ``--set`` takes it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(plain(value))


def main(paths: Sequence[str]) -> None:
    """Describe every script, and print it."""
    printed = sys.stdout
    sys.stdout = sys.stderr  # whatever a script prints when it is imported
    found = {path: describe(Path(path)) for path in paths}
    printed.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
