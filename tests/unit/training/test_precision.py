"""Under mixed precision, what small differences of large numbers are made of stays in single precision."""

import pytest
import torch

from labonn.data import digits
from labonn.design import load_design
from labonn.networks import Student, make_teacher
from labonn.ntk import empirical_ntk
from labonn.training import Teaching, train_student
from labonn.training.course import Course
from labonn.training.device import make_fabric, slow_because
from labonn.training.relations import relational_loss
from tests.benchmarks.training_settings import METHODS, with_settings


@pytest.fixture
def half():
    """As Lightning Fabric's bf16-mixed does it."""
    return torch.autocast("cpu", dtype=torch.bfloat16)


@pytest.fixture
def student():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Student(load_design("digits-mono"), (1, 28, 28), 10).eval()


def test_optics_and_kernels_are_what_they_are_without_it(half, student):
    images = torch.rand(6, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    maps = student.frontend(images)
    kernel = empirical_ntk(student.backend, maps)
    with half:
        assert torch.equal(student.frontend(images), maps)
        assert torch.equal(empirical_ntk(student.backend, maps), kernel)
        assert student.backend(maps).dtype == torch.bfloat16, "but layers are not"


def test_noise_is_not_rounded(half, student):
    images = torch.full((4, 1, 28, 28), 0.5)
    student.train()
    drawn = []
    for context in (half, torch.autocast("cpu", enabled=False)):
        with torch.random.fork_rng(), context:
            torch.manual_seed(1)
            drawn.append(student.frontend(images))
    assert torch.equal(*drawn)


def test_relations_of_points_far_from_the_origin_are_those_of_points_near_it(half):
    near = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
    other = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    with half:
        assert relational_loss(near + 10, other).item() == pytest.approx(relational_loss(near, other).item(), rel=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_as_in_single_precision(method):
    design, train = with_settings("digits-mono", {"epochs": 2}), digits.read().train.first(256)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        teacher = make_teacher(design.teacher, (1, 28, 28), 10).eval()
    images, labels = torch.from_numpy(train.images), torch.from_numpy(train.labels)
    teaching = Teaching(teacher, images, labels, batch=design.training.batch, cache=None)
    mixed, single = (
        train_student(
            design, train, 10, teaching, seed=0, method=method, course=Course(make_fabric("cpu", precision))
        ).losses
        for precision in ("bf16-mixed", "32-true")
    )
    assert mixed == pytest.approx(single, rel=0.02)
    assert mixed != single


@pytest.mark.parametrize("has_it", [True, False])
def test_a_processor_without_bfloat16_is_named_before_hours_are_lost_on_it(monkeypatch, has_it):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: has_it, raising=False)
    assert (slow_because(make_fabric("cpu", "bf16-mixed"), "bf16-mixed") is None) is has_it
    assert slow_because(make_fabric("cpu"), "32-true") is None
