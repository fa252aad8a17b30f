"""One HTML page that needs nothing else: no script, no style sheet, no picture is asked for from anywhere."""

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labonn.report.style import STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GOOD, _BAD = "\u2713", "\u2717"
STATES = {
    "ok": ("good", _GOOD),
    "drifted": ("warn", "\u25b3"),
    "failed": ("bad", _BAD),
    "skipped": ("neutral", "\u2013"),
}
"""What a column called ``state`` may say, how it looks, and the sign before it."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


class Page:
    """A page that is put together from top to bottom. Every text is escaped."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._parts = [f"<h1>{escape(title)}</h1>"]

    def heading(self, text: str) -> None:
        """Begin a section."""
        self._parts.append(f"<h2>{escape(text)}</h2>")

    def text(self, text: str) -> None:
        """Add a paragraph; line ends are kept."""
        self._parts.append(f"<p>{escape(text)}</p>")

    def command(self, text: str) -> None:
        """Add a line to be copied into a shell."""
        self._parts.append(f"<pre>{escape(text)}</pre>")

    def banner(self, kind: str, text: str) -> None:
        """Add a line that stands out: `kind` is ``good``, ``bad`` or ``neutral``, and is not told by colour alone."""
        sign = {"good": _GOOD, "bad": _BAD}.get(kind, "\u2022")
        self._parts.append(f'<p class="banner {escape(kind)}"><span>{sign}</span> {escape(text)}</p>')

    def table(self, rows: Sequence[Mapping[str, Any]], caption: str = "") -> None:
        """Add a table; the columns are the rows' keys in the order in which they first come.

        A column called ``state`` stands out where it says one of those in `STATES`, by a sign and by colour.
        """
        columns = list(dict.fromkeys(key for row in rows for key in row))
        head = "".join(f"<th>{escape(column)}</th>" for column in columns)
        body = "".join(
            f"<tr>{''.join((_state if column == 'state' else _cell)(row.get(column)) for column in columns)}</tr>"
            for row in rows
        )
        title = f"<caption>{escape(caption)}</caption>" if caption else ""
        self._parts.append(
            f'<div class="wide"><table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        )

    def facts(self, facts: Mapping[str, Any]) -> None:
        """Add names and values, one a line."""
        rows = "".join(f"<tr><th>{escape(name)}</th>{_cell(value)}</tr>" for name, value in facts.items())
        self._parts.append(f'<div class="wide"><table class="facts"><tbody>{rows}</tbody></table></div>')

    def figure(self, png: bytes, title: str, caption: str = "") -> None:
        """Add a picture."""
        data = base64.b64encode(png).decode("ascii")
        words = f"<strong>{escape(title)}.</strong> {escape(caption)}"
        picture = f'<img alt="{escape(title)}" src="data:image/png;base64,{data}">'
        self._parts.append(f"<figure>{picture}<figcaption>{words}</figcaption></figure>")

    def folded(self, title: str, value: Any) -> None:
        """Add a value (as JSON has them) that is shown when its title is clicked."""
        text = escape(json.dumps(value, indent=2, ensure_ascii=False, default=str))
        self._parts.append(f"<details><summary>{escape(title)}</summary><pre>{text}</pre></details>")

    def html(self) -> str:
        """Give the page."""
        return _PAGE.format(title=escape(self._title), style=STYLE, body="\n".join(self._parts))

    def write(self, path: Path) -> None:
        """Write the page to a file, in UTF-8."""
        path.write_text(self.html(), encoding="utf-8")


def png_of(figure: "Figure", dpi: int = 144) -> bytes:
    """Draw a figure as PNG, for a page."""
    content = BytesIO()
    figure.savefig(content, format="png", dpi=dpi)
    return content.getvalue()


def show(value: Any) -> str:
    """Write a value for people: four significant digits, no trailing zeros, a dash for nothing."""
    if value is None or value == []:
        return "\u2013"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {show(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(show(item) for item in value)
    return str(value)


def flatten(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Give nested names one line each: ``accuracy.before``."""
    flat: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, Mapping) and value:
            flat |= {f"{name}.{inner}": item for inner, item in flatten(value).items()}
        else:
            flat[name] = value
    return flat


def _cell(value: Any) -> str:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return f"<td{' class=number' if number else ''}>{escape(show(value))}</td>"


def _state(value: Any) -> str:
    if value not in STATES:
        return _cell(value)
    kind, sign = STATES[value]
    return f'<td class="state {kind}"><span>{sign}</span> {escape(value)}</td>'
