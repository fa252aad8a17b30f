"""The loop that every training here goes through."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from labonn.errors import TrainingError

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Make everything random inside follow from the seed, and leave the world's randomness as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def shuffled_batches(count: int, batch: int, steps: int) -> Iterator[Tensor]:
    """Indices (batch,) of random batches: epoch after epoch, each item once an epoch, until there were enough steps."""
    size = min(batch, count)
    done = 0
    while True:
        for indices in torch.split(torch.randperm(count), size):
            if done == steps:
                return
            if len(indices) == size:
                yield indices
                done += 1


class Fitting:
    """A training while it goes on: Adam, its one-cycle learning rate, and the losses so far.

    Parameters
    ----------
    parameters
        What is trained: groups, each with the highest learning rate of its cycle.
    steps
        How many there will be.
    weight_decay
        Of each group, decoupled from the gradient; plain Adam where all are 0.
    fabric
        Carries the backward pass to the device; plain torch if there is none.

    Source: Kingma, Ba, arXiv:1412.6980; Loshchilov, Hutter, arXiv:1711.05101, for the decay; Smith, Topin,
    arXiv:1708.07120, for the cycle.
    """

    def __init__(
        self,
        parameters: Sequence[tuple[float, Iterable[nn.Parameter]]],
        *,
        steps: int,
        weight_decay: Sequence[float] | None = None,
        fabric: "Fabric | None" = None,
    ) -> None:
        self.rates = [rate for rate, _ in parameters]
        self.steps = steps
        self.losses: list[float] = []
        groups: list[dict[str, Any]] = [{"params": list(group), "lr": rate} for rate, group in parameters]
        if weight_decay is None or not any(weight_decay):
            self.optimizer: torch.optim.Optimizer = torch.optim.Adam(groups, fused=True)
        else:
            decaying = [group | {"weight_decay": decay} for group, decay in zip(groups, weight_decay, strict=True)]
            self.optimizer = torch.optim.AdamW(decaying, fused=True)
        rise = 0.15 if steps == 10 else 0.1  # where the rise is exactly one step, torch divides by zero
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, self.rates, total_steps=steps, pct_start=rise
        )
        self._fabric = fabric
        self._step: Callable[[], Any] = self.optimizer.step
        if fabric is not None:
            wrapped = fabric.setup_optimizers(self.optimizer)
            assert not isinstance(wrapped, tuple)  # as many as were handed over
            self._step = wrapped.step

    @property
    def progress(self) -> float:
        """Part of the steps that is done, in [0, 1]."""
        return len(self.losses) / self.steps

    def step(self, loss_of: Callable[[], Tensor]) -> None:
        """Go one step down a loss.

        Raises
        ------
        TrainingError
            If the loss is not finite; the parameters are as they were then.
        """
        self.optimizer.zero_grad()
        loss = loss_of()
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss became {loss.item()} at step {len(self.losses) + 1} of {self.steps}: lower the learning"
                f" rate ({', '.join(map(str, self.rates))}), or look for images that are no numbers"
            )
        if self._fabric is None:
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            self._fabric.backward(loss)
        self._step()
        self.schedule.step()
        self.losses.append(loss.item())


def fit(
    parameters: Sequence[tuple[float, Iterable[nn.Parameter]]],
    batches: Iterable[Tensor],
    loss_of: Callable[[Tensor], Tensor],
    *,
    steps: int,
    on_step: Callable[[], None] = lambda: None,
) -> list[float]:
    """Adam with a one-cycle learning rate, one step for each batch.

    Parameters
    ----------
    parameters
        What is trained: groups, each with the highest learning rate of its cycle.
    batches
        Indices of one batch after the other.
    loss_of
        The loss of a batch, a scalar.
    steps
        How many batches there are.
    on_step
        Called after each step.

    Returns
    -------
    The loss of each step.

    Raises
    ------
    TrainingError
        If the loss is not finite.
    """
    fitting = Fitting(parameters, steps=steps)
    for indices in batches:
        fitting.step(lambda: loss_of(indices))  # noqa: B023 (called at once)
        on_step()
    return fitting.losses
