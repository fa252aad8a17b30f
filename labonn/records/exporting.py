"""What every way of exporting a run has in common: it has ended, nothing is overwritten, no half of a file is left."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labonn.errors import RecordError
from labonn.records.disk import sync_file, sync_folder
from labonn.records.runs import RunRecord, read_run


@contextmanager
def exporting(folder: Path, target: Path) -> Iterator[tuple[RunRecord, Path]]:
    """Give the record of a run, and a path beside the target to write at; what is there then becomes the target.

    Raises
    ------
    RecordError
        If the run goes on, the target exists, or the disk refuses; no file is left then.
    """
    record = read_run(folder)
    if record.status == "running":
        raise RecordError(f"run {record.id} goes on; export it when it has ended")
    if target.exists():
        raise RecordError(f"{target}: exists already, and is not overwritten")
    beside = target.with_name(f"{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield record, beside
        sync_file(beside)
        beside.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise RecordError(f"{target}: cannot be written: {error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)
