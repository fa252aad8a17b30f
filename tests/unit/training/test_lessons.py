"""The losses against their closed forms, and what each named method is made of."""

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax
from torch import nn
from torch.func import functional_call, jacrev

from labonn.design import Optic, Sensor, Training
from labonn.errors import ConfigError, TrainingError
from labonn.optics import Frontend
from labonn.training import Lesson, LossWeights, distillation_loss, loss_weights

N, CLASSES = 6, 4


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def lesson(kernel=None):
    return Lesson(torch.tensor([0, 1, 2, 3, 0, 1]), 3 * draw(N, CLASSES, seed=1), kernel)


def teacher_kernel():
    features = draw(N, 9, seed=2)
    return features @ features.T


def small_backend():
    torch.manual_seed(0)
    return nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(2 * 25, 5), nn.ReLU(), nn.Linear(5, CLASSES)).double()


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("none", LossWeights(task=1.0, kd=0.0, ntkd=0.0)),
        ("kd", LossWeights(task=1.0, kd=0.3, ntkd=0.0)),
        ("rkd", LossWeights(task=1.0, rkd=20.0)),
        ("fitnet", LossWeights(task=1.0, kd=0.3, hint=1.0)),
        ("ntkd", LossWeights(task=1.0, kd=0.0, ntkd=2.0)),
        ("ntkd+kd", LossWeights(task=1.0, kd=0.3, ntkd=2.0)),
    ],
)
def test_a_method_s_name_says_which_losses_it_has(method, expected):
    training = Training(method="none", kd_weight=0.3, ntkd_weight=2.0, rkd_weight=20.0)
    assert loss_weights(training, method) == expected
    assert loss_weights(training.model_copy(update={"method": method})) == expected


def test_kernels_matched_now_and_then_weigh_as_much_more_then():
    weights = LossWeights(task=1.0, kd=0.3, ntkd=2.0)
    assert [weights.at(step, 1) for step in range(3)] == [weights] * 3
    assert [weights.at(step, 4).ntkd for step in range(9)] == [8.0, 0, 0, 0, 8.0, 0, 0, 0, 8.0]
    assert {(weights.at(step, 4).task, weights.at(step, 4).kd) for step in range(9)} == {(1.0, 0.3)}


def test_an_unknown_method_is_answered_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"'nktd': known are none, kd, rkd, fitnet, ntkd, ntkd\+kd"):
        loss_weights(Training(), "nktd")


def test_task_and_distillation_are_hinton_s_formula():
    """CE + gamma T^2 KL(teacher / T || student / T), T = 4, in the mean over the batch."""
    logits = draw(N, CLASSES)
    told = lesson()
    cross_entropy = -np.log(softmax(logits.numpy(), axis=1)[np.arange(N), told.labels]).mean()
    divergence = rel_entr(softmax(told.logits.numpy() / 4, axis=1), softmax(logits.numpy() / 4, axis=1)).sum(axis=1)
    found = distillation_loss(nn.Identity(), logits, told, LossWeights(task=0.5, kd=0.7))
    assert found.item() == pytest.approx(0.5 * cross_entropy + 0.7 * 16 * divergence.mean(), rel=1e-9)


def test_a_student_that_answers_as_its_teacher_has_nothing_to_learn_from_it():
    told = lesson()
    logits = (told.logits + 5).requires_grad_()  # the same answers: a constant changes no probability
    loss = distillation_loss(nn.Identity(), logits, told, LossWeights(task=0.0, kd=1.0))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert logits.grad.abs().max() < 1e-9


def misalignment(backend, parameters, maps, target):
    """1 - CKA of the backend's trace NTK, from torch.func's Jacobian."""
    jacobians = jacrev(lambda values: functional_call(backend, values, (maps,)))(parameters)
    flat = torch.cat([j.flatten(2) for j in jacobians.values()], dim=2).flatten(1)
    centring = torch.eye(N, dtype=torch.float64) - 1 / N
    a, b = centring @ flat @ flat.T @ centring, centring @ target @ centring
    return 1 - (a * b).sum() / (a.norm() * b.norm())


def test_the_kernel_s_loss_and_its_gradient_reach_the_optics():
    optic = Optic(aperture_mm=(8, 8), kernel_mm=1, taps=3, kernels=2)
    frontend = Frontend(optic, Sensor(), generator=torch.Generator().manual_seed(0)).double().eval()
    backend, images, target = small_backend(), draw(N, 1, 5, 5, seed=3).abs(), teacher_kernel()
    loss = distillation_loss(backend, frontend(images), lesson(target), LossWeights(task=0.0, ntkd=1.5))
    found = torch.autograd.grad(loss, [frontend.free_taps, *backend.parameters()], allow_unused=True)

    named = dict(backend.named_parameters())
    expected_loss = 1.5 * misalignment(backend, named, frontend(images), target)
    expected = torch.autograd.grad(expected_loss, [frontend.free_taps, *named.values()], allow_unused=True)
    assert loss.item() == pytest.approx(expected_loss.item(), rel=1e-9)
    assert found[0].abs().max() > 0
    for ours, oracle in zip(found, expected, strict=True):
        nothing = torch.zeros(1, dtype=torch.float64)
        difference = (nothing if ours is None else ours) - (nothing if oracle is None else oracle)
        assert difference.abs().max() < 1e-8


def test_the_parts_add_up():
    backend, maps, told = small_backend(), draw(N, 2, 5, 5, seed=4), lesson(teacher_kernel())
    parts = [LossWeights(1.0, 0.0, 0.0), LossWeights(0.0, 0.7, 0.0), LossWeights(0.0, 0.0, 2.0)]
    whole = distillation_loss(backend, maps, told, LossWeights(1.0, 0.7, 2.0)).item()
    assert whole == pytest.approx(sum(distillation_loss(backend, maps, told, part).item() for part in parts))


def test_a_kernel_that_was_not_given_cannot_be_matched():
    with pytest.raises(ValueError, match="needs the teacher's kernel"):
        distillation_loss(small_backend(), draw(N, 2, 5, 5), lesson(), LossWeights(ntkd=1.0))


def test_a_student_that_has_died_ends_its_training_with_a_reason():
    dead = small_backend()
    with torch.no_grad():
        dead[2].bias.fill_(-1e3)
    with pytest.raises(TrainingError, match=r"student's kernel is the same for all pairs.*lower learning_rate"):
        distillation_loss(dead, draw(N, 2, 5, 5), lesson(teacher_kernel()), LossWeights(ntkd=1.0))
