"""The catalogue says what the folders say, whatever happened to either of them."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from labonn.errors import RecordError
from labonn.records import Run, close_lost_runs
from labonn.records.catalogue import FILE, MIGRATIONS, Catalogue, RunLine, keep_line, rebuild


@pytest.fixture
def lab(tmp_path):
    (tmp_path / "lab" / "runs").mkdir(parents=True)
    return tmp_path / "lab"


def write(lab, name, **facts):
    """Write a run's record by hand, as another machine would leave it."""
    folder = lab / "runs" / name
    folder.mkdir()
    record = {"schema": 1, "id": name, "protocol": name[17:-5], "status": "done", **facts}
    (folder / "run.json").write_text(json.dumps(record))
    return folder


def listed(lab, **wanted):
    with Catalogue(lab) as catalogue:
        catalogue.catch_up()
        lines, count = catalogue.find(**wanted)
    assert len(lines) == count or wanted.get("limit") is not None
    return [line.id for line in lines]


def test_a_run_is_in_the_catalogue_from_its_beginning_to_its_end(lab):
    run = Run.start(lab, "recalibrate", optic={"serial_number": "S1"})
    with Catalogue(lab) as catalogue:
        ([line], _) = catalogue.find()
        assert (line.id, line.status, line.optic) == (run.id, "running", "S1")
    run.change(bench="mono")
    run.change(seconds={"total": 12.5})
    run.finish("done", exit_code=0, result={"release": "mono-r1", "model": "m1"})
    with Catalogue(lab) as catalogue:
        ([line], count) = catalogue.find()
    assert count == 1
    assert (line.bench, line.status, line.release, line.model) == ("mono", "done", "mono-r1", "m1")
    assert (line.seconds, line.exit_code, line.protocol) == (12.5, 0, "recalibrate")


def test_folders_that_came_and_went_without_it_are_noticed(lab):
    first = write(lab, "20260101T000000Z-recalibrate-aaaa")
    last = write(lab, "20260301T000000Z-recalibrate-aaaa")
    assert listed(lab) == [last.name, first.name]
    between = write(lab, "20260201T000000Z-recalibrate-aaaa")  # from a backup
    assert listed(lab) == [last.name, between.name, first.name]
    shutil.rmtree(first)
    late = write(lab, "20260401T000000Z-recalibrate-aaaa")
    assert listed(lab) == [late.name, last.name, between.name]


def test_a_run_that_ended_without_telling_is_looked_at_again(lab):
    folder = write(lab, "20260101T000000Z-recalibrate-aaaa", status="running")
    assert listed(lab, status="running") == [folder.name]
    record = json.loads((folder / "run.json").read_text()) | {"status": "failed", "reason": "no light"}
    (folder / "run.json").write_text(json.dumps(record))
    assert listed(lab, status="running") == []
    assert listed(lab, status="failed") == [folder.name]


def test_runs_are_found_by_what_they_are(lab):
    names = [f"202601{day:02}T120000Z-{protocol}-aaaa" for day in (1, 2, 3) for protocol in ("evaluate", "recalibrate")]
    for place, name in enumerate(names):
        write(lab, name, bench="mono" if place < 4 else "poly", result={"release": f"r{place}"}, status="done")
    assert listed(lab, since="20260102", until="20260103") == names[3:1:-1]
    assert listed(lab, protocol="recalibrate", bench="mono") == [names[3], names[1]]
    assert listed(lab, release="r4") == [names[4]]
    assert listed(lab, protocol="recalibrate", limit=1) == [names[5]]
    assert listed(lab, status="lost") == []


def test_a_record_that_cannot_be_read_is_listed_as_such(lab):
    folder = write(lab, "20260101T000000Z-recalibrate-aaaa")
    (folder / "run.json").write_text("{")
    with Catalogue(lab) as catalogue:
        catalogue.catch_up()
        ([line], _) = catalogue.find()
    assert line.status == "unreadable"
    assert "run.json" in line.reason


def damage(lab):
    """Overwrite what is in the pages of the file, not its beginning, which says that it is a database."""
    path = lab / FILE
    content = bytearray(path.read_bytes())
    content[1024:] = b"\x5a" * (len(content) - 1024)
    path.write_bytes(content)


