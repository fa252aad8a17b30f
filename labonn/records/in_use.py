"""Which release a bench uses: a file that holds its id. Imports little: what asks whether something is due reads it."""

from pathlib import Path

from labonn.errors import RecordError
from labonn.records.disk import legal_name


def release_in_use(lab_dir: Path, bench: str) -> str | None:
    """Id of the release that a bench uses, be it intact or not; None if it never had one.

    Raises
    ------
    RecordError
        If the pointer cannot be read.
    """
    pointer = pointer_of(lab_dir, bench)
    try:
        return pointer.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{pointer}: cannot be read: {error}") from error


def pointer_of(lab_dir: Path, bench: str) -> Path:
    """Where that file is."""
    return lab_dir / "releases" / "current" / legal_name(bench, "the bench's name")
