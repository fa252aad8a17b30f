"""Writing a design as a file that can be read again."""

import json
from typing import Any

from labonn.design.design import Design


def design_toml(design: Design, comment: str = "") -> str:
    """Give a design as the text of a ``*.design.toml``; what stands at its default is left out."""
    content = design.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    content = {"schema": design.schema_, **content}
    lines = [f"# {line}" for line in comment.splitlines()]
    lines += [f"{key} = {_value(value)}" for key, value in content.items() if not isinstance(value, dict)]
    for key, table in content.items():
        if isinstance(table, dict):
            lines += ["", f"[{key}]", *(f"{name} = {_value(value)}" for name, value in table.items())]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False)  # of strings, numbers and booleans, TOML's own