def test_a_damaged_catalogue_is_named_and_made_again_from_the_folders(lab, caplog):
    names = [write(lab, f"2026010{day}T000000Z-recalibrate-aaaa").name for day in range(1, 6)]
    assert listed(lab) == names[::-1]
    damage(lab)
    with pytest.raises(RecordError, match=r"catalogue\.sqlite: is damaged .*`labonn runs rebuild`"):
        Catalogue(lab)
    run = Run.start(lab, "recalibrate")  # goes on without it
    assert f"run {run.id} is not in the catalogue" in caplog.text
    run.change(process_started=1.0)
    assert [record.id for record in close_lost_runs(lab)] == [run.id], "looks into the folders then"
    assert rebuild(lab) == 6
    assert listed(lab) == [run.id, *names[::-1]]
    assert listed(lab, status="lost") == [run.id]
    assert list(lab.glob(f"{FILE}.before-*"))


def test_a_file_that_is_no_database_is_named(lab):
    (lab / FILE).write_bytes(b"no database at all, but long enough to be one" * 100)
    with pytest.raises(RecordError, match="is damaged"):
        Catalogue(lab)


def test_a_catalogue_is_checked_again_only_after_somebody_else_wrote_it(lab, monkeypatch):
    checked = []
    real = sqlite3.connect

    class Watched(sqlite3.Connection):
        def execute(self, sql, *values):
            if "quick_check" in sql:
                checked.append(sql)
            return super().execute(sql, *values)

    monkeypatch.setattr(sqlite3, "connect", lambda *args, **kw: real(*args, factory=Watched, **kw))
    keep_line(lab, {"id": "20260101T000000Z-evaluate-aaaa", "protocol": "evaluate"})
    checked.clear()
    keep_line(lab, {"id": "20260102T000000Z-evaluate-aaaa", "protocol": "evaluate"})
    Catalogue(lab).close()
    assert checked == []
    damage(lab)
    with pytest.raises(RecordError, match="is damaged"):
        Catalogue(lab)
    assert len(checked) == 1


def test_a_catalogue_of_a_newer_labonn_is_left_alone(lab):
    Catalogue(lab).close()
    with sqlite3.connect(lab / FILE) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(RecordError, match=f"newer labonn \\(schema {len(MIGRATIONS) + 1}"):
        Catalogue(lab)


def test_an_older_catalogue_is_migrated_and_a_copy_of_it_kept(lab, monkeypatch):
    keep_line(lab, {"id": "20260101T000000Z-evaluate-aaaa", "protocol": "evaluate"})
    added = ("ALTER TABLE runs ADD COLUMN colour TEXT DEFAULT 'red'",)
    monkeypatch.setattr("labonn.records.catalogue.MIGRATIONS", (*MIGRATIONS, added))
    with Catalogue(lab) as catalogue:
        assert catalogue.find()[1] == 1
    with sqlite3.connect(lab / FILE) as connection:
        assert connection.execute("SELECT colour FROM runs").fetchall() == [("red",)]
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)
    connection.close()
    with sqlite3.connect(lab / f"{FILE}.schema-{len(MIGRATIONS)}") as copy:
        assert copy.execute("SELECT id FROM runs").fetchall() == [("20260101T000000Z-evaluate-aaaa",)]
    copy.close()


def test_a_migration_that_fails_changes_nothing(lab, monkeypatch):
    Catalogue(lab).close()
    half = ("ALTER TABLE runs ADD COLUMN colour TEXT", "ALTER TABLE nowhere ADD COLUMN colour TEXT")
    with monkeypatch.context() as patch:
        patch.setattr("labonn.records.catalogue.MIGRATIONS", (*MIGRATIONS, half))
        with pytest.raises(RecordError, match="no such table: nowhere"):
            Catalogue(lab)
    with Catalogue(lab) as catalogue:
        catalogue.put([RunLine("20260101T000000Z-evaluate-aaaa", "evaluate")])
        assert catalogue.find()[0] == [RunLine("20260101T000000Z-evaluate-aaaa", "evaluate")]


def test_a_laboratory_without_a_place_to_write_is_named(tmp_path):
    (tmp_path / "lab").write_text("a file")
    with pytest.raises(RecordError, match=r"catalogue\.sqlite: cannot be used"):
        Catalogue(Path(tmp_path / "lab"))
