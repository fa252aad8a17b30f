"""The kernels that a network's phase pattern gives out of focus, for attributing what went wrong on its bench."""

import torch

from labonn.compensation import FocusSeries
from labonn.compensation.twin_basis import KERNEL_TAPS
from labonn.instruments import BenchConfig
from labonn.optics import Pupil, kernels_of_pattern
from labonn.protocol.deployment import Deployment

DEFOCUS_WAVES = (-0.9, -0.7, -0.5, -0.35, -0.2, -0.1, 0.0, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)


def focus_series(network: Deployment, bench: BenchConfig, slm_pitch_um: float) -> FocusSeries | None:
    """Compute what each sub-aperture would show at several distances from focus; takes about a second.

    None where the network has no pattern: a fixed optic is known by its kernels in focus alone.

    Parameters
    ----------
    network
        Its pattern and its designed kernels are used.
    bench
        Wavelength, focal length, tap.
    slm_pitch_um
        Of the SLM that shows the pattern.
    """
    if network.pattern_rad is None:
        return None
    geometry = bench.geometry
    pupil = Pupil(geometry.wavelength_nm, slm_pitch_um, geometry.focal_mm, geometry.tap_um)
    pattern_rad, designed = torch.from_numpy(network.pattern_rad), network.student.frontend.kernels().detach()
    kernels = [
        kernels_of_pattern(pattern_rad, network.layout, pupil, KERNEL_TAPS, defocus_waves=waves)
        for waves in DEFOCUS_WAVES
    ]
    return FocusSeries.of(DEFOCUS_WAVES, torch.stack(kernels), designed)
