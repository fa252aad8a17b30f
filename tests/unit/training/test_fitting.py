"""The loop that every training goes through."""

from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score
from torch import nn

from labonn.errors import TrainingError
from labonn.training import accuracy_percent, logits_of
from labonn.training.fitting import fit, seeded, shuffled_batches


@settings(deadline=None, max_examples=60)
@given(count=st.integers(1, 40), batch=st.integers(1, 50), steps=st.integers(0, 30))
def test_batches_are_full_and_no_item_comes_twice_in_an_epoch(count, batch, steps):
    batches = [indices.tolist() for indices in shuffled_batches(count, batch, steps)]
    size = min(batch, count)
    assert len(batches) == steps
    assert all(len(indices) == size for indices in batches)
    an_epoch = count // size
    for start in range(0, steps, an_epoch):
        seen = list(chain.from_iterable(batches[start : start + an_epoch]))
        assert len(seen) == len(set(seen))
        assert set(seen) <= set(range(count))


def test_what_is_random_follows_from_the_seed_and_nothing_leaks_out():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with seeded(1):
        first = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with seeded(1):
        assert torch.equal(torch.rand(3), first)
    with seeded(2):
        assert not torch.equal(torch.rand(3), first)


def test_randomness_is_restored_after_an_error():
    @seeded(1)
    def draw_and_fail():
        torch.rand(3)
        raise TrainingError("stop")

    before = torch.get_rng_state()
    with pytest.raises(TrainingError, match="stop"):
        draw_and_fail()
    assert torch.equal(torch.get_rng_state(), before)


def test_fitting_reaches_the_solution_of_least_squares():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(40, 3, generator=generator), torch.randn(40, generator=generator)
    weight = nn.Parameter(torch.zeros(3))
    told = []
    losses = fit(
        [(0.05, [weight])],
        [torch.arange(40)] * 400,
        lambda indices: (x[indices] @ weight - y[indices]).square().mean(),
        steps=400,
        on_step=lambda: told.append(1),
    )
    expected, residual, *_ = np.linalg.lstsq(x.numpy(), y.numpy(), rcond=None)
    np.testing.assert_allclose(weight.detach(), expected, atol=1e-3)
    assert losses[-1] == pytest.approx(residual[0] / 40, rel=1e-3)
    assert losses[0] == pytest.approx(y.square().mean().item())
    assert len(losses) == len(told) == 400


def test_each_group_learns_at_its_own_rate():
    """Adam's step is as long as its rate, whatever the gradient; the rates of a cycle keep their ratio."""
    slow, fast = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    fit([(1e-3, [slow]), (1e-2, [fast])], [torch.arange(1)] * 4, lambda _: -(slow + 7 * fast).sum(), steps=4)
    assert slow.item() > 0
    assert fast.item() == pytest.approx(10 * slow.item(), rel=1e-3)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_the_training_before_it_spoils_a_weight(wrong):
    weight = nn.Parameter(torch.ones(1))
    values = iter([1.0, 1.0, wrong])
    seen = []

    def loss_of(indices):
        seen.append(weight.item())
        return (weight * next(values)).sum()

    with pytest.raises(TrainingError, match=r"at step 3 of 5: lower the learning rate \(0\.01\)"):
        fit([(0.01, [weight])], [torch.arange(1)] * 5, loss_of, steps=5)
    assert weight.item() == seen[-1]


def test_accuracy_is_scikit_learn_s():
    generator = torch.Generator().manual_seed(0)
    model = nn.Linear(6, 4)
    inputs, labels = torch.randn(50, 6, generator=generator), torch.randint(0, 4, (50,), generator=generator).numpy()
    answers = model(inputs).argmax(dim=1).numpy()
    assert accuracy_percent(model, inputs, labels) == pytest.approx(100 * accuracy_score(labels, answers))


@pytest.mark.parametrize("training", [True, False])
def test_answers_come_in_evaluation_mode_in_order_and_leave_no_trace(training):
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(0.5)).train(training)
    inputs = torch.randn(2500, 2, generator=torch.Generator().manual_seed(0))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    answers = logits_of(model, inputs)
    torch.testing.assert_close(answers, inputs / (1 + 1e-5) ** 0.5)  # untrained, normalisation is almost nothing
    assert not answers.requires_grad
    assert all(module.training is training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("steps", [1, 2, 5, 9, 10, 11, 20])
def test_any_number_of_steps_is_trained(steps):
    weight = torch.nn.Parameter(torch.zeros(1))
    assert (
        len(fit([(0.1, [weight])], [torch.arange(1)] * steps, lambda _: (weight - 1).square().sum(), steps=steps))
        == steps
    )


def test_groups_with_equal_rates_are_all_trained():
    first, second = torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.zeros(1))
    fit([(0.1, [first]), (0.1, [second])], [torch.arange(1)] * 4, lambda _: -(first + second).sum(), steps=4)
    assert first.item() == second.item() > 0
