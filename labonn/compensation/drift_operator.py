r"""What has become of the optics since a release: one small linear operator for each tile, from a few captures.

    now_t(x) - then_t(x) = (d_t \star tile_t(x)) + o_t + noise

with tile_t(x) what the optical twin says that image x shows, then_t and now_t what was captured of it when the release
was made and what is captured now, d_t a kernel of TAPS x TAPS and o_t an offset. What the twin has wrong stands on both
sides and cancels. The identity plus d_t is a shift, a change of brightness, a blur, or all of them:

    gain = 1 + sum d,   shift = sum u (1 + d)(u) / gain

d_t is the mean of its posterior: the noise is the twin's, the prior a normal one about nothing, narrower further out.

Source: Bishop, "Pattern Recognition and Machine Learning" (2006), section 3.3.1: Bayesian linear regression.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

TAPS = 7
_PRIOR_TAP = 0.3  # standard deviation of a tap beside the middle, as a share of the tile
_PRIOR_FADES = 4.0  # taps over which it falls to 1/e
_PRIOR_OFFSET = 1.0  # of a tile's root mean square


@dataclass(frozen=True)
class Operator:
    """What every tile went through.

    Attributes
    ----------
    kernels
        (T, TAPS, TAPS) the departures d_t from the identity.
    offsets
        (T,) in the student's units.
    unexplained
        Root mean square of what is left of the difference, over that of the noise: 1 where the operator says it all.
    changed
        The same of the difference itself: 1 where nothing has changed.
    """

    kernels: Tensor
    offsets: Tensor
    unexplained: float
    changed: float

    @property
    def gain(self) -> Tensor:
        """Brightness of each tile as a share of what it was, (T,)."""
        return 1 + self.kernels.sum(dim=(1, 2))

    @property
    def shift_taps(self) -> Tensor:
        """How far each tile has moved, (T, 2), down and right."""
        at = torch.arange(TAPS) - TAPS // 2
        down, right = (self.kernels.sum(dim=other) @ at.to(self.kernels) for other in (2, 1))
        return -torch.stack([down, right], dim=1) / self.gain[:, None].clamp_min(0.1)

    def __call__(self, tiles: Tensor) -> Tensor:
        """What tiles (N, T, H, W) look like now."""
        return tiles + self.change(tiles)

    def change(self, tiles: Tensor) -> Tensor:
        """What is added to tiles (N, T, H, W)."""
        kernels = self.kernels[:, None].to(tiles)
        return functional.conv2d(tiles, kernels, self.offsets.to(tiles), padding=TAPS // 2, groups=tiles.shape[1])


def fit_operator(tiles: Tensor, then: Tensor, now: Tensor, noise: Tensor) -> Operator:
    """Find the operator of each tile.

    Parameters
    ----------
    tiles
        (n, T, H, W) what the twin says of the reference images.
    then, now
        (n, T, H, W) what was captured of them.
    noise
        (n, T, H, W) standard deviation of one capture.
    """
    count = tiles.shape[1]
    difference, deviation = (now - then).double(), (2**0.5 * noise).double()
    prior = _prior().to(difference)
    weights, left = [], torch.empty_like(difference)
    for tile in range(count):
        scale = tiles[:, tile].double().square().mean().sqrt().clamp_min(1e-12)
        features = _features(tiles[:, tile].double())  # (readings, TAPS^2 + 1)
        wanted, sure = difference[:, tile].reshape(-1), 1 / deviation[:, tile].reshape(-1).clamp_min(1e-12)
        weighted = features * sure[:, None]
        spread = torch.cat([prior, _PRIOR_OFFSET * scale[None]])
        precision = weighted.T @ weighted + torch.diag(1 / spread.square())
        solution = torch.linalg.solve(precision, weighted.T @ (wanted * sure))
        weights.append(solution)
        left[:, tile] = (wanted - features @ solution).reshape(left[:, tile].shape)
    found = torch.stack(weights)
    return Operator(
        kernels=found[:, :-1].reshape(count, TAPS, TAPS).float(),
        offsets=found[:, -1].float(),
        unexplained=_rms(left / deviation),
        changed=_rms(difference / deviation),
    )


def _features(tile: Tensor) -> Tensor:
    """Each reading's neighbourhood, and a one: (n, H, W) -> (n H W, TAPS^2 + 1)."""
    around = functional.unfold(tile[:, None], TAPS, padding=TAPS // 2).transpose(1, 2).reshape(-1, TAPS**2)
    return torch.cat([around, around.new_ones(len(around), 1)], dim=1)


def _prior() -> Tensor:
    at = torch.arange(TAPS, dtype=torch.float64) - TAPS // 2
    radius = torch.hypot(at[:, None], at[None, :]).flatten()
    return _PRIOR_TAP * torch.exp(-radius / _PRIOR_FADES)


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())
