r"""What is believed of the optics before a tile is looked at alone: the design, and what all tiles suffer together.

    k_t = g_t (d_t \star b + a)

d_t is the designed kernel, g_t the tile's gain, b and a a blur and a glow that all tiles share: defocus, the display's
own blur, a shifted camera, light that a panel does not diffract. They are fitted to all tiles together, so that a
handful of captures settles them; what one tile alone departs by is then held back, and the more the further out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from labonn.compensation.twin_basis import KERNEL_TAPS, TAPS, Basis, Part
from labonn.compensation.twin_regression import Moments

BLUR_TAPS = 9
GLOW_TAPS = 3
ROUNDS = 3  # of fitting gains and blur in turn
HELD_TO_DESIGN = 1e-3  # weight of b = delta, a = 0, relative to the mean diagonal


@dataclass(frozen=True)
class Expectation:
    """The expected kernels, and the part of them that all tiles share.

    Attributes
    ----------
    kernels
        (T, KERNEL_TAPS, KERNEL_TAPS) float64.
    gain
        (T,) what a tile gathers over what the design says.
    blur
        (BLUR_TAPS, BLUR_TAPS) b, of sum one.
    """

    kernels: Tensor
    gain: Tensor
    blur: Tensor

    def mean(self, basis: Basis) -> Tensor:
        """Expected weights of a basis, (F, T): the kernels; nothing of anything else."""
        weights = torch.zeros(basis.features, len(self.kernels), dtype=torch.float64)
        for part in ("core", "kernel"):
            if part in basis.places:
                weights[basis.places[part]] = centre(self.kernels, TAPS[part]).flatten(1).T
        return weights


def expect(moments: Moments, basis: Basis, designed: Tensor) -> Expectation:
    """Fit gains, blur and glow.

    Parameters
    ----------
    moments
        Of the captures, in the basis; its first part is "core", whatever else there is is left free.
    basis
        What the moments' features are.
    designed
        (T, taps, taps), the student's kernels.
    """
    gram, target = _alone(moments, basis.places["core"].stop)
    centred = centre(designed.double())
    windows = functional.unfold(centred[:, None], BLUR_TAPS, padding=BLUR_TAPS // 2).transpose(1, 2)
    wide = torch.cat([windows, _glow(centred).expand(len(centred), -1, -1)], dim=2)  # (T, KERNEL_TAPS^2, B + G)
    grid = wide.transpose(1, 2).reshape(len(wide), -1, KERNEL_TAPS, KERNEL_TAPS)
    shapes = centre(grid, TAPS["core"]).flatten(2).transpose(1, 2)
    start = torch.zeros(shapes.shape[2], dtype=torch.float64)
    start[BLUR_TAPS**2 // 2] = 1.0
    weight = 1 / moments.power.clamp_min(1e-12)
    left = shapes.transpose(1, 2) @ (gram @ shapes)  # (T, B + G, B + G)
    right = torch.einsum("tpb,pt->tb", shapes, target)
    common, gain = start, _gains(left, right, start)
    for _ in range(ROUNDS):
        system = torch.einsum("t,tbc->bc", weight * gain.square(), left)
        held = HELD_TO_DESIGN * system.diagonal().mean()
        wanted = (weight * gain) @ right + held * start
        common = torch.linalg.solve(system + held * torch.eye(len(common), dtype=torch.float64), wanted)
        common = common / common[: BLUR_TAPS**2].sum().clamp_min(1e-3)
        gain = _gains(left, right, common)
    kernels = (gain[:, None] * (wide @ common)).reshape(-1, KERNEL_TAPS, KERNEL_TAPS)
    return Expectation(kernels, gain, common[: BLUR_TAPS**2].reshape(BLUR_TAPS, BLUR_TAPS))


def prior_precision(basis: Basis, moments: Moments, ridge: Mapping[Part, float]) -> Tensor:
    """How firmly each weight is held to its mean, (F,): the part's ridge, in units of its features in one capture."""
    power = moments.gram.diagonal() / moments.captures
    precision = torch.zeros(basis.features, dtype=torch.float64)
    for part, place in basis.places.items():
        scale = power[place] if part in ("halo", "background") else power[place].mean()
        precision[place] = ridge[part] * scale * basis.stiffness(part)
    return precision


def centre(kernels: Tensor, taps: int = KERNEL_TAPS) -> Tensor:
    """Put kernels (..., taps, taps) in the middle of another support, wider or narrower."""
    margin = (taps - kernels.shape[-1]) // 2
    return functional.pad(kernels, (margin, margin, margin, margin))


def _gains(left: Tensor, right: Tensor, common: Tensor) -> Tensor:
    """The gain of each tile that explains it best, (T,)."""
    return (right @ common) / torch.einsum("b,tbc,c->t", common, left, common).clamp_min(1e-12)


def _glow(centred: Tensor) -> Tensor:
    """A tap of its own for each place in the middle, (1, taps^2, G)."""
    places = torch.zeros(GLOW_TAPS**2, KERNEL_TAPS, KERNEL_TAPS, dtype=torch.float64)
    inner = slice((KERNEL_TAPS - GLOW_TAPS) // 2, (KERNEL_TAPS + GLOW_TAPS) // 2)
    places[:, inner, inner] = torch.eye(GLOW_TAPS**2, dtype=torch.float64).reshape(-1, GLOW_TAPS, GLOW_TAPS)
    return (places * centred.sum(dim=(1, 2)).mean()).flatten(1).T[None]


def _alone(moments: Moments, first: int) -> tuple[Tensor, Tensor]:
    """Gram and target of the first features where all the others are always at their best."""
    gram, target = moments.gram, moments.target
    jitter = 1e-9 * torch.diag(gram[first:, first:].diagonal())
    across = torch.linalg.solve(gram[first:, first:] + jitter, gram[first:, :first]).T
    return gram[:first, :first] - across @ gram[first:, :first], target[:first] - across @ target[first:]
