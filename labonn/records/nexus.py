"""A run as one NeXus file: HDF5 that other programs read without labonn.

    /                 NXroot, default = "entry"
      entry           NXentry: title, identifier, times, status, program; default = its first kind of capture
        user          NXuser
        instrument    NXinstrument: one group an instrument, with its settings
        sample        NXsample: the optic
        process       NXprocess: parameters, result and notes of the run, as JSON
        <kind>        NXdata, one for each kind of capture: signal = its maps (or its frames), first axis = the captures
        <kind>_frame  NXdata: what was kept of some captures only, with their rows

Source: "NeXus: A Common Data Format", manual 2024.02: NXroot, NXentry, NXdata (signal and axes as attributes).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py

from labonn.errors import RecordError
from labonn.records.disk import plain, utc_now
from labonn.records.exporting import exporting
from labonn.records.frame_reading import frame_counts, kept_names, read_frames, read_kept, row_names
from labonn.records.runs import FRAMES, RunRecord, labonn_version

SUFFIXES = (".nxs", ".nx", ".nexus")
_BLOCK_ROWS = 16
_CHUNK_BYTES = 1 << 20
_SIGNALS = ("tiles", "frame", "mean")
"""What is plotted of a kind of capture: the first of these that it has."""
_UNITS = {"taken_s": "s", "taken_unix_s": "s", "frame": "counts", "saturated_px": "pixels"}
_CLASSES = {"camera": "NXdetector", "light": "NXsource", "meter": "NXmonitor", "thermometer": "NXsensor"}


def export_nexus(folder: Path, target: Path) -> list[str]:
    """Write a run into a NeXus file.

    Parameters
    ----------
    folder
        The run's.
    target
        The file; must not exist.

    Returns
    -------
    Names of the kinds of captures that are in it.

    Raises
    ------
    RecordError
        If the run goes on, its frames are damaged, or the disk refuses; no file is left then.
    """
    with exporting(folder, target) as (record, beside), h5py.File(beside, "w") as file:
        return _write(file, record, folder, target.name)


def _write(file: Any, record: RunRecord, folder: Path, name: str) -> list[str]:
    file.attrs.update(NX_class="NXroot", default="entry", file_name=name, file_time=utc_now().isoformat())
    file.attrs.update(creator="labonn", creator_version=labonn_version(), HDF5_Version=h5py.version.hdf5_version)
    entry = _group(file, "entry", "NXentry")
    facts = {
        "title": f"{record.protocol} on {record.bench}" if record.bench else record.protocol,
        "entry_identifier": record.id,
        "start_time": record.start_utc.isoformat(),
        "end_time": None if record.stop_utc is None else record.stop_utc.isoformat(),
        "collection_description": f"{record.status}: {record.reason}" if record.reason else record.status,
        "program_name": "labonn",
    }
    for key, value in facts.items():
        if value is not None:
            entry[key] = value
    entry["program_name"].attrs["version"] = record.versions.get("labonn", "unknown")
    if record.operator:
        _group(entry, "user", "NXuser")["name"] = record.operator
    _instruments(entry, record)
    if record.optic:
        sample = _group(entry, "sample", "NXsample")
        sample["name"] = str(record.optic.get("serial_number", "unknown"))
        sample["description"] = str(record.optic.get("description", ""))
    process = _group(entry, "process", "NXprocess")
    process["program"] = record.script or record.protocol
    for key in ("parameters", "result", "notes"):
        process[key] = json.dumps(plain(getattr(record, key)))
    kinds = _captures(entry, folder / FRAMES)
    if kinds:
        entry.attrs["default"] = kinds[0]
    return kinds


def _instruments(entry: Any, record: RunRecord) -> None:
    node = _group(entry, "instrument", "NXinstrument")
    node["name"] = record.bench or "none"
    instruments = (record.instruments or {}).get("instruments", {})
    for name, settings in instruments.items():
        facts = settings if isinstance(settings, Mapping) else {"settings": settings}
        part = _group(node, name, _CLASSES.get(str(facts.get("kind", name)), "NXcollection"))
        for key, value in facts.items():
            if isinstance(value, str | int | float | bool):
                part[key] = value
            elif value is not None:
                part[key] = json.dumps(plain(value))


def _captures(entry: Any, frames: Path) -> list[str]:
    try:
        counts = frame_counts(frames)
    except RecordError:
        if frames.exists():
            raise
        return []  # a run without captures
    for kind, count in counts.items():
        names = row_names(frames, kind)
        node = _data(entry, kind, names)
        for first in range(0, count, _BLOCK_ROWS):
            for name, rows in read_frames(frames, kind, names, start=first, stop=first + _BLOCK_ROWS).items():
                _append(node, name, rows, first)
        for name in kept_names(frames, kind):
            _kept(entry, frames, kind, name)
    return [kind for kind, count in counts.items() if count]


def _kept(entry: Any, frames: Path, kind: str, name: str) -> None:
    """Write what was kept of some captures, with which those are."""
    node, first = _data(entry, f"{kind}_{name}", (name,)), 0
    rows, values = read_kept(frames, kind, name, stop=_BLOCK_ROWS)
    while len(rows):
        _append(node, name, values, first)
        _append(node, "row", rows, first)
        first += len(rows)
        rows, values = read_kept(frames, kind, name, start=first, stop=first + _BLOCK_ROWS)


def _data(entry: Any, name: str, quantities: tuple[str, ...]) -> Any:
    node = _group(entry, name.replace(" ", "_"), "NXdata")  # names in NeXus have no blanks
    signal = next((one for one in _SIGNALS if one in quantities), next(iter(quantities), None))
    if signal is not None:
        node.attrs["signal"] = signal
    return node


def _append(node: Any, name: str, rows: Any, first: int) -> None:
    if name not in node:
        one, every = rows.shape[1:], (None, *rows.shape[1:])
        per_chunk = max(1, min(_BLOCK_ROWS, _CHUNK_BYTES // max(1, rows[:1].nbytes)))
        node.create_dataset(name, (0, *one), rows.dtype, maxshape=every, chunks=(per_chunk, *one))
        if name in _UNITS:
            node[name].attrs["units"] = _UNITS[name]
        if name == node.attrs.get("signal"):
            node.attrs["axes"] = ["."] * rows.ndim
    node[name].resize(first + len(rows), axis=0)
    node[name][first : first + len(rows)] = rows


def _group(parent: Any, name: str, kind: str) -> Any:
    node = parent.create_group(name)
    node.attrs["NX_class"] = kind
    return node
