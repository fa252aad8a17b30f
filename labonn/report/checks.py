"""The rows of a bench's check, for people."""

from collections.abc import Iterable, Mapping
from typing import Any

from labonn.report.page import show


def readable_checks(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Write values with their units, and limits in words; rows as ``labonn bench check --json`` gives them."""
    return [
        {
            "check": row["name"],
            "state": row["state"],
            "measured": _with_unit(row["measured"], row["unit"]),
            "must be": _limits(row["lowest"], row["highest"]),
            "last good": _with_unit(row["last_good"], row["unit"]),
            "remark": row["remark"],
        }
        for row in rows
    ]


def readable_instruments(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Say who each instrument is, and who it was where that was another."""
    return [
        {
            "instrument": row["name"],
            "state": row["state"],
            "says that it is": row["measured"] or "",
            "remark": row["remark"] + (f"; it was {row['last_good']}" if row["state"] == "drifted" else ""),
        }
        for row in rows
    ]


def _with_unit(value: Any, unit: str) -> str:
    if value is None:
        return ""
    return f"{show(value)} {unit}".strip()


def _limits(lowest: float | None, highest: float | None) -> str:
    if lowest is not None and highest is not None:
        return f"{show(lowest)} to {show(highest)}"
    if lowest is not None:
        return f"\u2265 {show(lowest)}"
    return "" if highest is None else f"\u2264 {show(highest)}"
