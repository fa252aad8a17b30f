"""What goes on beside a training: on which device it runs, who is told, what is kept of it."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from labonn.errors import ConfigError
from labonn.training.checkpoint import Checkpoint
from labonn.training.fitting import Fitting

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Notes = dict[str, list[float]]


@dataclass(frozen=True)
class Course:
    """The course of one training.

    Attributes
    ----------
    fabric
        Device, precision and processes; plain torch on the CPU if there is none.
    on_step
        Called after each step.
    on_loss
        Called after each step with its loss.
    on_epoch
        Called after each epoch with the losses so far; what it gives is noted, and kept in the checkpoint.
    checkpoint
        Where the state is kept; nowhere if there is none.
    checkpoint_s
        From one checkpoint to the next, at least.
    """

    fabric: "Fabric | None" = None
    on_step: Callable[[], None] = lambda: None
    on_loss: Callable[[float], None] = lambda loss: None
    on_epoch: Callable[[list[float]], Mapping[str, float]] = lambda losses: {}
    checkpoint: Checkpoint | None = None
    checkpoint_s: float = 30.0

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.fabric is None or self.fabric.is_global_zero

    def wait(self) -> None:
        """Wait for the other processes."""
        if self.fabric is not None:
            self.fabric.barrier()

    def one_after_another(self) -> AbstractContextManager[None]:
        """Let the first process go through the context before the others do."""
        return nullcontext() if self.fabric is None else self.fabric.rank_zero_first()

    @property
    def device(self) -> torch.device:
        """Where tensors have to be."""
        return torch.device("cpu") if self.fabric is None else self.fabric.device

    def share(self, batch: int) -> slice | None:
        """Which images of each batch are this process's; None where there is but one process.

        Raises
        ------
        ConfigError
            If the batch cannot be shared equally.
        """
        if self.fabric is None or self.fabric.world_size == 1:
            return None
        processes = self.fabric.world_size
        if batch % processes:
            raise ConfigError(f"a batch of {batch} images cannot be shared equally by {processes} processes")
        own = batch // processes
        return slice(self.fabric.global_rank * own, (self.fabric.global_rank + 1) * own)

    def prepared(self, module: nn.Module) -> nn.Module:
        """The module on its device, whose calls run in the precision asked for and are joined over the processes."""
        if self.fabric is None:
            return module
        moved: nn.Module = self.fabric.setup_module(module)
        return moved

    def follow(
        self,
        fitting: Fitting,
        loss_of: Callable[[Tensor, float], Tensor],
        batches: Callable[[int], Iterable[Tensor]],
        modules: Mapping[str, nn.Module],
        *,
        epoch_steps: int,
    ) -> Notes:
        """Train to the end, from the checkpoint on if there is one.

        Parameters
        ----------
        fitting
            Optimiser and schedule.
        loss_of
            The loss of a batch's indices at a progress in [0, 1].
        batches
            As many batches as it is asked for.
        modules
            By name, what is trained.
        epoch_steps
            Steps in an epoch.

        Raises
        ------
        TrainingError
            If the loss is not finite.
        ConfigError, RecordError
            As `Checkpoint.restore` and `Checkpoint.write` do.
        """
        notes: Notes = {}
        if self.checkpoint is not None:
            notes = self.checkpoint.restore(modules, fitting) or {}
        for _ in range(len(fitting.losses)):
            self.on_step()
        for indices in batches(fitting.steps - len(fitting.losses)):
            fitting.step(lambda: loss_of(indices, fitting.progress))  # noqa: B023 (called at once)
            self.on_step()
            self.on_loss(fitting.losses[-1])
            if len(fitting.losses) % epoch_steps == 0:
                for name, value in self.on_epoch(fitting.losses).items():
                    notes.setdefault(name, []).append(value)
                if self.checkpoint is not None and self.first and self.checkpoint.due:
                    self.checkpoint.write(modules, fitting, notes)
        return notes
