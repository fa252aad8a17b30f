"""From kernels to the phase pattern that realises them: one square of the SLM for each point spread function."""

from collections.abc import Callable
from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor

from labonn.design import Layout
from labonn.errors import ConfigError

SAMPLES_PER_TAP = 4  # at the nominal bench a sample is 6.5 um, the Nyquist step of a PSF of 13 um
MARGIN_TAPS = 2  # light here would blur the kernel, so the target is dark there
BLUR_PENALTY = 0.02  # weight of lost light against shape: 1 % of shape error is worth about half of the light


@dataclass(frozen=True)
class Pupil:
    """The optics between a sub-aperture of the SLM and its tile on the sensor."""

    wavelength_nm: float
    slm_pitch_um: float
    focal_mm: float
    tap_um: float  # on the sensor

    def pixels(self, kernel_mm: float) -> int:
        """The SLM pixels along the side of a sub-aperture; ConfigError if it is not a whole number of them."""
        exact = kernel_mm * 1e3 / self.slm_pitch_um
        if abs(exact - round(exact)) > 1e-6:
            raise ConfigError(
                f"[optic] kernel_mm = {kernel_mm} is {exact:.2f} pixels of an SLM with {self.slm_pitch_um} um"
            )
        return round(exact)


@dataclass(frozen=True)
class PhaseSolution:
    """A phase pattern and how well it realises its kernels.

    Attributes
    ----------
    pattern_rad
        (H, W) float32 in [0, 2 pi), the whole SLM; 0 outside the sub-apertures.
    target, realised
        (T, taps, taps) float32, the PSFs on the sensor, each of sum one within its taps.
    correlation
        (T,) Pearson correlation of realised and target taps.
    relative_error
        (T,) norm of the difference over the norm of the target, after the best scale.
    efficiency
        (T,) part of the sub-aperture's light that falls on its taps.
    """

    pattern_rad: Tensor
    target: Tensor
    realised: Tensor
    correlation: Tensor
    relative_error: Tensor
    efficiency: Tensor


