"""What one image costs in energy: capturing it, and computing on what was captured."""

from dataclasses import dataclass
from itertools import pairwise
from math import prod

from pydantic import NonNegativeFloat

from labonn.config import Frozen
from labonn.design.decoder import convolutions
from labonn.design.design import Design
from labonn.design.operations import dense_widths, operations

BAYER_CELL = 4  # photosites, of which one is of the rarest colour


class EnergyModel(Frozen):
    r"""Energy of an image: E = exposures e_frame + photosites e_photosite + MACs e_mac.

    A frame costs the sensor's clock and bias whatever its size, a photosite its conversion and its way out, and a
    multiply-accumulate its own, memory included. What light computes costs nothing.

    The defaults reproduce the source's table from its counts. 239 MMAC and a capture are 7.37 + 2.36 = 9.73 mJ, 65 MMAC
    and the capture of 112 tiles 2.01 + 3.82 = 5.83 mJ, 65.9 GMAC and a capture 2.04 J: so a MAC is 30.85 pJ (all round
    as printed from 30.846 to 30.858). Of the captures the source has totals only. The split is ours: tiles of 160 x 240
    photosites, one for the networks, 112 for the hybrid.

    Source: Xiang et al., arXiv:2508.08421, the table of energies.
    """

    mac_pj: NonNegativeFloat = 30.85
    frame_mj: NonNegativeFloat = 2.347
    photosite_pj: NonNegativeFloat = 342.5

    def capture_mj(self, photosites: int, exposures: int = 1) -> float:
        """Of one image, in mJ: the photosites of all its exposures."""
        return exposures * self.frame_mj + photosites * self.photosite_pj * 1e-9

    def compute_mj(self, macs: int) -> float:
        """Of so many multiply-accumulates, in mJ."""
        return macs * self.mac_pj * 1e-9


@dataclass(frozen=True)
class LayerCost:
    """A layer of the backend, for one image."""

    layer: str
    macs: int
    parameters: int


@dataclass(frozen=True)
class Energy:
    """What one image costs, in mJ."""

    capture_mj: float
    backend_mj: float
    photosites: int
    """Read by the sensor for one image, over all its exposures."""

    @property
    def total_mj(self) -> float:
        """Capture and backend."""
        return self.capture_mj + self.backend_mj


def energy(design: Design, model: EnergyModel | None = None) -> Energy:
    """Estimate a design's energy for one image; the electronic additions beside its MACs are not charged."""
    model = model or EnergyModel()
    read = photosites(design)
    return Energy(
        model.capture_mj(read, design.exposures), model.compute_mj(operations(design).digital), photosites=read
    )


def photosites(design: Design) -> int:
    """Photosites that the sensor reads for one image: those of every tile, the kernels' blur at its edge included."""
    optic, sensor = design.optic, design.sensor
    tile = prod(side + optic.taps - 1 for side in design.image_shape)
    cell = BAYER_CELL if len(optic.wavelengths_nm) > 1 else 1
    return round(optic.sub_apertures * tile * sensor.pixels_per_tap * cell)


def layer_costs(design: Design) -> tuple[LayerCost, ...]:
    """Count multiply-accumulates and parameters of each of the backend's layers, in their order."""
    if design.backend.kind == "upconv":
        return tuple(
            LayerCost(f"{number}: {one.taps}x{one.taps}, {one.inputs} to {one.outputs}", one.macs, one.parameters)
            for number, one in enumerate(convolutions(design), 1)
        )
    return tuple(
        LayerCost(f"{number}: dense, {inner} to {outer}", inner * outer, (inner + 1) * outer)
        for number, (inner, outer) in enumerate(pairwise(dense_widths(design)), 1)
    )
