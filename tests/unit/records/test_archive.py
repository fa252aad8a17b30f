"""A run that was exported is the same in another laboratory; what is no such archive brings nothing."""

import json
import zipfile

import numpy as np
import pytest

from labonn.errors import RecordError
from labonn.records import (
    FrameFile,
    Run,
    current_release,
    load_model,
    make_release,
    read_frames,
    read_release,
    read_run,
    save_model,
)
from labonn.records.archive import export_run, import_run
from labonn.records.catalogue import Catalogue

CARD = "labonn-archive.json"


@pytest.fixture
def lab(tmp_path):
    return tmp_path / "lab"


@pytest.fixture
def run(lab):
    model = save_model(lab, design="digits", weights={"student": {"w": np.ones(3)}}, description={"d": 1})
    run = Run.start(lab, "recalibrate", bench="mono")
    with FrameFile(run.folder / "frames.h5") as frames:
        frames.extend("fit", image=np.arange(40), frame=np.full((40, 9, 9), 7, np.uint16))
    (run.folder / "figures").mkdir()
    (run.folder / "figures" / "a.png").write_bytes(b"picture")
    release = make_release(lab, bench="mono", run=run.id, optic={}, model=model, backend={"w": np.zeros(2)}, figures={})
    run.finish("done", exit_code=0, result={"release": release.id})
    return run


@pytest.fixture
def archive(lab, run, tmp_path):
    export_run(lab, run.folder, tmp_path / "run.zip")
    return tmp_path / "run.zip"


def changed(archive, change):
    """Write an archive again, with what `change` makes of its files."""
    with zipfile.ZipFile(archive) as source:
        files = {name: source.read(name) for name in source.namelist()}
    change(files)
    with zipfile.ZipFile(archive, "w") as target:
        for name, content in files.items():
            target.writestr(name, content)


def test_what_was_exported_is_the_same_elsewhere(lab, run, archive, tmp_path):
    other = tmp_path / "other"
    found = import_run(other, archive)
    record = read_run(run.folder)
    release = record.result["release"]
    model = read_release(lab, release).model
    assert found.run == run.id
    assert set(found.parts) == {f"runs/{run.id}", f"releases/{release}", f"models/{model}"}
    assert read_run(other / "runs" / run.id) == record
    ours = {p.relative_to(run.folder): p.read_bytes() for p in run.folder.rglob("*") if p.is_file()}
    theirs = other / "runs" / run.id
    assert ours == {p.relative_to(theirs): p.read_bytes() for p in theirs.rglob("*") if p.is_file()}
    np.testing.assert_array_equal(read_frames(theirs / "frames.h5", "fit")["image"], np.arange(40))
    np.testing.assert_array_equal(load_model(other, model).weights["student"]["w"], np.ones(3))
    assert read_release(other, release).run == run.id
    assert current_release(other, "mono") is None, "it is not put into use"
    with Catalogue(other) as catalogue:
        assert [line.id for line in catalogue.find()[0]] == [run.id]
    assert not list(other.glob(".unfinished*"))


def test_a_model_that_is_there_already_is_no_obstacle_unless_it_is_another(lab, run, archive, tmp_path):
    other = tmp_path / "other"
    import_run(other, archive)
    import shutil

    shutil.rmtree(other / "runs" / run.id)
    assert len(import_run(other, archive).known) == 2
    shutil.rmtree(other / "runs" / run.id)
    [card] = (other / "models").glob("*/model.json")
    card.write_text(card.read_text() + " ")
    with pytest.raises(RecordError, match="is not the one that would be imported"):
        import_run(other, archive)
    assert not (other / "runs" / run.id).exists()


def test_nothing_is_overwritten(lab, run, archive):
    with pytest.raises(RecordError, match=f"has run {run.id} already"):
        import_run(lab, archive)
    with pytest.raises(RecordError, match="exists already"):
        export_run(lab, run.folder, archive)


def test_a_run_that_goes_on_is_not_exported(lab, tmp_path):
    run = Run.start(lab, "recalibrate")
    with pytest.raises(RecordError, match="goes on"):
        export_run(lab, run.folder, tmp_path / "run.zip")
    assert not list(tmp_path.glob("run.zip*"))


def flip(files):
    [name] = [name for name in files if name.endswith("frames.h5")]
    files[name] = files[name][:-1] + bytes([files[name][-1] ^ 1])


def with_card(**facts):
    def change(files):
        files[CARD] = json.dumps(json.loads(files[CARD]) | facts).encode()

    return change


def climbing(name):
    def change(files):
        card = json.loads(files[CARD])
        card["files"][name] = "0" * 64
        files[CARD] = json.dumps(card).encode()
        files[name] = b"evil"

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (flip, "frames.h5 is damaged"),
        (lambda files: files.pop(next(name for name in files if name.endswith("a.png"))), "a.png is missing"),
        (lambda files: files.pop(CARD), "is not a zip file that labonn exported"),
        (with_card(schema=2), "newer labonn"),
        (with_card(run="20260101T000000Z-other-aaaa"), "belongs into no laboratory"),
        (with_card(files={}), "has no run.json of run"),
        (with_card(files=["a"]), "is not a zip file that labonn exported"),
        (climbing("runs/../../evil.txt"), "belongs into no laboratory|cannot name a file"),
        (climbing("/etc/evil.txt"), "belongs into no laboratory"),
        (climbing("releases/current/mono"), "belongs into no laboratory"),
        (climbing("runs/20260101T000000Z-other-aaaa/run.json"), "belongs into no laboratory"),
        (climbing("models/20260101T000000Z-x-aaaa/nul.txt"), "cannot name a file"),
    ],
)
def test_what_is_not_right_brings_nothing(archive, tmp_path, change, said):
    changed(archive, change)
    other = tmp_path / "other"
    with pytest.raises(RecordError, match=said):
        import_run(other, archive)
    assert not list(other.glob("*/*"))
    assert not list(tmp_path.rglob("evil*"))


def test_a_file_that_is_no_archive(tmp_path):
    (tmp_path / "run.zip").write_bytes(b"no zip")
    with pytest.raises(RecordError, match="is not a zip file"):
        import_run(tmp_path / "lab", tmp_path / "run.zip")
