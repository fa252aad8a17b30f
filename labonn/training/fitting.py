"""The loop that every training here goes through."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from labonn.errors import TrainingError


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
    optimizer = torch.optim.Adam([{"params": list(group), "lr": rate} for rate, group in parameters], fused=True)
    rates = [rate for rate, _ in parameters]
    rise = 0.15 if steps == 10 else 0.1  # where the rise is exactly one step, torch divides by zero
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps, pct_start=rise)
    losses: list[float] = []
    for indices in batches:
        optimizer.zero_grad()
        loss = loss_of(indices)
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss became {loss.item()} at step {len(losses) + 1} of {steps}: "
                f"lower the learning rate ({', '.join(map(str, rates))}), or look for images that are no numbers"
            )
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        on_step()
    return losses
