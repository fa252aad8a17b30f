"""How fast a backend can be on named computers: a bound from their data sheets."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from labonn.design.design import Design
from labonn.design.operations import operations, parameters


@dataclass(frozen=True)
class Target:
    """A computer that a backend may run on.

    Attributes
    ----------
    macs_per_s
        The most multiply-accumulates in a second, at this precision.
    bytes_per_s
        From the memory that holds the weights; None where they stay beside what multiplies them.
    weight_bytes
        Of one weight at this precision.
    source
        Where the figures are from.
    """

    macs_per_s: float
    bytes_per_s: float | None
    weight_bytes: int
    source: str


TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        "cortex-m7": Target(
            1.25e8,
            None,
            1,
            "CMSIS-NN on an STM32F7 at 216 MHz, int8: 24.7 million operations in 99.1 ms (Lai, Suda, Chandra,"
            " arXiv:1801.06601, table 2)",
        ),
        "edge-tpu": Target(2e12, None, 1, "Coral accelerator's data sheet, int8: 4 TOPS"),
        "jetson-orin-nano": Target(1e13, 6.8e10, 1, "8 GB module's data sheet, int8, dense: 20 TOPS; 68 GB/s"),
    }
)


def least_latency_ms(design: Design, target: Target) -> float:
    """Give the least time in which a target answers for one image, in ms: for computing, or for reading the weights.

    A bound, not a promise: what a framework adds is not in it.

    Source: Williams, Waterman, Patterson, "Roofline", CACM 52 (2009).
    """
    computing_s = operations(design).digital / target.macs_per_s
    reading_s = 0.0 if target.bytes_per_s is None else parameters(design) * target.weight_bytes / target.bytes_per_s
    return 1e3 * max(computing_s, reading_s)
