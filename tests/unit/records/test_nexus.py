"""A run as NeXus: every group has its class, the default leads to what was captured, and the numbers are the same."""

import json

import h5py
import numpy as np
import pytest

from labonn.errors import RecordError
from labonn.records import FrameFile, Run
from labonn.records.nexus import export_nexus


@pytest.fixture
def run(tmp_path):
    run = Run.start(tmp_path / "lab", "recalibrate", bench="mono", optic={"serial_number": "A-1"}, parameters={"n": 40})
    run.change(instruments={"bench": "mono", "instruments": {"camera": {"exposure_ms": 12.5, "shape": [9, 9]}}})
    with FrameFile(run.folder / "frames.h5") as frames:
        tiles = np.arange(40 * 2 * 3 * 3, dtype=np.float32).reshape(40, 2, 3, 3)
        frames.extend("fit", image=np.arange(40), tiles=tiles, frame=np.full((40, 9, 9), 7, np.uint16))
        for number in range(150):
            seldom = {"frame": np.full((9, 9), number, np.uint16)} if number % 50 == 0 else None
            frames.append("test", seldom, image=number, tiles=np.full((2, 3, 3), number, np.float32))
    run.finish("done", exit_code=0, result={"accuracy": 98.5})
    return run


def test_the_file_is_nexus_and_holds_what_was_captured(run, tmp_path):
    target = tmp_path / "run.nxs"
    assert export_nexus(run.folder, target) == ["fit", "test"]
    with h5py.File(target) as file:
        classes = {}
        file.visititems(lambda name, node: classes.update({name: node.attrs.get("NX_class")}))
        groups = {name: kind for name, kind in classes.items() if isinstance(file[name], h5py.Group)}
        assert all(groups.values()), groups
        assert (file.attrs["NX_class"], groups["entry"], groups["entry/fit"]) == ("NXroot", "NXentry", "NXdata")
        assert groups["entry/instrument/camera"] == "NXdetector"
        plotted = file[file.attrs["default"]]
        plotted = plotted[plotted.attrs["default"]]
        assert plotted.name == "/entry/fit"
        signal = plotted[plotted.attrs["signal"]]
        assert len(plotted.attrs["axes"]) == signal.ndim
        np.testing.assert_array_equal(signal[3], np.arange(54, 72).reshape(2, 3, 3))
        np.testing.assert_array_equal(plotted["image"], np.arange(40))
        assert plotted["frame"].attrs["units"] == "counts"
        assert list(file["entry/test_frame/row"]) == [0, 50, 100]
        assert file["entry/test_frame/frame"][2, 0, 0] == 100
        assert file["entry/entry_identifier"].asstr()[()] == run.id
        assert file["entry/sample/name"].asstr()[()] == "A-1"
        assert file["entry/instrument/camera/exposure_ms"][()] == 12.5
        assert json.loads(file["entry/process/result"].asstr()[()]) == {"accuracy": 98.5}


def test_a_run_without_captures_is_exported_too(tmp_path):
    run = Run.start(tmp_path / "lab", "check_bench")
    with pytest.raises(RecordError, match="goes on"):
        export_nexus(run.folder, tmp_path / "a.nxs")
    run.finish("failed", exit_code=1, reason="too dim")
    assert export_nexus(run.folder, tmp_path / "a.nxs") == []
    with h5py.File(tmp_path / "a.nxs") as file:
        assert file["entry/collection_description"].asstr()[()] == "failed: too dim"
    with pytest.raises(RecordError, match="exists already"):
        export_nexus(run.folder, tmp_path / "a.nxs")


def test_damaged_frames_leave_no_file(run, tmp_path):
    (run.folder / "frames.h5").write_bytes(b"no HDF5")
    with pytest.raises(RecordError, match="damaged"):
        export_nexus(run.folder, tmp_path / "a.nxs")
    assert list(tmp_path.glob("a.nxs*")) == []
