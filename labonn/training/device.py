"""Where a training runs: Lightning Fabric carries the device, the precision and the processes."""

import os
import warnings
from typing import Literal, get_args

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

from labonn.errors import ConfigError

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


def make_fabric(device: str = "auto", precision: str = "32-true") -> Fabric:
    """Take a device: the named one, or the best there is; and, under ``torchrun``, this process's part of the work.

    Parameters
    ----------
    device
        ``auto``, ``cpu`` or ``cuda``.
    precision
        Of the networks' calls: ``32-true``, ``bf16-mixed`` or ``16-mixed``. Optics, sensor and kernels are computed in
        single precision all the same.

    Raises
    ------
    ConfigError
        If there is no such device or precision.
    """
    if device not in get_args(Device) or precision not in get_args(Precision):
        raise ConfigError(
            f"device = {device!r}, precision = {precision!r}: known are {', '.join(get_args(Device))}, and"
            f" {', '.join(get_args(Precision))}"
        )
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    # Of the hints, the last layer has no gradient at first, and of a kernel the last bias never has one.
    strategy = DDPStrategy(find_unused_parameters=True) if processes > 1 else "auto"
    try:
        with warnings.catch_warnings(action="ignore"):  # that there is a GPU which was not asked for
            fabric = Fabric(accelerator=device, devices=processes, strategy=strategy, precision=precision)  # type: ignore[arg-type]
            fabric.launch()
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"device = {device!r}: cannot be used here: {error}") from error
    return fabric


def slow_because(fabric: Fabric, precision: str) -> str | None:
    """What makes a precision a bad choice on this device, in words; None where nothing does."""
    if fabric.device.type != "cpu" or not precision.startswith("bf16"):
        return None
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():  # torch has no other name for it
        return None
    return "this processor has no bfloat16: --precision bf16-mixed is several times slower here; leave it out"
