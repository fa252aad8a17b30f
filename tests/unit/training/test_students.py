"""Training teacher and student on a task that takes a second: in which quarter of the image a spot is."""

from functools import cache
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

from labonn.data import Split
from labonn.design import Backend, Design, Optic, Sensor, Teacher, Training
from labonn.design.design import Method
from labonn.errors import ConfigError, TrainingError
from labonn.training import Teaching, accuracy_percent, train_student, train_teacher

CLASSES = 4


def quarters(count, side, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    images = rng.uniform(0, 0.2, (count, 1, side, side)).astype(np.float32)
    half, spot = side // 2, side // 4
    for image, label in zip(images, labels, strict=True):
        corner = rng.integers(0, half - spot + 1, 2) + half * np.array(divmod(int(label), 2))
        image[0, corner[0] : corner[0] + spot, corner[1] : corner[1] + spot] += 0.8
    return Split(images, labels.astype(np.int64))


DESIGN = Design(
    schema=1,
    name="tiny",
    task="digits",
    optic=Optic(aperture_mm=(8, 8), kernel_mm=2, taps=3, kernels=4),
    sensor=Sensor(full_well_e=2000, pixels_per_tap=20),
    backend=Backend(pool=4, hidden=32),
    teacher=Teacher(epochs=12, learning_rate=2e-3),
    training=Training(epochs=30, batch=32, learning_rate=1e-2, optics_learning_rate=2e-2),
)


@cache
def good_teacher():
    """Of images of 8x8; trained without labonn."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        teacher = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, CLASSES))
        optimizer, split = torch.optim.Adam(teacher.parameters(), lr=0.01), quarters(500, 8, seed=9)
        for _ in range(100):
            loss = nn.functional.cross_entropy(teacher(torch.from_numpy(split.images)), torch.from_numpy(split.labels))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return teacher.eval()


def teaching_of(split):
    images, labels = torch.from_numpy(split.images), torch.from_numpy(split.labels)
    return Teaching(good_teacher(), images, labels, batch=32, cache=None)


def train(method="none", seed=0, design=DESIGN, split=None, on_step=lambda: None):
    split = split or quarters(96, 8, seed=0)
    return train_student(design, split, CLASSES, teaching_of(split), seed=seed, method=method, on_step=on_step)


def weights_of(module):
    return b"".join(value.numpy().tobytes() for value in module.state_dict().values())


@pytest.mark.parametrize("method", ["none", "ntkd+kd"])
def test_a_student_learns_and_is_handed_over_ready_for_use(method):
    trained = train(method)
    unseen = quarters(200, 8, seed=1)
    assert not trained.student.training
    assert accuracy_percent(trained.student, torch.from_numpy(unseen.images), unseen.labels) > 95
    assert trained.losses[-1] < 0.5 * trained.losses[0]


@pytest.mark.parametrize("method", get_args(Method))
def test_every_method_moves_optics_and_backend(method):
    short = DESIGN.model_copy(update={"training": DESIGN.training.model_copy(update={"epochs": 1})})
    first, last = train(method, design=short).student, train(method).student
    assert not torch.equal(first.frontend.kernels(), last.frontend.kernels())
    for before, after in zip(first.backend.parameters(), last.backend.parameters(), strict=True):
        assert not torch.equal(before, after)


def test_the_same_seed_gives_the_same_student_whatever_happened_before():
    short = DESIGN.model_copy(update={"training": DESIGN.training.model_copy(update={"epochs": 3})})
    first = train("ntkd+kd", seed=3, design=short)
    torch.rand(17)
    assert weights_of(train("ntkd+kd", seed=3, design=short).student) == weights_of(first.student)
    assert weights_of(train("ntkd+kd", seed=4, design=short).student) != weights_of(first.student)


def test_kernels_are_matched_in_every_so_many_steps(monkeypatch):
    heard = []
    lesson = Teaching.lesson
    monkeypatch.setattr(Teaching, "lesson", lambda *told: heard.append(told[2].ntkd) or lesson(*told))
    changes = {"epochs": 3, "kernel_every": 4, "ntkd_weight": 0.5}
    train("ntkd", design=DESIGN.model_copy(update={"training": DESIGN.training.model_copy(update=changes)}))
    assert heard == [2.0, 0, 0, 0, 2.0, 0, 0, 0, 2.0], "three batches of 32 an epoch, four times the weight"


def test_training_leaves_the_world_s_randomness_alone():
    before = torch.get_rng_state()
    train()
    assert torch.equal(torch.get_rng_state(), before)


def test_as_many_steps_as_whole_batches_fit_into_the_epochs():
    told = []
    losses = train(split=quarters(70, 8, seed=0), on_step=lambda: told.append(1)).losses
    assert len(losses) == len(told) == 30 * 2  # 70 images: two batches of 32, the rest is left out of an epoch


def test_the_design_s_own_method_is_used_if_none_is_named():
    own = DESIGN.model_copy(update={"training": DESIGN.training.model_copy(update={"method": "kd"})})
    assert weights_of(train(None, design=own).student) == weights_of(train("kd").student)


def test_images_that_are_no_numbers_are_refused():
    split = quarters(96, 8, seed=0)
    split.images[:, 0, 3, 3] = np.nan
    with pytest.raises(TrainingError, match="the loss became nan at step 1 "):
        train(split=split)


def test_an_unknown_method_is_refused():
    with pytest.raises(ConfigError, match="no training method 'ntk'"):
        train("ntk")


@pytest.mark.parametrize(("sees", "asked"), [("views", 2), ("images", 0)])
def test_a_teacher_is_asked_about_each_view_or_once_about_the_images(sees, asked):
    training = Training(method="kd", epochs=1, batch=32, shift_px=1, teacher_sees=sees)
    split, teacher, calls = quarters(70, 8, seed=0), good_teacher(), []
    images, labels = torch.from_numpy(split.images), torch.from_numpy(split.labels)
    teaching = Teaching(teacher, images, labels, batch=32, cache=None, live=training.live)
    hook = teacher[-1].register_forward_hook(lambda *call: calls.append(1))
    try:
        train_student(DESIGN.model_copy(update={"training": training}), split, CLASSES, teaching, seed=0)
    finally:
        hook.remove()
    assert len(calls) == asked


def test_a_teacher_learns_the_same_from_the_same_seed():
    split, unseen = quarters(128, 28, seed=0), quarters(200, 28, seed=1)
    told = []
    teacher = train_teacher(DESIGN, split, CLASSES, seed=0, on_step=lambda: told.append(1))
    assert len(told) == 12 * 2
    assert not teacher.training
    assert accuracy_percent(teacher, torch.from_numpy(unseen.images), unseen.labels) > 95
    short = DESIGN.model_copy(update={"teacher": DESIGN.teacher.model_copy(update={"epochs": 1})})
    first, same, other = (weights_of(train_teacher(short, split, CLASSES, seed=seed)) for seed in (0, 0, 1))
    assert first == same
    assert first != other
