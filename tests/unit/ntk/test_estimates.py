"""Estimates: unbiased, as wrong as they say, and chosen when they should be."""

import pytest
import torch
from torch import nn

from labonn.ntk import Readouts, empirical_ntk, estimate_ntk, explain_choice
from tests.unit.ntk.models import Apply, TinyUNet, backend, reference_kernel, relative_error


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def small():
    torch.manual_seed(1)
    return backend(6, 7, 3).double(), torch.randn(5, 6, dtype=torch.float64)


@pytest.mark.parametrize("kind", ["outputs", "jvp"])
def test_unbiased_and_as_wrong_as_the_standard_error_says(small, kind):
    model, x = small
    exact = empirical_ntk(model, x, method="exact").detach()
    made = [estimate_ntk(model, x, kind=kind, probes=16, generator=seeded(seed)) for seed in range(50)]
    mean = torch.stack([estimate.kernel.detach() for estimate in made]).mean(0)
    assert relative_error(mean, exact) < 0.08
    deviations = torch.stack([((e.kernel - exact) / e.standard_error).detach()[0, 0] for e in made])
    assert 0.7 < deviations.square().mean().sqrt() < 1.5


def test_the_error_falls_with_the_square_root_of_the_probes(small):
    model, x = small
    exact = empirical_ntk(model, x, method="exact")
    errors = [
        torch.tensor(
            [relative_error(estimate_ntk(model, x, probes=p, generator=seeded(s)).kernel, exact) for s in range(40)]
        )
        for p in (1, 16)
    ]
    assert float(errors[0].square().mean().sqrt() / errors[1].square().mean().sqrt()) == pytest.approx(4, rel=0.3)


def test_finite_differences_approach_the_jvp_and_are_biased_by_a_large_step(small):
    model = nn.Sequential(small[0][0], nn.Tanh(), small[0][2])
    x = small[1]
    jvp = estimate_ntk(model, x, kind="jvp", generator=seeded()).kernel
    bias = [
        relative_error(estimate_ntk(model, x, kind="finite-difference", step=step, generator=seeded()).kernel, jvp)
        for step in (1e-1, 1e-3, 1e-5)
    ]
    assert bias[0] > 50 * bias[1] > 2500 * bias[2]


def test_one_output_needs_no_luck():
    model, x = backend(6, 7, 1), torch.randn(4, 6)
    torch.testing.assert_close(empirical_ntk(model, x, method="probe"), empirical_ntk(model, x, method="exact"))


def test_one_probe_has_no_standard_error(small):
    model, x = small
    assert estimate_ntk(model, x).standard_error is None
    with pytest.raises(ValueError, match="at least one"):
        estimate_ntk(model, x, probes=0)


@pytest.mark.parametrize("kind", ["outputs", "jvp", "finite-difference"])
def test_against_other_samples_and_with_gradients(small, kind):
    model, x = small
    both = estimate_ntk(model, x, kind=kind, probes=3, generator=seeded()).kernel
    rectangle = estimate_ntk(model, x[:2], x[2:], kind=kind, probes=3, generator=seeded()).kernel
    torch.testing.assert_close(rectangle, both[:2, 2:])
    both.sum().backward()
    assert model[0].weight.grad.abs().sum() > 0


def test_gradient_of_an_estimate_is_the_gradient_of_that_estimate(small):
    model, x = small
    v = (torch.randint(0, 2, (1, 3), generator=seeded()) * 2 - 1).double()
    gradients = []
    for kernel in (
        empirical_ntk(model, x, method="probe", generator=seeded()),
        reference_kernel(model, x, outputs=lambda z: z @ v.T),
    ):
        gradients.append(torch.autograd.grad(kernel.square().sum(), model[0].weight)[0])
    assert relative_error(*gradients) < 1e-10


def test_dense_outputs_by_probes_and_by_fixed_readouts():
    torch.manual_seed(0)
    model, x = TinyUNet().double(), torch.randn(3, 2, 6, 6, dtype=torch.float64)
    exact = reference_kernel(model, x)
    assert relative_error(estimate_ntk(model, x, probes=200, generator=seeded()).kernel, exact) < 0.25
    readouts = Readouts(36, 200)
    kernel = empirical_ntk(model, x, outputs=readouts)
    assert relative_error(kernel, reference_kernel(model, x, outputs=readouts)) < 1e-10
    torch.testing.assert_close(kernel, empirical_ntk(model, x, outputs=Readouts(36, 200)))
    assert relative_error(kernel, exact) < 0.25


def test_auto_is_exact_where_that_is_cheap_and_says_why(small):
    model, x = small
    assert str(explain_choice(model, x)).startswith("exact: ")
    assert "no more than the 8 allowed" in str(explain_choice(model, x))
    torch.testing.assert_close(empirical_ntk(model, x), empirical_ntk(model, x, method="exact"))


def test_auto_estimates_dense_outputs_and_says_why():
    model, x = TinyUNet(), torch.randn(2, 2, 32, 32)
    choice = explain_choice(model, x, probes=4)
    assert (choice.method, choice.outputs, choice.probes) == ("probe", 1024, 4)
    assert "more than the 8 allowed" in str(choice)
    torch.testing.assert_close(
        empirical_ntk(model, x, probes=4, generator=seeded()),
        empirical_ntk(model, x, method="probe", probes=4, generator=seeded()),
    )


def test_auto_keeps_to_the_memory_allowed():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, 4))
    x = torch.randn(16, 1, 8, 8)
    assert explain_choice(model, x).method == "exact"
    assert "more than the 0.01 MB allowed" in str(explain_choice(model, x, memory_bytes=10_000))
    assert explain_choice(model, x, memory_bytes=10_000).method == "probe"


def test_auto_never_estimates_an_untraced_kernel():
    model, x = TinyUNet(), torch.randn(2, 2, 4, 4)
    assert empirical_ntk(model, x, trace=False, memory_bytes=1).shape == (2, 2, 16, 16)


def test_explains_a_model_that_torch_func_takes_whole():
    model = nn.Sequential(nn.Linear(6, 6), Apply(lambda z: z.reshape(-1, 3).tanh().reshape(-1, 6)))
    assert explain_choice(model, torch.randn(4, 6)).outputs == 6