def solve_phase_pattern(
    kernels: Tensor,
    layout: Layout,
    pupil: Pupil,
    slm_shape: tuple[int, int],
    *,
    steps: int = 150,
    seed: int = 0,
    on_step: Callable[[], None] = lambda: None,
) -> PhaseSolution:
    r"""Find the phase pattern whose PSFs are the kernels, by gradient descent on the phase of every SLM pixel.

    A sub-aperture with phase phi has the PSF |sum_u exp(i phi(u)) exp(-2 pi i x u / (lambda f))|^2 in the focal plane
    of its lenslet; it is evaluated on a window a few taps wider than the kernel, by two small matrix products instead
    of a transform of the whole plane, and summed over each tap's cell.

    Parameters
    ----------
    kernels
        (T, taps, taps) float32, non-negative: what the student *correlates* the image with. The optics convolve, so the
        PSF is the kernel turned by 180 degrees.
    layout
        Where the sub-apertures stand.
    pupil
        Wavelength, pitch, focal length, tap.
    slm_shape
        (H, W) of the SLM, pixels.
    steps
        Adam steps.
    seed
        For the starting pattern.
    on_step
        Called after each step.

    Raises
    ------
    ConfigError
        If the sub-apertures do not fit the SLM, or a kernel is not a whole number of its pixels.

    Source: Goodman, "Introduction to Fourier optics", 3rd ed., eq. 5-14, for the focal plane; Soummer et al., Opt.
    Express 15, 15935 (2007), for the transform by matrix products.
    """
    side_px = pupil.pixels(layout.optic.kernel_mm)
    corners = _corners_px(layout, pupil, slm_shape, side_px)
    taps = kernels.shape[-1]
    psf = torch.flip(kernels.detach(), dims=(-2, -1))
    target = psf / psf.sum(dim=(1, 2), keepdim=True).clamp_min(1e-12)

    window = taps + 2 * MARGIN_TAPS
    transform, light = _focal_transform(side_px, window, pupil)
    wanted = torch.zeros(len(target), window, window)
    inner = slice(MARGIN_TAPS, MARGIN_TAPS + taps)
    wanted[:, inner, inner] = target

    def taps_of(phase_rad: Tensor) -> Tensor:
        field = transform @ torch.polar(torch.ones_like(phase_rad), phase_rad) @ transform.T
        cells = (field.real.square() + field.imag.square()) * light
        return cells.reshape(-1, window, SAMPLES_PER_TAP, window, SAMPLES_PER_TAP).sum(dim=(2, 4))

    phase_rad = _spreading_phase(len(target), side_px, taps, pupil, seed).requires_grad_()
    optimizer = torch.optim.Adam([phase_rad], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        shown = taps_of(phase_rad)
        error = _relative_error(shown, wanted)
        efficiency = shown[:, inner, inner].sum(dim=(1, 2))
        loss = (error.square() - BLUR_PENALTY * efficiency.log()).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        on_step()

    with torch.no_grad():
        shown = taps_of(phase_rad)
        realised = shown[:, inner, inner]
        efficiency = realised.sum(dim=(1, 2))
        pattern_rad = torch.zeros(slm_shape)
        for (top, left), square in zip(corners, phase_rad % (2 * pi), strict=True):
            pattern_rad[top : top + side_px, left : left + side_px] = square
        return PhaseSolution(
            pattern_rad=pattern_rad,
            target=target,
            realised=realised / efficiency[:, None, None],
            correlation=_correlation(realised, target),
            relative_error=_relative_error(realised, target),
            efficiency=efficiency,
        )


@torch.no_grad()
def kernels_of_pattern(
    pattern_rad: Tensor, layout: Layout, pupil: Pupil, taps: int, *, defocus_waves: float = 0.0
) -> Tensor:
    """The kernels that a phase pattern realises, in focus or out of it: what the student would correlate with.

    Parameters
    ----------
    pattern_rad
        (H, W) of the SLM.
    layout
        Where the sub-apertures stand.
    pupil
        Wavelength, pitch, focal length, tap.
    taps
        Side of the square that is looked at, odd.
    defocus_waves
        A phase that grows with the square of the distance from a sub-aperture's middle, root mean square over it.

    Returns
    -------
    (T, taps, taps) float32: parts of a sub-aperture's light.

    Raises
    ------
    ConfigError
        If the sub-apertures do not fit the SLM, or a kernel is not a whole number of its pixels.
    """
    side_px = pupil.pixels(layout.optic.kernel_mm)
    corners = _corners_px(layout, pupil, (pattern_rad.shape[0], pattern_rad.shape[1]), side_px)
    transform, light = _focal_transform(side_px, taps, pupil)
    u = torch.linspace(-1, 1, side_px)
    bowl = u[:, None].square() + u[None, :].square()
    bowl = (bowl - bowl.mean()) / bowl.std()
    kernels = []
    for top, left in corners:
        phase_rad = pattern_rad[top : top + side_px, left : left + side_px] + 2 * pi * defocus_waves * bowl
        field = transform @ torch.polar(torch.ones_like(phase_rad), phase_rad) @ transform.T
        cells = (field.real.square() + field.imag.square()) * light
        kernels.append(cells.reshape(taps, SAMPLES_PER_TAP, taps, SAMPLES_PER_TAP).sum(dim=(1, 3)))
    return torch.flip(torch.stack(kernels), dims=(-2, -1))


def _corners_px(layout: Layout, pupil: Pupil, slm_shape: tuple[int, int], side_px: int) -> list[tuple[int, int]]:
    """Top left pixel of each sub-aperture on an SLM whose centre is the optic's."""
    corners = []
    for sub_aperture in layout.sub_apertures:
        top, left = (
            round(extent / 2 + centre_mm * 1e3 / pupil.slm_pitch_um - side_px / 2)
            for extent, centre_mm in zip(slm_shape, sub_aperture.centre_mm, strict=True)
        )
        if min(top, left) < 0 or top + side_px > slm_shape[0] or left + side_px > slm_shape[1]:
            raise ConfigError(
                f"sub-aperture {sub_aperture.index} at {sub_aperture.centre_mm} mm does not fit an SLM of "
                f"{slm_shape[0]} x {slm_shape[1]} pixels of {pupil.slm_pitch_um} um: "
                "is it the right bench for this design?"
            )
        corners.append((top, left))
    return corners


def _focal_transform(side_px: int, window: int, pupil: Pupil) -> tuple[Tensor, float]:
    """The matrix from SLM pixels to focal samples along one axis, and the light that |field|^2 = 1 stands for."""
    wavelength_um, focal_um = pupil.wavelength_nm * 1e-3, pupil.focal_mm * 1e3
    step_um = pupil.tap_um / SAMPLES_PER_TAP
    u_um = (torch.arange(side_px, dtype=torch.float64) - (side_px - 1) / 2) * pupil.slm_pitch_um
    samples = window * SAMPLES_PER_TAP
    x_um = (torch.arange(samples, dtype=torch.float64) - (samples - 1) / 2) * step_um
    angle = -2 * pi / (wavelength_um * focal_um) * torch.outer(x_um, u_um)
    transform = torch.polar(torch.ones_like(angle), angle).to(torch.complex64)
    period_um = wavelength_um * focal_um / pupil.slm_pitch_um  # Parseval: over a period the light sums to side_px ** 2
    return transform, (step_um / (period_um * side_px)) ** 2


def _spreading_phase(count: int, side_px: int, taps: int, pupil: Pupil, seed: int) -> Tensor:
    """Start from defocus that spreads the light over the kernel, slightly different in each sub-aperture."""
    generator = torch.Generator().manual_seed(seed)
    u_um = (torch.arange(side_px) - (side_px - 1) / 2) * pupil.slm_pitch_um
    half_um, half_window_um = side_px * pupil.slm_pitch_um / 2, taps * pupil.tap_um / 2
    curvature = pi * half_window_um / (pupil.wavelength_nm * 1e-3 * pupil.focal_mm * 1e3 * half_um)
    bowl = curvature * (u_um[:, None].square() + u_um[None, :].square())
    return bowl + 0.3 * torch.randn(count, side_px, side_px, generator=generator)


def _relative_error(shown: Tensor, wanted: Tensor) -> Tensor:
    """||shown - a wanted|| / ||a wanted|| with the best a, (T,)."""
    overlap, power = (shown * wanted).sum(dim=(1, 2)), wanted.square().sum(dim=(1, 2))
    ratio = shown.square().sum(dim=(1, 2)) * power / overlap.square().clamp_min(1e-20)
    return (ratio - 1).clamp_min(1e-12).sqrt()


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson correlation over the taps, (T,)."""
    a, b = (x.flatten(1) - x.flatten(1).mean(dim=1, keepdim=True) for x in (a, b))
    return (a * b).sum(dim=1) / torch.sqrt(a.square().sum(dim=1) * b.square().sum(dim=1)).clamp_min(1e-12)
