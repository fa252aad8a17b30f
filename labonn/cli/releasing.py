"""The commands about releases: which there are, what one is, going back to the last good one."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from labonn.cli.answer import Answer, aligned

if TYPE_CHECKING:
    from rich.console import Console


def list_command(lab: Path, bench: str | None) -> Answer:
    """List the releases of a laboratory, oldest first; damaged ones are said to be."""
    from labonn.records import list_releases, release_in_use

    rows = [_row(lab, release_id) for release_id in list_releases(lab)]
    rows = [row for row in rows if bench in (None, row["bench"])]
    in_use = {name: release_in_use(lab, name) for name in {row["bench"] for row in rows} - {None}}
    rows = [row | {"current": row["bench"] is not None and in_use[row["bench"]] == row["release"]} for row in rows]

    table = [("", "release", "bench", "made (UTC)", "run", "")]
    for row in rows:
        mark, made = "in use" if row["current"] else "", (row["made_utc"] or "")[:19].replace("T", " ")
        table.append((mark, row["release"], row["bench"] or "", made, row["run"] or "", row["damage"] or ""))
    said = aligned(table) if rows else [f"{lab}: has no releases yet"]
    return Answer({"releases": rows}, "\n".join(said))


def show_command(lab: Path, release_id: str) -> Answer:
    """Say what a release is, its files checked against their hashes."""
    from labonn.records import read_release
    from labonn.records.disk import plain
    from labonn.report import flatten
    from labonn.report import show as written

    release = read_release(lab, release_id)
    content = {**plain(release.model_dump(by_alias=True)), "folder": str(release.folder), "intact": True}

    def show(console: "Console") -> None:
        from rich.table import Table

        table = Table("", "", show_header=False, box=None, padding=(0, 2, 0, 0))
        for key, value in flatten(content).items():
            table.add_row(key, written(value))
        console.print(table)

    return Answer(content, show)


def _row(lab: Path, release_id: str) -> dict[str, Any]:
    from labonn.errors import RecordError
    from labonn.records import read_release

    try:
        release = read_release(lab, release_id)
    except RecordError as error:
        return {"release": release_id, "bench": None, "made_utc": None, "run": None, "damage": str(error)}
    return {
        "release": release.id,
        "bench": release.bench,
        "made_utc": release.made_utc,
        "run": release.run,
        "damage": None,
    }
