"""Where a training stands, on disk: what was killed goes on from there, and ends as if nothing had happened."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from labonn.errors import ConfigError, RecordError
from labonn.records.disk import write_atomically
from labonn.training.fitting import Fitting

SCHEMA = "1"


class Checkpoint:
    """One file with weights, optimiser, schedule and random state of a training; safetensors, nothing is unpickled.

    Parameters
    ----------
    path
        The file; it is replaced as a whole.
    training
        What the training is: its design, method, seed, teacher, data. A file of another one is refused.
    every_s
        How long ago the last one has to be for `due`.
    """

    def __init__(self, path: Path, training: Mapping[str, Any], *, every_s: float = 30.0) -> None:
        self.path = path
        self._training = json.loads(json.dumps(training))
        self._every_s = every_s
        self._written_s = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the last one is long enough ago."""
        return time.monotonic() - self._written_s >= self._every_s

    def write(self, modules: Mapping[str, nn.Module], fitting: Fitting, notes: Mapping[str, Any]) -> None:
        """Keep the state after a whole epoch.

        Parameters
        ----------
        modules
            By name, whose weights are part of the state.
        fitting
            Optimiser, schedule and losses.
        notes
            Anything that JSON can hold, handed back by `restore`.

        Raises
        ------
        RecordError
            If the disk refuses; the earlier file stands then.
        """
        state = fitting.optimizer.state_dict()
        tensors = {f"{name}/{key}": value for name, module in modules.items() for key, value in _weights(module)}
        for place, values in state["state"].items():
            tensors |= {f"optimizer/{place}/{key}": torch.as_tensor(value) for key, value in values.items()}
        tensors |= {f"random/{name}": value for name, value in _random_state().items()}
        tensors["losses"] = torch.tensor(fitting.losses, dtype=torch.float64)
        described = {
            "training": self._training,
            "groups": state["param_groups"],
            "schedule": fitting.schedule.state_dict(),
            "notes": notes,
        }
        whole = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        write_atomically(self.path, save(whole, {"schema": SCHEMA, "state": json.dumps(described)}))
        self._written_s = time.monotonic()

    def restore(self, modules: Mapping[str, nn.Module], fitting: Fitting) -> dict[str, Any] | None:
        """Put everything into the state that was kept, and torch's randomness too; gives the notes, None without file.

        Raises
        ------
        ConfigError
            If the file is of another training; the message says in what they differ.
        RecordError
            If it is damaged.
        """
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, "pt") as file:
                described = json.loads(file.metadata()["state"])
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
            self._same_training(described["training"])
            for name, module in modules.items():
                module.load_state_dict(_under(tensors, f"{name}/"))
            places: dict[int, dict[str, Tensor]] = {}
            for key, value in _under(tensors, "optimizer/").items():
                place, _, what = key.partition("/")
                places.setdefault(int(place), {})[what] = value
            groups = [group | {"betas": tuple(group["betas"])} for group in described["groups"]]
            fitting.optimizer.load_state_dict({"state": places, "param_groups": groups})
            fitting.schedule.load_state_dict(described["schedule"])
            fitting.losses[:] = tensors["losses"].tolist()
            _set_random_state(_under(tensors, "random/"))
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise RecordError(
                f"{self.path}: cannot be read as the checkpoint of a training ({error}): "
                "begin anew with --fresh, or restore the file"
            ) from error
        notes: dict[str, Any] = described["notes"]
        return notes

    def remove(self) -> None:
        """Forget what was kept."""
        self.path.unlink(missing_ok=True)

    def _same_training(self, found: Mapping[str, Any]) -> None:
        differing = [key for key in {**found, **self._training} if found.get(key) != self._training.get(key)]
        if differing:
            raise ConfigError(
                f"{self.path}: is the checkpoint of another training, with another {', '.join(differing)}: "
                "begin anew with --fresh, or take back what was changed"
            )


def _weights(module: nn.Module) -> list[tuple[str, Tensor]]:
    return list(module.state_dict().items())


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _random_state() -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _set_random_state(state: Mapping[str, Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
