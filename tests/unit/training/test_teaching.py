"""What the teacher says of a batch is what it would say if it were asked then."""

from itertools import chain

import pytest
import torch
from torch import nn
from torch.func import functional_call, jacrev

from labonn.training import LossWeights, Teaching
from labonn.training.labels import UNLABELLED, some_labels

NTKD = LossWeights(ntkd=1.0)


def teacher():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).eval()


def pupils(count):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 1, 2, 2, generator=generator), torch.randint(0, 3, (count,), generator=generator)


def trace_ntk(model, images):
    values = dict(model.named_parameters())
    jacobians = jacrev(lambda v: functional_call(model, v, (images,)))(values)
    flat = torch.cat([jacobian.flatten(2) for jacobian in jacobians.values()], dim=2).flatten(1)
    return flat @ flat.T


def check(lesson, model, images, labels, indices):
    assert torch.equal(lesson.labels, labels[indices])
    torch.testing.assert_close(lesson.logits, model(images[indices]).detach())
    torch.testing.assert_close(lesson.kernel, trace_ntk(model, images[indices]).detach(), rtol=1e-4, atol=1e-4)


def test_of_a_small_set_any_batch_can_be_asked_for():
    model, (images, labels) = teacher(), pupils(20)
    teaching = Teaching(model, images, labels, batch=8, cache=None)
    for indices in teaching.batches(5):
        assert len(indices) == 8
        check(teaching.lesson(indices, NTKD), model, images, labels, indices)


def test_a_large_set_has_fixed_batches_in_changing_order():
    model, (images, labels) = teacher(), pupils(3100)
    teaching = Teaching(model, images, labels, batch=100, cache=None)
    torch.manual_seed(0)
    batches = list(teaching.batches(62))
    epochs = [[tuple(indices.tolist()) for indices in epoch] for epoch in (batches[:31], batches[31:])]
    assert set(epochs[0]) == set(epochs[1])
    assert epochs[0] != epochs[1]
    assert sorted(chain.from_iterable(epochs[0])) == list(range(3100))
    check(teaching.lesson(batches[3], NTKD), model, images, labels, batches[3])


@pytest.mark.parametrize("known", [True, False])
def test_images_without_labels_are_shown_only_where_a_teacher_knows_them(known):
    images, labels = pupils(20)
    some = some_labels(labels, 6, seed=3)
    teaching = Teaching(teacher() if known else None, images, some, batch=4, cache=None)
    batches = list(teaching.batches(30))
    assert {len(indices) for indices in batches} == {4}  # as many steps, whatever is known
    expected = set(range(20)) if known else set((some != UNLABELLED).nonzero().flatten().tolist())
    assert set(torch.cat(batches).tolist()) == expected


def test_of_some_of_the_images_it_says_the_same():
    model, (images, labels) = teacher(), pupils(20)
    chosen = torch.tensor([7, 3, 19, 0])
    part = Teaching(model, images, labels, batch=8, cache=None).of(chosen)
    (indices,) = part.batches(1)
    assert sorted(indices.tolist()) == [0, 1, 2, 3]
    check(part.lesson(indices, NTKD), model, images, labels, chosen[indices])


def test_no_kernel_is_computed_that_no_loss_asks_for(tmp_path):
    model, (images, labels) = teacher(), pupils(6)
    teaching = Teaching(model, images, labels, batch=3, cache=tmp_path)
    assert teaching.lesson(torch.arange(3), LossWeights(kd=1.0)).kernel is None
    assert [file for file in tmp_path.iterdir() if not file.name.startswith("logits-")] == []


def test_a_kernel_is_kept_and_found_again_but_not_for_another_teacher(tmp_path):
    model, (images, labels) = teacher(), pupils(6)
    said: list[str] = []
    first = Teaching(model, images, labels, batch=6, cache=tmp_path, say=said.append).lesson(torch.arange(6), NTKD)
    assert said[-1] == "the teacher's kernel: 100%"
    kept = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*") if file.is_file()}
    assert kept
    again = Teaching(model, images, labels, batch=6, cache=tmp_path).lesson(torch.arange(6), NTKD)
    assert torch.equal(first.kernel, again.kernel)
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    other = teacher()
    with torch.no_grad():
        other[1].weight *= 2
    lesson = Teaching(other, images, labels, batch=6, cache=tmp_path).lesson(torch.arange(6), NTKD)
    check(lesson, other, images, labels, torch.arange(6))


@pytest.mark.parametrize("weights", [NTKD, LossWeights(kd=1.0)])
def test_the_teacher_itself_learns_nothing(weights):
    model, (images, labels) = teacher(), pupils(6)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    lesson = Teaching(model, images, labels, batch=6, cache=None).lesson(torch.arange(6), weights)
    assert not lesson.logits.requires_grad
    assert lesson.kernel is None or not lesson.kernel.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
