"""The kernels of an estimate against torch.func, wide networks and formulas written out."""

import importlib
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, jacrev

from labonn.design import Backend, load_design
from labonn.networks import Student
from labonn.ntk import empirical_ntk, fit_kernel_ridge, one_hot
from labonn.optics import Frontend
from labonn.training.estimate.contrast import give_contrast
from labonn.training.estimate.curve import fit_curve, told_apart
from labonn.training.estimate.predictors import behind_a_lens, kare
from labonn.training.estimate.references import gram, infinitely_wide
from labonn.training.estimate.student_kernel import Seen, student_kernel
from labonn.training.fitting import seeded

module = importlib.import_module("labonn.training.estimate.student_kernel")


def small(name, **optic):
    design = load_design(name)
    return design.model_copy(
        update={
            "optic": design.optic.model_copy(update={"kernels": 2, "taps": 3, **optic}),
            "backend": Backend(pool=design.image_shape[0] // 2, hidden=5),
        }
    )


@pytest.mark.parametrize(
    "design", [small("digits-mono"), small("cifar10-poly"), small("cifar10-poly", colours="separate")]
)
def test_the_taken_apart_student_answers_as_the_student_and_its_kernel_is_its_jacobian_s(design):
    images = torch.rand(4, len(design.optic.wavelengths_nm), *design.image_shape)
    with seeded(3):
        student = Student(design, tuple(images.shape[1:]), 10).eval()
        noise = 0.1 * torch.randn(4, design.optic.maps, *design.image_shape)
    seen = Seen(student)
    both = torch.cat([images, noise], dim=1)
    expected = student.backend(student.frontend(images) + noise)
    torch.testing.assert_close(seen(both), expected, rtol=1e-4, atol=1e-5)
    weights = dict(seen.named_parameters())
    jacobian = jacrev(lambda p: functional_call(seen, p, (both,)))(weights)
    kernel = sum(torch.einsum("acp,bcp->ab", j.flatten(2), j.flatten(2)) for j in jacobian.values())
    torch.testing.assert_close(empirical_ntk(seen, both, method="exact"), kernel, rtol=1e-3, atol=1e-4)


def test_noise_and_trained_taps_are_in_the_kernel_and_a_seed_makes_it_again(monkeypatch):
    design = small("digits-mono")
    images = torch.rand(6, 1, 28, 28)
    kernel = student_kernel(design, images, seed=0)
    assert torch.equal(kernel, student_kernel(design, images, seed=0))
    noisy = design.model_copy(update={"sensor": design.sensor.model_copy(update={"read_noise_e": 100_000.0})})
    assert (student_kernel(noisy, images, seed=0) - kernel).abs().max() > 0.05 * kernel.abs().max()
    assert student_kernel(behind_a_lens(design), images, seed=0).shape == (6, 6)
    monkeypatch.setattr(module, "give_contrast", lambda frontend: None)  # so that both have the same kernels
    fixed = design.model_copy(update={"optic": design.optic.model_copy(update={"kind": "random"})})
    of_taps = student_kernel(design, images, seed=0) - student_kernel(fixed, images, seed=0)
    assert torch.linalg.eigvalsh(of_taps).min() > -1e-5 * kernel.abs().max()
    assert of_taps.diagonal().min() > 0


@pytest.mark.parametrize("design", [small("digits-mono"), small("cifar10-poly", colours="separate")])
def test_drawn_kernels_have_the_light_of_the_beginning_and_share_no_tap(design):
    with seeded(0):
        frontend = Frontend(design.optic, design.sensor)
        before = frontend.kernels().detach().clone()
        give_contrast(frontend)
    after = frontend.kernels().detach()
    assert (after >= 0).all()
    assert (after[0::2] * after[1::2]).max() == 0
    torch.testing.assert_close(after.sum(dim=(-2, -1)).mean(), before.sum(dim=(-2, -1)).mean())
    signed = [taps[0::2] - taps[1::2] for taps in (before, after)]
    assert signed[1].square().sum() > 4 * signed[0].square().sum()
    for kind in ("random", "lens"):
        count = {"kernels": 1, "taps": 1} if kind == "lens" else {}
        other = Frontend(design.optic.model_copy(update={"kind": kind, **count}), design.sensor)
        taps = other.kernels().clone()
        give_contrast(other)
        assert torch.equal(other.kernels(), taps)


@pytest.mark.parametrize("layers", [1, 2])
def test_the_infinite_limit_is_that_of_wide_networks(layers):
    torch.manual_seed(0)
    x = torch.randn(5, 12, dtype=torch.float64)
    expected, width = torch.zeros(5, 5, dtype=torch.float64), 1500

    def layer(inner, outer, factor):
        """In the source's units: standard normal weights, the factor outside."""
        linear = nn.Linear(inner, outer, bias=False, dtype=torch.float64)
        nn.init.normal_(linear.weight)
        return linear, (factor / inner) ** 0.5

    class Wide(nn.Module):
        def __init__(self):
            super().__init__()
            sizes = [12, *[width] * layers, 1]
            made = [layer(a, b, 1.0 if a == 12 else 2.0) for a, b in pairwise(sizes)]
            self.layers, self.factors = nn.ModuleList(m for m, _ in made), [f for _, f in made]

        def forward(self, h):
            for number, (linear, factor) in enumerate(zip(self.layers, self.factors, strict=True)):
                h = factor * linear(h.relu() if number else h)
            return h

    for _ in range(4):
        expected += empirical_ntk(Wide(), x, method="exact").detach() / 4
    found = infinitely_wide((x @ x.T / 12).numpy(), layers)
    np.testing.assert_allclose(found, expected.numpy(), atol=0.06 * np.abs(found).max())


def test_kare_is_its_formula():
    rng = np.random.default_rng(0)
    kernel = gram(torch.rand(40, 7))
    targets = one_hot(rng.integers(0, 4, 40), 4)
    ridge = fit_kernel_ridge(kernel, targets)
    inverse = np.linalg.inv(kernel / 40 + ridge.penalty / 40 * np.eye(40))
    expected = np.sum((inverse @ targets) ** 2) / 40 / (np.trace(inverse) / 40) ** 2
    assert kare(ridge, targets) == pytest.approx(expected, rel=1e-6)


def test_a_power_law_of_the_odds_is_found_and_chance_is_not_taken_for_one():
    counts = [125, 250, 500, 1000]
    curve = fit_curve(counts, [0.9 * odds / (1 + odds) for odds in (2.0 * n**-0.4 for n in counts)], 0.9)
    assert (curve.scale, curve.exponent) == pytest.approx((2.0, 0.4))
    assert curve.error_at(10**6) == pytest.approx(0.9 * 2.0 * (10**6) ** -0.4, rel=0.01), (
        "far from chance, of the error"
    )
    assert told_apart(1000, 10**9) == pytest.approx(1000, rel=1e-5)  # of a large model all images, of a small one few
    assert told_apart(10**9, 300) == pytest.approx(300, rel=1e-5)
    rising = fit_curve(counts, [0.1, 0.11, 0.12, 0.13], 0.9)
    assert rising.exponent == 0
    assert rising.error_at(10**9) == pytest.approx(rising.error_at(10))
    assert fit_curve(counts, [0.0] * 4, 0.9).error_at(1000) > 0
    guessing = fit_curve(counts, [0.91, 0.9, 0.89, 0.9], 0.9)
    assert guessing.error_at(10_000) == pytest.approx(0.9, abs=0.02)


def test_a_curve_that_has_hardly_left_chance_falls_as_one_that_left_it_long_ago():
    early, late = ([0.9 / (1 + n / far) for n in (125, 250, 500, 1000)] for far in (4000, 40))
    for errors, far in ((early, 4000), (late, 40)):
        curve = fit_curve([125, 250, 500, 1000], errors, 0.9)
        assert curve.error_at(64_000) == pytest.approx(0.9 / (1 + 64_000 / far), rel=0.01)


def test_no_curve_of_one_point():
    with pytest.raises(ValueError, match="two points"):
        fit_curve([10], [0.1], 0.9)
