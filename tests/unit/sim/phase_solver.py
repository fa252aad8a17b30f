"""A small phase search for tests: gradient descent on Fraunhofer diffraction, as a textbook has it.

Source: Goodman, Introduction to Fourier Optics, 3rd ed., eq. 5-14, for the field in a lens's focal plane.
"""

import numpy as np
import torch
from numpy.typing import NDArray

SIDE, PITCH_UM, FOCAL_UM, WAVELENGTH_UM = 256, 8.0, 50e3, 0.532
TAP_UM, PER_TAP, MARGIN = 26.0, 4, 2


def solve_phase(kernel: NDArray[np.float64], steps: int = 120) -> NDArray[np.float32]:
    """Phase in radians, (256, 256), whose PSF is the kernel, (taps, taps), upright and centred."""
    taps = len(kernel)
    window = taps + 2 * MARGIN
    u_um = (np.arange(SIDE) - (SIDE - 1) / 2) * PITCH_UM
    x_um = (np.arange(window * PER_TAP) - (window * PER_TAP - 1) / 2) * TAP_UM / PER_TAP
    transform = torch.tensor(np.exp(-2j * np.pi / (WAVELENGTH_UM * FOCAL_UM) * np.outer(x_um, u_um)))
    transform = transform.to(torch.complex64)
    wanted = torch.tensor(np.pad(kernel / kernel.sum(), MARGIN), dtype=torch.float32)
    bowl = np.pi * taps * TAP_UM / 2 / (WAVELENGTH_UM * FOCAL_UM * SIDE * PITCH_UM / 2)
    start = bowl * (u_um[:, None] ** 2 + u_um[None, :] ** 2) + 0.3 * np.random.default_rng(0).standard_normal(
        (SIDE, SIDE)
    )
    phase = torch.tensor(start, dtype=torch.float32, requires_grad=True)
    optimizer = torch.optim.Adam([phase], lr=0.1)
    for _ in range(steps):
        field = transform @ torch.polar(torch.ones_like(phase), phase) @ transform.T
        power = field.real**2 + field.imag**2
        cells = power.reshape(window, PER_TAP, window, PER_TAP).sum(dim=(1, 3)) / SIDE**4
        share = cells / cells.sum()
        loss = ((share - wanted) ** 2).sum() / (wanted**2).sum() - 0.02 * cells.sum().log()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return phase.detach().numpy()
