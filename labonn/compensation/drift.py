"""How much accuracy a release has lost since it was made, from a few captures without labels.

A watch captures the reference images again. From the difference to what was captured of them when the release was made
`drift_operator` finds what became of each tile: shift, brightness, blur. That is done to what the optical twin predicts
of labelled images that nobody has to capture, and the backend's answers say what it costs, in points of accuracy.

A change of another kind is not said by such an operator. Then the backend's neural tangent kernel on the captures
counts, too: how far its alignment with the kernel of then has fallen, which needs no model of what happened, and what a
fall as large costs where the cause is known (simulated shifts, blurs and losses of light: the ladder).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from labonn.compensation.drift_operator import TAPS, Operator, fit_operator
from labonn.compensation.expectation import Expectation
from labonn.ntk import centred_alignment, empirical_ntk
from labonn.ntk.exact import Outputs
from labonn.optics import signed_maps
from labonn.training import score_percent

STILL = 16
"""How many watches of a bench that stands still are simulated."""
TRUSTED = 0.5
"""The operator is believed alone where it explains this share of what is more than noise."""
_PART = 100  # images that are simulated at once: few enough for a processor's cache
_NOTICED = 1.1  # of the noise: a change that is worth explaining
# (shift in taps, width of a blur in taps, loss of light of every other tile)
_RUNGS = (
    (0.25, 0.3, 0.0), (0.5, 0.3, 0.0), (0.75, 0.3, 0.0), (1.0, 0.3, 0.0), (1.5, 0.3, 0.0), (2.0, 0.3, 0.0),
    (0.0, 0.5, 0.0), (0.0, 0.7, 0.0), (0.0, 1.0, 0.0), (0.0, 1.5, 0.0), (0.0, 0.3, 0.1), (0.0, 0.3, 0.3),
)  # fmt: skip


@dataclass(frozen=True)
class Drift:
    """What one watch found.

    Attributes
    ----------
    loss_points
        Accuracy, or mean IoU, that the release is predicted to have lost, in points.
    simulated_points, kernel_points
        The same from the simulation of what was found, and from the kernel's alignment.
    shift_taps
        How far the maps have moved, in the median of the tiles and their colours; and `farthest_taps` the one that
        moved farthest.
    gain, gain_spread
        Brightness as a share of what it was, in the median of the tiles; its standard deviation over them.
    residual
        Root mean square of what changed, over that of the noise: 1 where nothing has.
    unexplained
        The same of what neither shift, gain nor blur explains.
    ntk_alignment
        Of the backend's kernel on the captures of now with that of then: 1 at the release.
    """

    loss_points: float
    simulated_points: float
    kernel_points: float
    shift_taps: float
    farthest_taps: float
    gain: float
    gain_spread: float
    residual: float
    unexplained: float
    ntk_alignment: float


class Outlook:
    """What changes of the bench would cost a release: predictions that are made once, for many watches.

    Parameters
    ----------
    expectation
        Of the release.
    backend
        The released one.
    images, labels
        (N, C, H, W) and (N,), or masks (N, H, W), which need not be captured.
    maps_of
        The feature maps that the backend reads, of tiles (N, T, [C,] H, W).
    outputs
        A function of the backend's logits to take its kernel of; the logits if not given.
    seed
        For the noise that is simulated.

    Each colour of a tile is looked at as if it were a tile of its own.
    """

    def __init__(
        self,
        expectation: Expectation,
        backend: nn.Module,
        images: Tensor,
        labels: NDArray[np.int64],
        *,
        maps_of: Callable[[Tensor], Tensor] = signed_maps,
        outputs: Outputs | None = None,
        seed: int = 0,
    ) -> None:
        self.expectation = expectation
        self._maps_of, self._outputs = maps_of, outputs
        self._shape = expectation.then.shape[1:]  # of one capture
        self._then = expectation.then.flatten(1, -3)
        self._backend = backend
        self._labels = labels
        self._generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            self._tiles = torch.cat([expectation.tiles(part).flatten(1, -3) for part in torch.split(images, 250)])
            self._reference = expectation.tiles(expectation.images).flatten(1, -3)
        self._noise = self._noise_of(self._reference)
        self._readings = self._maps(self._draw(self._tiles))
        self._kernel = self._kernel_on(self._then)
        self.percent = self._percent(self._maps(self._tiles) + self._readings)
        """Accuracy, or mean IoU, that the twin predicts of the bench as it was, in per cent."""

    @property
    def resolution_points(self) -> float:
        """What one image is worth."""
        return 100 / len(self._labels)

    def ladder(self) -> NDArray[np.float64]:
        """Simulate changes of known kinds: (rungs, 2), how far the alignment fell and the points lost, both rising."""
        rungs = [self._rung(*rung) for rung in _RUNGS]
        rungs.append((0.0, 0.0))
        falls, points = np.array(sorted(rungs)).T
        return np.stack([falls, np.maximum.accumulate(points)], axis=1)

    def still(self, ladder: NDArray[np.float64]) -> list[float]:
        """Predicted losses of benches that stand still: what noise alone makes of a watch, (STILL,), points."""
        found = []
        for _ in range(STILL):
            then, now = (self._reference + self._draw(self._reference) for _ in range(2))
            found.append(self._judge(fit_operator(self._reference, then, now, self._noise), then, now, ladder))
        return [drift.loss_points for drift in found]

    def drift(self, now: Tensor, ladder: NDArray[np.float64]) -> Drift:
        """Say what captures (n, T, [C,] H, W) of the reference images mean."""
        then, now = self._then, now.flatten(1, -3)
        return self._judge(fit_operator(self._reference, then, now, self._noise), then, now, ladder)

    def _judge(self, operator: Operator, then: Tensor, now: Tensor, ladder: NDArray[np.float64]) -> Drift:
        kernel = self._kernel if then is self._then else self._kernel_on(then)
        alignment = float(centred_alignment(self._kernel_on(now), kernel))
        simulated = self._points_of(operator)
        kernel_points = float(np.interp(1 - alignment, ladder[:, 0], ladder[:, 1]))
        moved = operator.shift_taps.norm(dim=1)
        return Drift(
            loss_points=simulated if _explained(operator) else max(simulated, kernel_points),
            simulated_points=simulated,
            kernel_points=kernel_points,
            shift_taps=float(moved.median()),
            farthest_taps=float(moved.max()),
            gain=float(operator.gain.median()),
            gain_spread=float(operator.gain.std()),
            residual=operator.changed,
            unexplained=operator.unexplained,
            ntk_alignment=alignment,
        )

    def _points_of(self, operator: Operator) -> float:
        """What the operator, and what it leaves unexplained as more noise, cost."""
        noise, points = max(1.0, operator.unexplained), 0.0
        for start in range(0, len(self._labels), _PART):
            part = slice(start, start + _PART)
            with torch.no_grad():
                maps = self._maps(operator(self._tiles[part])).add_(self._readings[part], alpha=noise)
            labels = self._labels[part]
            points += len(labels) * score_percent(self._backend, maps, labels)
        return round(self.percent - points / len(self._labels), 9)  # sums of the same parts, in another order

    def _rung(self, shift_taps: float, width_taps: float, dimmed: float) -> tuple[float, float]:
        operator = simple_operator(
            self._shape[0], shift_taps, width_taps, dimmed, colours=len(self.expectation.colours)
        )
        with torch.no_grad():
            now = operator(self._reference) + self._draw(self._reference)
        return 1 - float(centred_alignment(self._kernel_on(now), self._kernel)), self._points_of(operator)

    def _draw(self, tiles: Tensor) -> Tensor:
        """Noise of one capture of tiles."""
        return self._noise_of(tiles) * torch.randn(tiles.shape, generator=self._generator)

    def _kernel_on(self, tiles: Tensor) -> Tensor:
        return empirical_ntk(self._backend, self._maps(tiles), outputs=self._outputs).detach()

    def _percent(self, maps: Tensor) -> float:
        return score_percent(self._backend, maps, self._labels)

    def _maps(self, tiles: Tensor) -> Tensor:
        """Feature maps of tiles (N, T C, H, W)."""
        return self._maps_of(tiles.reshape(-1, *self._shape))

    def _noise_of(self, tiles: Tensor) -> Tensor:
        """Standard deviation of each reading of tiles (N, T C, H, W)."""
        return self.expectation.noise_of(tiles.reshape(-1, *self._shape)).flatten(1, -3)


def simple_operator(tiles: int, shift_taps: float, width_taps: float, dimmed: float, *, colours: int = 1) -> Operator:
    """An operator that moves down and right alike, blurs by a Gaussian, and dims every other tile by a share.

    Of tiles in colour it has as many parts for each.
    """
    at = torch.arange(TAPS) - TAPS // 2
    across = torch.exp(-0.5 * ((at - shift_taps / 2**0.5) / width_taps) ** 2)
    spot = across[:, None] * across[None, :] / across.sum() ** 2
    gains = 1 - dimmed * (torch.arange(tiles) % 2).repeat_interleave(colours)
    kernels = gains[:, None, None] * spot
    kernels[:, TAPS // 2, TAPS // 2] -= 1
    return Operator(kernels, torch.zeros(len(gains)), 1.0, 1.0)


def _explained(operator: Operator) -> bool:
    """Whether the operator says most of what is more than noise."""
    if operator.changed < _NOTICED:
        return True
    return operator.unexplained**2 - 1 <= (1 - TRUSTED) * (operator.changed**2 - 1)
