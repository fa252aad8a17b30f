"""What each matching loss sees, and what it does not."""

import numpy as np
import pytest
import torch

from labonn.ntk import centred_alignment, matching_loss

KINDS = ["cka", "frobenius", "mse"]


def kernel(seed, n=7, rank=9):
    features = torch.randn(n, rank, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return features @ features.T


def test_alignment_is_the_formula():
    a, b = kernel(0).numpy(), kernel(1).numpy()
    h = np.eye(7) - 1 / 7
    expected = np.trace(h @ a @ h @ b) / np.linalg.norm(h @ a @ h) / np.linalg.norm(h @ b @ h)
    assert float(centred_alignment(kernel(0), kernel(1))) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_zero_only_for_the_same_kernel_and_unchanged_by_order(kind):
    a, b, order = kernel(0), kernel(1), torch.randperm(7)
    assert float(matching_loss(a, a, kind)) == pytest.approx(0, abs=1e-12)
    assert float(matching_loss(a, b, kind)) > 1e-3
    torch.testing.assert_close(matching_loss(a[order][:, order], b[order][:, order], kind), matching_loss(a, b, kind))


@pytest.mark.parametrize(
    ("kind", "scale", "constant"), [("cka", True, True), ("frobenius", True, False), ("mse", False, False)]
)
def test_invariances(kind, scale, constant):
    a, b = kernel(0), kernel(1)
    before = float(matching_loss(a, b, kind))
    for changed in (matching_loss(3 * a, b, kind), matching_loss(a, 0.2 * b, kind)):
        assert (float(changed) == pytest.approx(before, rel=1e-9)) is scale
    for changed in (matching_loss(a + 5, b, kind), matching_loss(a, b + 5, kind)):
        assert (float(changed) == pytest.approx(before, rel=1e-9)) is constant


@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind):
    features = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    target = kernel(2, n=5)
    assert torch.autograd.gradcheck(lambda f: matching_loss(f @ f.T, target, kind), features)


@pytest.mark.parametrize(
    ("a", "b", "kind", "message"),
    [
        (kernel(0), kernel(0, n=5), "cka", "same samples"),
        (kernel(0)[:4], kernel(0)[:4], "mse", "same samples"),
        (kernel(0, n=1), kernel(0, n=1), "cka", "at least 2"),
        (torch.ones(4, 4), kernel(0, n=4).float(), "cka", "same for all pairs"),
        (kernel(0, n=4).float(), torch.full((4, 4), 2.0), "cka", "same for all pairs"),
        (torch.zeros(4, 4), kernel(0, n=4).float(), "cka", "same for all pairs"),
        (torch.zeros(4, 4), kernel(0, n=4).float(), "frobenius", "trace"),
        (kernel(0), kernel(1), "cosine", "'cka', 'frobenius' or 'mse'"),
    ],
)
def test_refusals(a, b, kind, message):
    with pytest.raises(ValueError, match=message):
        matching_loss(a, b, kind)
