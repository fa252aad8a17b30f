"""Room on the disk: after a recalibration, raw frames of a bench's old runs go, as its schedule says."""

import logging
from pathlib import Path

from labonn.errors import RecordError
from labonn.instruments.schedule import Schedule

logger = logging.getLogger(__name__)

_GB = 1e9


def make_room(schedule: Schedule, bench: str, lab_dir: Path) -> int:
    """Remove the raw frames that the schedule no longer keeps; their maps, and all else, stay.

    Whoever calls this has the bench, so that none of its runs goes on, and nobody else makes room among them. What
    cannot be removed is logged: it never changes how a recalibration ends.

    Parameters
    ----------
    schedule
        Says how long, or how much, is kept.
    bench
        Whose runs.
    lab_dir
        The laboratory's folder.

    Returns
    -------
    How many bytes that freed.
    """
    days, gigabytes = schedule.keep_frames_days, schedule.keep_frames_gb
    if days is None and gigabytes is None:
        return 0
    from labonn.records.pruning import plan_pruning, prune  # HDF5, which a look at what is due can do without

    freed = 0
    try:
        most_bytes = None if gigabytes is None else int(gigabytes * _GB)
        for run in plan_pruning(lab_dir, older_than_days=days, most_bytes=most_bytes, bench=bench).runs:
            freed += prune(run)
    except (RecordError, OSError) as error:  # a file that somebody has open, on Windows
        logger.warning("bench %r: no room could be made: %s", bench, error)
    if freed:
        logger.info("bench %r: %.1f GB of raw frames of old runs removed", bench, freed / _GB)
    return freed
