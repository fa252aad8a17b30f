"""The commands that look at runs, move them, and make room."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from labonn.cli.answer import Answer
from labonn.errors import ConfigError, RecordError
from labonn.records import find_run, frame_counts, kept_names, read_kept, read_run
from labonn.records.archive import export_run, import_run
from labonn.records.catalogue import rebuild
from labonn.records.disk import plain
from labonn.records.frame_reading import row_names
from labonn.records.frame_table import ROW
from labonn.records.pruning import RAW, Prunable, plan_pruning, prune
from labonn.records.runs import FRAMES
from labonn.report import flatten
from labonn.report import show as as_text

if TYPE_CHECKING:
    from rich.console import Console

_GB = 1e9


def show_command(run: str, lab: Path) -> Answer:
    """Show a run."""
    folder = find_run(lab, run)
    record = read_run(folder)
    files = {
        path.relative_to(folder).as_posix(): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()
    }
    captures = _captures(folder / FRAMES)
    content = {"run": plain(record), "folder": str(folder), "files": files, "captures": captures}

    def show(console: "Console") -> None:
        console.print(f"{record.id}: {record.status}{f': {record.reason}' if record.reason else ''}", markup=False)
        sections: dict[str, dict[str, Any]] = {
            "": {
                "begun (UTC)": f"{record.start_utc:%Y-%m-%d %H:%M:%S}",
                "seconds": record.seconds.get("total"),
                "operator": record.operator,
                "bench": record.bench,
                "optic": (record.optic or {}).get("serial_number"),
                "seed": record.seed,
                "continues": ", ".join(record.continues) or None,
            },
            "parameters": record.parameters,
            "result": flatten({k: v for k, v in (record.result or {}).items() if k not in ("status", "reason")}),
            "notes": flatten(record.notes),
            "captures": captures,
            "instruments": flatten((record.instruments or {}).get("instruments", {})),
            "files": {name: _size(size) for name, size in files.items()},
        }
        for title, facts in sections.items():
            _print_facts(console, title, facts)
        console.print(f"in {folder}", markup=False)

    return Answer(content, show)


def export_command(run: str, file: Path, lab: Path) -> Answer:
    """Write a run into a file: NeXus where its name says so, else a zip for another laboratory."""
    from labonn.records.nexus import SUFFIXES, export_nexus

    folder = find_run(lab, run)
    nexus = file.suffix.lower() in SUFFIXES
    if not nexus and file.suffix.lower() != ".zip":
        raise ConfigError(
            f"{file}: name a .zip, for another laboratory, or a {SUFFIXES[0]} (NeXus), for other programs"
        )
    parts = export_nexus(folder, file) if nexus else export_run(lab, folder, file)
    size = file.stat().st_size
    content = {
        "run": folder.name,
        "file": str(file.absolute()),
        "format": "nexus" if nexus else "zip",
        "bytes": size,
        "parts": parts,
    }
    return Answer(content, lambda console: console.print(f"{file} ({_size(size)}): {', '.join(parts)}", markup=False))


def import_command(file: Path, lab: Path) -> Answer:
    """Take a run from a zip file."""
    if not file.is_file():
        raise ConfigError(f"{file}: there is no such file")
    found = import_run(lab, file)

    def show(console: "Console") -> None:
        console.print(f"imported: {', '.join(found.parts)}", markup=False)
        if found.known:
            console.print(f"there already: {', '.join(found.known)}", markup=False)

    return Answer({"run": found.run, "imported": list(found.parts), "known": list(found.known)}, show)


def prune_command(lab: Path, older_than: float | None, keep_gb: float | None, *, dry_run: bool) -> Answer:
    """Remove raw frames, or say whose would be removed."""
    if older_than is None and keep_gb is None:
        raise ConfigError("say whose raw frames go: --older-than DAYS, --keep-gb GB, or both")
    plan = plan_pruning(lab, older_than_days=older_than, most_bytes=None if keep_gb is None else int(keep_gb * _GB))
    freed = {run.record.id: run.raw_bytes if dry_run else prune(run) for run in plan.runs}
    content = {
        "dry_run": dry_run,
        "runs": [{"run": name, "bytes": size} for name, size in freed.items()],
        "bytes": sum(freed.values()),
        "all_bytes": plan.all_bytes,
        "kept_for_releases": plan.kept_for_releases,
    }

    def show(console: "Console") -> None:
        for run in plan.runs:
            console.print(_line(run, freed[run.record.id], dry_run=dry_run), markup=False)
        what = "would be freed" if dry_run else "freed"
        console.print(f"{_size(sum(freed.values()))} {what}; all files of frames took {_size(plan.all_bytes)}")
        if plan.kept_for_releases:
            console.print(f"{plan.kept_for_releases} runs are left alone because releases were made from them")

    return Answer(content, show)


def rebuild_command(lab: Path) -> Answer:
    """Make the catalogue again."""
    if not (lab / "runs").is_dir():
        raise ConfigError(f"{lab.absolute()}: has no runs; name the laboratory's folder with --lab")
    count = rebuild(lab)
    return Answer({"runs": count}, lambda console: console.print(f"{count} runs"))


def _captures(frames: Path) -> dict[str, str]:
    """Say how many captures of each kind there are, and of how many the raw frame was kept."""
    try:
        counts = frame_counts(frames)
    except RecordError:
        return {}
    said = {}
    for group, count in counts.items():
        said[group] = f"{count}"
        if RAW in row_names(frames, group):
            said[group] += ", raw frames of all"
        elif RAW in kept_names(frames, group):
            said[group] += f", raw frames of {len(read_kept(frames, group, ROW)[0])}"
    return said


def _line(run: Prunable, size: int, *, dry_run: bool) -> str:
    ended = run.record.stop_utc or run.record.start_utc
    return f"{run.record.id}  {ended:%Y-%m-%d}  {_size(size)}{'' if dry_run else ' freed'}"


def _size(count: int) -> str:
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"


def _print_facts(console: "Console", title: str, facts: dict[str, Any]) -> None:
    from rich.table import Table

    facts = {key: value for key, value in facts.items() if value is not None}
    if not facts:
        return
    table = Table("", "", title=title or None, title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    for key, value in facts.items():
        table.add_row(key, as_text(value))
    console.print(table)
