"""What the networks compute, and the shapes that they refuse."""

import numpy as np
import pytest
import torch

from labonn.design import Backend, Teacher, load_design
from labonn.errors import ConfigError
from labonn.networks import Student, make_backend, make_teacher


def test_the_backend_rectifies_pools_and_has_two_layers():
    backend = make_backend(Backend(pool=2, hidden=5), (3, 4, 6), 7)
    maps = torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    pooled = np.maximum(maps.numpy(), 0).reshape(2, 3, 2, 2, 3, 2).mean(axis=(3, 5)).reshape(2, -1)
    first, second = (layer for layer in backend if isinstance(layer, torch.nn.Linear))
    hidden = np.maximum(pooled @ first.weight.detach().numpy().T + first.bias.detach().numpy(), 0)
    expected = hidden @ second.weight.detach().numpy().T + second.bias.detach().numpy()
    assert hidden.shape == (2, 5)
    np.testing.assert_allclose(backend(maps).detach(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(8, 28, 27), (8, 27, 28)])
def test_maps_that_pooling_would_cut_are_refused(shape):
    with pytest.raises(ConfigError, match=rf"pool = 4 .* {shape[1]} x {shape[2]}"):
        make_backend(Backend(pool=4), shape, 10)


@pytest.mark.parametrize("shape", [(3, 28, 28), (1, 32, 32)])
def test_the_teacher_refuses_other_images_than_its_own(shape):
    with pytest.raises(ConfigError) as caught:
        make_teacher(Teacher(), shape, 10)
    assert str(shape) in str(caught.value)


def test_the_teacher_answers_one_logit_for_each_class():
    assert make_teacher(Teacher(), (1, 28, 28), 7)(torch.zeros(3, 1, 28, 28)).shape == (3, 7)


def test_the_student_of_mnist_has_the_size_of_the_paper_s():
    """0.05 M parameters: 16 kernels of 7x7, then 8 * 7 * 7 -> 120 -> 10."""
    student = Student(load_design("mnist-mono"), (1, 28, 28), 10)
    assert sum(p.numel() for p in student.parameters()) == 16 * 49 + (392 + 1) * 120 + (120 + 1) * 10


def test_the_student_s_optics_feel_its_answers_and_only_they_are_noisy():
    student = Student(load_design("digits-mono"), (1, 28, 28), 10, generator=torch.Generator().manual_seed(0))
    images = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    assert not torch.equal(student(images), student(images))
    student.eval()
    logits = student(images)
    torch.testing.assert_close(logits, student.backend(student.frontend(images)))
    logits.square().sum().backward()
    assert student.frontend.free_taps.grad.abs().sum() > 0
