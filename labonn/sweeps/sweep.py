"""The sweep file: what is varied, what is done with each variant, how the next one is found."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator, model_validator

from labonn.config import Frozen, read_toml
from labonn.design import Design, load_design
from labonn.errors import ConfigError
from labonn.sweeps.varying import WORLD, check_key, read_world, set_in_world

Value = bool | int | float | str | list[Any]
Figure = Literal[
    "accuracy", "accuracy_low", "test_accuracy", "energy_mj", "optic_mm2", "parameters", "digital_macs",
    "training_s", "accuracy_before", "recovered", "yield",
]  # fmt: skip


class Span(Frozen):
    """Numbers from which a random or an Optuna search draws; a grid takes lists only."""

    low: float
    high: float
    log: bool = False
    step: PositiveFloat | None = Field(None, description="whole numbers, or multiples from low on")

    @model_validator(mode="after")
    def _low_is_below_high(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low = {self.low:g} is not below high = {self.high:g}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log: of positive numbers, and without a step")
        return self

    @property
    def whole(self) -> bool:
        """Whether it holds whole numbers."""
        return self.step is not None and all(float(value).is_integer() for value in (self.low, self.step))


class Resources(Frozen):
    """What a trial may take."""

    cpus: PositiveInt = 1
    memory_gb: PositiveFloat = 4.0
    minutes: PositiveFloat | None = Field(None, description="after which it is ended; as long as it takes by default")


class Sweep(Frozen):
    """A search over keys of a design, a world or a training."""

    schema_: Literal[1] = Field(alias="schema")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,60}$")
    design: str = Field(description="a design file, found from the sweep file's folder, or a shipped design's name")
    does: Literal["estimate", "train", "fabricate"] = "estimate"
    search: Literal["grid", "random", "optuna"] = "grid"
    trials: PositiveInt | None = Field(None, description="of a random or an Optuna search; a grid makes all")
    together: PositiveInt = Field(8, description="trials that Optuna proposes at once, before it sees their results")
    seed: NonNegativeInt = 0
    images: PositiveInt | None = Field(None, description="first training images that are used; all by default")
    fit_optic: bool = Field(False, description="make the optic's aperture as large as its kernels need, and no larger")
    bench: str | None = Field(None, description="of a fabrication, the simulated bench's file")
    draws: PositiveInt = Field(4, description="of a fabrication, worlds that are drawn for each trial")
    wanted_accuracy: PositiveFloat | None = Field(None, description="of a fabrication, per cent that count as a yield")
    trial: Resources = Resources()
    keys: dict[str, tuple[Value, ...] | Span]
    goals: dict[Figure, Literal["max", "min"]] = Field(
        default={"accuracy": "max", "energy_mj": "min", "optic_mm2": "min"}, min_length=1
    )

    @field_validator("keys", mode="before")
    @classmethod
    def _dotted(cls, keys: Any) -> Any:
        """``design.optic.kernels = [4, 8]`` is a table in a table for TOML, and one key for us."""
        return dict(_flat(keys)) if isinstance(keys, Mapping) else keys

    @model_validator(mode="after")
    def _search_fits_keys(self) -> Self:
        if not self.keys:
            raise ValueError("[keys] is empty: name at least one key, as in design.optic.kernels = [4, 8, 16]")
        spans = [key for key, values in self.keys.items() if isinstance(values, Span)]
        if self.search == "grid" and spans:
            raise ValueError(f"keys.{spans[0]}: a grid takes lists of values, not low and high")
        if self.search != "grid" and self.trials is None:
            raise ValueError(f'trials is missing: search = "{self.search}" makes as many as are asked for')
        if any(not values for values in self.keys.values() if not isinstance(values, Span)):
            raise ValueError("keys: a list is empty")
        if self.does == "fabricate" and self.bench is None:
            raise ValueError('does = "fabricate" needs the file of a simulated bench: bench')
        return self

    @property
    def digest(self) -> str:
        """What tells its results from those of another sweep; what a trial may take does not count."""
        content = self.model_dump(mode="json", by_alias=True, exclude={"trial", "design"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class ReadSweep(Frozen):
    """A sweep with the design that it varies."""

    sweep: Sweep
    design: Design

    @property
    def digest(self) -> str:
        """Of both."""
        content = self.design.model_dump_json(by_alias=True)
        return hashlib.sha256(f"{self.sweep.digest} {content}".encode()).hexdigest()


def read_sweep(path: Path) -> ReadSweep:
    """Read and check a sweep file and the design that it names.

    Raises
    ------
    ConfigError
        If one of them is wrong, or a key is none of a design, a world or a training.
    """
    sweep = read_toml(path, Sweep)
    named = path.parent / sweep.design if sweep.design.endswith(".toml") else sweep.design
    design = load_design(named)
    for key in sweep.keys:
        try:
            check_key(key, fabricates=sweep.does == "fabricate")
        except ConfigError as error:
            raise ConfigError(f"{path}: keys.{key}: {error}") from error
    if sweep.bench is not None:
        bench = (path.parent / sweep.bench).resolve()
        if not bench.is_file():
            raise ConfigError(f"{path}: bench = {sweep.bench!r}: there is no such file")
        _check_world(path, sweep, bench)
        sweep = sweep.model_copy(update={"bench": str(bench)})
    return ReadSweep(sweep=sweep, design=design)


def _check_world(path: Path, sweep: Sweep, bench: Path) -> None:
    _, world = read_world(bench)
    for key in sweep.keys:
        if key.startswith(WORLD):
            try:
                set_in_world(world, key, None)
            except ConfigError as error:
                raise ConfigError(f"{path}: keys.{key}: {error}") from error


def _flat(keys: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in keys.items():
        if isinstance(value, Mapping) and not {"low", "high"} & value.keys():
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value
