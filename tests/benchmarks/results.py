"""`docs/results.md`: measured figures, one section a benchmark, each written by the command that measured it."""

import os
import re
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results.md"
_HEADER = """# Measured figures

Each section is written by the command that it names; what cannot be made again is deleted.
"""


def write_section(name: str, markdown: str, path: Path = RESULTS) -> None:
    """Replace the section of this name, or append it; the rest of the file stays as it is.

    Parameters
    ----------
    name
        Lower-case letters, digits and hyphens; it stands in the markers, not in the text.
    markdown
        The section's text, heading included.
    path
        The file, made if missing.
    """
    if not re.fullmatch(r"[a-z0-9-]+", name):
        raise ValueError(f"section name {name!r}: lower-case letters, digits and hyphens only")
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    section = f"{begin}\n{markdown.strip()}\n{end}"
    text = path.read_text(encoding="utf-8") if path.exists() else _HEADER
    found = re.search(f"{re.escape(begin)}.*?{re.escape(end)}", text, re.DOTALL)
    text = text[: found.start()] + section + text[found.end() :] if found else f"{text.rstrip()}\n\n{section}\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
