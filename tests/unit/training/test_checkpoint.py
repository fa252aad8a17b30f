"""A training that was killed ends as one that was not; a checkpoint of another is refused."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from labonn.design import Training
from labonn.errors import ConfigError, RecordError
from labonn.records import disk
from labonn.training import Teaching, train_student
from labonn.training.checkpoint import Checkpoint
from labonn.training.course import Course
from labonn.training.device import make_fabric
from tests.unit.training.test_students import CLASSES, DESIGN, good_teacher, quarters, weights_of

EPOCHS = 4
SPLIT = quarters(70, 8, seed=0)  # two batches of 32 an epoch
DESIGNS = {
    method: DESIGN.model_copy(
        update={"training": Training(method=method, epochs=EPOCHS, batch=32, learning_rate=1e-2, **changes)}
    )
    for method, changes in (("fitnet", {}), ("ntkd+kd", {"weight_decay": 0.01, "shift_px": 1, "flips": True}))
}


class Killed(Exception):
    """As a process dies: nothing that comes after it is done."""


def train(method, course, *, kill_after=None):
    images, labels = torch.from_numpy(SPLIT.images), torch.from_numpy(SPLIT.labels)
    design, steps = DESIGNS[method], []

    def on_step():
        steps.append(1)
        if len(steps) == kill_after:
            raise Killed

    teaching = Teaching(good_teacher(), images, labels, batch=32, cache=None, live=design.training.live)
    trained = train_student(design, SPLIT, CLASSES, teaching, seed=3, on_step=on_step, course=course)
    return trained, len(steps)


def course(path, fabric=None, **told):
    return Course(
        fabric=fabric,
        checkpoint=Checkpoint(path, {"design": "tiny", "seed": 3, **told}, every_s=0.0),
        on_epoch=lambda losses: {"steps": float(len(losses))},
    )


@pytest.mark.parametrize("method", DESIGNS)
def test_what_was_killed_goes_on_and_ends_bit_for_bit_as_if_nothing_had_happened(method, tmp_path):
    whole, _ = train(method, replace(course(tmp_path / "none"), checkpoint=None))
    with pytest.raises(Killed):
        train(method, course(tmp_path / "file"), kill_after=5)  # in the third epoch
    torch.rand(11)
    resumed, steps = train(method, course(tmp_path / "file"))
    assert weights_of(resumed.student) == weights_of(whole.student)
    assert resumed.losses == whole.losses
    assert resumed.notes == whole.notes == {"steps": [2.0, 4.0, 6.0, 8.0]}
    assert steps == 2 * EPOCHS  # what was done before is counted, too


def test_fabric_trains_bit_for_bit_what_torch_does_and_goes_on(tmp_path):
    plain, _ = train("fitnet", Course())
    with pytest.raises(Killed):
        train("fitnet", course(tmp_path / "file", make_fabric("cpu")), kill_after=5)
    carried, _ = train("fitnet", course(tmp_path / "file", make_fabric("cpu")))
    assert weights_of(carried.student) == weights_of(plain.student)


def test_a_checkpoint_of_another_training_is_refused_with_what_differs(tmp_path):
    with pytest.raises(Killed):
        train("fitnet", course(tmp_path / "file"), kill_after=3)
    with pytest.raises(ConfigError, match=r"is the checkpoint of another training, with another design: .*--fresh"):
        train("fitnet", course(tmp_path / "file", design="other"))


@pytest.mark.parametrize("damage", ["cut", "other bytes", "a pickle"])
def test_a_damaged_checkpoint_is_named(damage, tmp_path):
    path = tmp_path / "file"
    with pytest.raises(Killed):
        train("fitnet", course(path), kill_after=3)
    content = path.read_bytes()
    if damage == "a pickle":
        torch.save({"state": nn.Linear(1, 1).state_dict()}, path)
    else:
        path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"x" * 100)
    with pytest.raises(RecordError, match=r"file: cannot be read as the checkpoint .*--fresh"):
        train("fitnet", course(path))


def test_a_full_disk_ends_the_training_and_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    path = tmp_path / "file"
    with pytest.raises(Killed):
        train("fitnet", course(path), kill_after=3)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk.os, "fsync", full)
    with pytest.raises(RecordError, match=r"file: cannot be written: No space left on device"):
        train("fitnet", course(path))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
