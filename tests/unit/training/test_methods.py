"""Relations, hints and kernels against closed forms and against torch.func."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, jacrev

from labonn.design import Training
from labonn.errors import TrainingError
from labonn.networks import hidden_and_logits
from labonn.training import Lesson, LossWeights, distillation_loss
from labonn.training.labels import UNLABELLED, some_labels
from labonn.training.lessons import kernel_outputs, loss_weights, probabilities
from labonn.training.methods import Distillation, Hints
from labonn.training.relations import relational_loss


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def huber(a, b):
    apart = abs(a - b)
    return apart - 0.5 if apart > 1 else apart**2 / 2


def by_the_book(student, teacher):
    """Park et al., eqs. 6 to 10, pair by pair and triple by triple; means over all, as their own code takes them."""
    n, relations = len(student), []
    for points in (student, teacher):
        apart = np.array([[np.linalg.norm(a - b) for b in points] for a in points])
        mean = apart.sum() / (n * (n - 1))

        def unit(vector):
            length = np.linalg.norm(vector)
            return vector / length if length else vector

        angles = [
            [[unit(points[i] - points[j]) @ unit(points[k] - points[j]) for i in range(n)] for k in range(n)]
            for j in range(n)
        ]
        relations.append((apart / mean, np.array(angles)))
    (d, a), (e, b) = relations
    return np.vectorize(huber)(d, e).mean() + 2 * np.vectorize(huber)(a, b).mean()


def test_relations_are_those_of_the_paper():
    student, teacher = draw(6, 3), draw(6, 5, seed=1)
    assert relational_loss(student, teacher).item() == pytest.approx(by_the_book(student.numpy(), teacher.numpy()))


def test_relations_of_a_large_batch_are_those_of_the_paper():
    student, teacher = draw(50, 3), draw(50, 5, seed=1)
    assert relational_loss(student, teacher).item() == pytest.approx(by_the_book(student.numpy(), teacher.numpy()))


def test_images_at_one_place_have_a_distance_of_zero_and_no_direction():
    """Far from the origin and in single precision, where a distance is not much more than its rounding."""
    places = draw(7, 4) + 30
    student = torch.stack([*places, places[2], places[2]]).float().requires_grad_()
    teacher = draw(9, 5, seed=1).float()
    teacher[4] = teacher[0]
    loss = relational_loss(student, teacher)
    loss.backward()
    expected = by_the_book(student.detach().double().numpy(), teacher.double().numpy())
    assert loss.item() == pytest.approx(expected, rel=1e-4)
    assert student.grad.isfinite().all()
    assert student.grad.abs().max() < 1


def test_a_single_image_has_no_relations():
    student = draw(1, 3).requires_grad_()
    loss = relational_loss(student, draw(1, 5))
    loss.backward()
    assert loss.item() == 0
    assert not student.grad.any()


def test_similar_figures_are_related_alike():
    """Turned, mirrored, moved, scaled, and put into a space of more dimensions."""
    teacher = draw(7, 3)
    turned, _ = torch.linalg.qr(draw(5, 5, seed=2))
    student = (3.7 * nn.functional.pad(teacher, (0, 2)) @ turned + 0.4).requires_grad_()
    loss = relational_loss(student, teacher)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert student.grad.abs().max() < 1e-6


def test_relations_have_the_gradient_of_finite_differences():
    teacher = draw(5, 4, seed=1)
    student = draw(5, 3, seed=3).requires_grad_()
    assert torch.autograd.gradcheck(lambda points: relational_loss(points, teacher), student)


def backend(*, hidden=5):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [nn.Linear(8, hidden), nn.ReLU(), nn.Linear(hidden, 3)] if hidden else [nn.Linear(8, 3)]
        return nn.Sequential(nn.Flatten(), *layers).double()


LESSON = Lesson(torch.tensor([0, 1, 2, 0]), draw(4, 3, seed=4), None, draw(4, 6, seed=5))
MAPS = draw(4, 2, 2, 2, seed=6)


def test_a_relational_loss_is_the_task_and_what_the_last_layers_read():
    network = backend()
    hidden, logits = hidden_and_logits(network, MAPS)
    expected = nn.functional.cross_entropy(logits, LESSON.labels) + 20 * relational_loss(hidden, LESSON.hidden)
    found = distillation_loss(network, MAPS, LESSON, LossWeights(rkd=20.0))
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)


def test_only_what_is_labelled_counts_for_the_task():
    network, labels = backend(), LESSON.labels
    some = some_labels(labels, 3, seed=0)
    told = some != UNLABELLED
    assert told.sum() == 3
    assert torch.equal(some[told], labels[told])
    expected = nn.functional.cross_entropy(network(MAPS)[told], labels[told])
    found = distillation_loss(network, MAPS, Lesson(some, None), LossWeights())
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    nothing = distillation_loss(network, MAPS, Lesson(some_labels(labels, 0, seed=0), None), LossWeights())
    nothing.backward()
    assert nothing.item() == 0
    assert all(parameter.grad.abs().max() == 0 for parameter in network.parameters())


def hints(share=0.25):
    training = Training(hint_share=share)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Hints(loss_weights(training, "fitnet"), training, 5, 6).double()


def test_a_hint_is_half_the_squared_distance_and_leaves_the_last_layer_alone():
    network, method = backend(), hints()
    loss = method.loss(network, MAPS, LESSON, method.weights, progress=0.2)
    hidden = hidden_and_logits(network, MAPS)[0].detach().numpy()
    weight, bias = (parameter.detach().numpy() for parameter in method.regressor.parameters())
    apart = hidden @ weight.T + bias - LESSON.hidden.numpy()
    assert loss.item() == pytest.approx((apart**2).sum(axis=1).mean() / 2, rel=1e-12)
    loss.backward()
    assert network[-1].weight.grad is None
    assert network[1].weight.grad.abs().sum() > 0
    assert method.regressor.weight.grad.abs().sum() > 0


def test_after_the_hints_it_is_hinton_s_distillation():
    network, method = backend(), hints()
    expected = distillation_loss(network, MAPS, LESSON, LossWeights(kd=Training().kd_weight))
    assert method.loss(network, MAPS, LESSON, method.weights, progress=0.25).item() == expected.item()


def test_the_kernel_of_a_single_layer_is_that_of_its_softmax_or_refused():
    network, features = backend(hidden=0), draw(4, 9, seed=7)
    target = features @ features.T
    training = Training(kernel_of="softmax")
    method = Distillation(LossWeights(task=0.0, ntkd=1.0), training, (10,))
    values = dict(network.named_parameters())
    jacobians = jacrev(lambda named: probabilities(functional_call(network, named, (MAPS,))))(values)
    flat = torch.cat([jacobian.flatten(2) for jacobian in jacobians.values()], dim=2).flatten(1)
    centring = torch.eye(4, dtype=torch.float64) - 0.25
    a, b = centring @ flat @ flat.T @ centring, centring @ target @ centring
    expected = 1 - (a * b).sum() / (a.norm() * b.norm())
    found = method.loss(network, MAPS, Lesson(LESSON.labels, None, target), method.weights, progress=0.0)
    assert found.item() == pytest.approx(expected.item(), rel=1e-9)
    method.check(network, MAPS)
    with pytest.raises(TrainingError, match="take the kernel of the softmax outputs"):
        Distillation(LossWeights(ntkd=1.0), Training(), (10,)).check(network, MAPS)


def test_the_kernel_of_a_few_readouts_stands_for_that_of_all_logits():
    logits = draw(4, 10)
    assert kernel_outputs(Training(), (10,)) is None
    readouts = kernel_outputs(Training(kernel_readouts=3), (10,))
    assert readouts(logits).shape == (4, 3)
    assert kernel_outputs(Training(kernel_readouts=3), (10,)) is readouts, "the same for teacher and student"
    assert kernel_outputs(Training(kernel_readouts=3, kernel_of="softmax"), (10,)) is not readouts


@pytest.mark.parametrize(
    ("weights", "said"),
    [({"kd": 1.0}, "teacher's answers"), ({"rkd": 1.0}, "teacher's last layer"), ({"ntkd": 1.0}, "teacher's kernel")],
)
def test_a_lesson_without_what_the_loss_needs_is_refused(weights, said):
    with pytest.raises(ValueError, match=said):
        distillation_loss(backend(), MAPS, Lesson(LESSON.labels, None), LossWeights(**weights))
