"""`docs/results.md`: measured figures, one section a benchmark, each written by the command that measured it.

What is measured cell by cell is kept in a file of `docs/results/` meanwhile, so that a benchmark of hours goes on where
it was.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from labonn.records.disk import write_atomically

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
    write_atomically(path, text.encode())


def cells_file(name: str) -> Path:
    """Where the cells of a section are kept."""
    return RESULTS.parent / "results" / f"{name}.json"


def read_cells(file: Path) -> dict[str, Any]:
    """All cells that are measured, by name."""
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


@contextmanager
def changed_cells(file: Path) -> Iterator[dict[str, Any]]:
    """Give all cells, and keep them as they are afterwards.

    Several processes may measure at once: each waits for the others here, so what another has added stays.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_suffix(".lock")):
        cells = read_cells(file)
        yield cells
        write_atomically(file, (json.dumps(cells, indent=1) + "\n").encode())


def keep_cell(file: Path, name: str, cell: Any) -> dict[str, Any]:
    """Add a cell to those that are measured, or replace it; gives all of them."""
    with changed_cells(file) as cells:
        cells[name] = cell
    return cells
