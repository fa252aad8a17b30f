"""Models and releases: written once, whole; read only if nothing changed; the current one is a pointer."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from labonn.errors import RecordError
from labonn.records import (
    current_release,
    last_good_release,
    list_releases,
    load_model,
    make_release,
    newest_model,
    read_release,
    release_in_use,
    save_model,
    set_current_release,
    write_weights,
)


def release(lab, bench="mono", **changes):
    facts = {
        "bench": bench,
        "run": "20261123T100000Z-recalibrate-abcd",
        "optic": {"serial": "A1"},
        "model": "m",
        "backend": torch.nn.Linear(3, 2).state_dict(),
        "figures": {"after": np.float32(97.5)},
    }
    return make_release(lab, **(facts | changes))


def test_a_model_comes_back_as_it_was(tmp_path):
    network = torch.nn.BatchNorm1d(3)
    pattern = np.linspace(0, 6, 12, dtype=np.float32).reshape(3, 4)
    model_id = save_model(
        tmp_path, design="digits", bench="mono", weights={"student": network.state_dict()},
        description={"accuracy": {"simulated": 97.0}}, arrays={"pattern_rad": pattern},
    )  # fmt: skip
    stored = load_model(tmp_path, model_id)
    again = torch.nn.BatchNorm1d(3)
    again.load_state_dict({name: torch.from_numpy(array) for name, array in stored.weights["student"].items()})
    assert all(
        torch.equal(a, b) for a, b in zip(network.state_dict().values(), again.state_dict().values(), strict=True)
    )
    np.testing.assert_array_equal(stored.arrays["pattern_rad"], pattern)
    assert stored.description == {"accuracy": {"simulated": 97.0}}


def test_the_newest_model_of_a_bench_or_design_is_found(tmp_path, monkeypatch):
    ids = iter(["20260101T000000Z-a-aaaa", "20260102T000000Z-b-bbbb", "20260103T000000Z-a-cccc"])
    monkeypatch.setattr("labonn.records.models.new_id", lambda label: next(ids))
    for design, bench in (("a", "mono"), ("b", "mono"), ("a", "colour")):
        save_model(tmp_path, design=design, bench=bench, weights={}, description={})
    assert newest_model(tmp_path) == "20260103T000000Z-a-cccc"
    assert newest_model(tmp_path, bench="mono") == "20260102T000000Z-b-bbbb"
    assert newest_model(tmp_path, bench="mono", design="a") == "20260101T000000Z-a-aaaa"
    assert newest_model(tmp_path, design="c") is None


def test_a_release_keeps_what_it_was_given(tmp_path):
    calibration = tmp_path / "calibration.h5"
    calibration.write_bytes(b"as measured")
    made = release(tmp_path, calibration=calibration, files={"twin.h5": calibration})
    read = read_release(tmp_path, made.id)
    assert read == made
    assert read.optic == {"serial": "A1"}
    assert read.figures == {"after": 97.5}
    assert read.file("calibration.h5").read_bytes() == b"as measured"
    assert set(read.files) == {"backend.safetensors", "calibration.h5", "twin.h5"}
    assert read.backend()["weight"].shape == (2, 3)
    with pytest.raises(RecordError, match="no file 'notes'"):
        read.file("notes")


def test_the_current_release_is_per_bench_and_moves(tmp_path):
    assert current_release(tmp_path, "mono") is None
    first, second, other = release(tmp_path), release(tmp_path), release(tmp_path, bench="colour")
    set_current_release(tmp_path, "mono", first.id)
    set_current_release(tmp_path, "colour", other.id)
    set_current_release(tmp_path, "mono", second.id)
    assert current_release(tmp_path, "mono") == second
    assert current_release(tmp_path, "colour") == other
    assert (tmp_path / "releases/current/mono").read_text().strip() == second.id
    assert sorted(list_releases(tmp_path)) == sorted([first.id, second.id, other.id])


def test_a_release_of_another_bench_cannot_become_current(tmp_path):
    made = release(tmp_path, bench="colour")
    with pytest.raises(RecordError, match="made for bench 'colour'"):
        set_current_release(tmp_path, "mono", made.id)
    assert current_release(tmp_path, "mono") is None


@pytest.mark.parametrize("file", ["backend.safetensors", "calibration.h5"])
def test_a_file_that_changed_is_named(tmp_path, file):
    calibration = tmp_path / "c"
    calibration.write_bytes(b"as measured")
    made = release(tmp_path, calibration=calibration)
    set_current_release(tmp_path, "mono", made.id)
    damaged = tmp_path / "releases" / made.id / file
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    with pytest.raises(
        RecordError, match=f"current release of bench 'mono' cannot be used: .*{file}: was changed or damaged"
    ):
        current_release(tmp_path, "mono")
    damaged.unlink()
    with pytest.raises(RecordError, match=f"{file}: cannot be read"):
        current_release(tmp_path, "mono")


@pytest.mark.parametrize("card", ['{"schema": 1, ', "[]", '{"schema": 2}'])
def test_a_damaged_card_is_named(tmp_path, card):
    made = release(tmp_path)
    (tmp_path / "releases" / made.id / "release.json").write_text(card)
    with pytest.raises(RecordError, match=r"release\.json"):
        read_release(tmp_path, made.id)


def test_a_release_that_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(RecordError):
        release(tmp_path, calibration=tmp_path / "missing.h5")
    assert list((tmp_path / "releases").iterdir()) == []
    assert list_releases(tmp_path) == []


def test_an_unfinished_release_is_not_a_release(tmp_path):
    made = release(tmp_path)
    folder = tmp_path / "releases" / made.id
    folder.rename(folder.with_name(".unfinished-" + folder.name))
    assert list_releases(tmp_path) == []


def test_cards_carry_schema_and_hashes(tmp_path):
    made = release(tmp_path)
    card = json.loads((tmp_path / "releases" / made.id / "release.json").read_text())
    assert card["schema"] == 1
    assert set(card) == {
        "schema", "id", "made_utc", "run", "bench", "optic", "model", "calibration", "figures", "files",
    }  # fmt: skip
    assert len(card["files"]["backend.safetensors"]) == 64


def test_weights_that_are_no_weights_are_refused(tmp_path):
    model_id = save_model(tmp_path, design="d", weights={"a": {"w": np.zeros(3)}}, description={})
    (tmp_path / "models" / model_id / "a.safetensors").write_bytes(b"\x80\x04pickled")
    with pytest.raises(RecordError, match=r"a\.safetensors"):
        load_model(tmp_path, model_id)
    with pytest.raises(RecordError, match="no model"):
        load_model(tmp_path, "none")


def test_the_last_good_release_is_the_newest_intact_one_before_the_current(tmp_path):
    ids = [released_for(tmp_path, "mono", step) for step in range(4)]
    other = released_for(tmp_path, "hostile", 4)
    set_current_release(tmp_path, "mono", ids[3])
    assert last_good_release(tmp_path, "mono")[0].id == ids[2]
    with (tmp_path / "releases" / ids[2] / "backend.safetensors").open("ab") as file:
        file.write(b"x")
    found, damaged = last_good_release(tmp_path, "mono")
    assert found.id == ids[1]
    assert "sha256" in damaged[0]
    set_current_release(tmp_path, "mono", ids[1])
    assert last_good_release(tmp_path, "mono")[0].id == ids[0]
    set_current_release(tmp_path, "mono", ids[0])
    with pytest.raises(RecordError, match="no earlier release"):
        last_good_release(tmp_path, "mono")
    with pytest.raises(RecordError, match="no release to go back from"):
        last_good_release(tmp_path, "lens")
    set_current_release(tmp_path, "hostile", other)
    with pytest.raises(RecordError, match="no earlier release"):
        last_good_release(tmp_path, "hostile")


def test_a_damaged_current_release_can_be_left(tmp_path):
    ids = [released_for(tmp_path, "mono", step) for step in range(2)]
    set_current_release(tmp_path, "mono", ids[1])
    (tmp_path / "releases" / ids[1] / "backend.safetensors").unlink()
    with pytest.raises(RecordError, match="labonn releases rollback"):
        current_release(tmp_path, "mono")
    assert release_in_use(tmp_path, "mono") == ids[1]
    assert last_good_release(tmp_path, "mono")[0].id == ids[0]


def released_for(lab_dir, bench, step):
    """A release; names sort by the second they were made in, so each gets one of its own."""
    release = make_release(
        lab_dir, bench=bench, run="r", optic={}, model="m", backend={"w": np.full(2, float(step))}, figures={}
    )
    name = f"2026112{step}T000000Z-{bench}-aaaa"
    folder = release.folder.with_name(name)
    release.folder.rename(folder)
    card = json.loads((folder / "release.json").read_text())
    (folder / "release.json").write_text(json.dumps(card | {"id": name}))
    return name


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk that is always full")
def test_a_full_disk_is_told_as_one_and_not_as_a_fault_of_safetensors():
    with pytest.raises(OSError, match="No space left"):
        write_weights(Path("/dev/full"), {"w": np.zeros(3, np.float32)})
