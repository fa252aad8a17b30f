"""Whether light can draw a kernel's taps apart."""

from labonn.design.design import Optic
from labonn.errors import ConfigError


def diffraction_um(optic: Optic, *, focal_mm: float, tap_um: float) -> float:
    r"""How wide a sub-aperture blurs a point on the sensor: lambda f / D, of the longest wavelength.

    Parameters
    ----------
    optic
        D is its ``kernel_mm``.
    focal_mm
        f, from the optic to the sensor.
    tap_um
        Distance on the sensor between neighbouring taps.

    Raises
    ------
    ConfigError
        If it is more than a tap: no pattern on the sub-aperture gives such a kernel then.

    Source: Goodman, "Introduction to Fourier optics", 3rd ed., section 4.4.1: first zero of a square aperture.
    """
    longest_nm = max(optic.wavelengths_nm)
    blur_um = longest_nm * 1e-3 * focal_mm / optic.kernel_mm
    if blur_um > tap_um:
        raise ConfigError(
            f"a sub-aperture of {optic.kernel_mm} mm at f = {focal_mm:g} mm blurs {longest_nm:g} nm over {blur_um:.1f}"
            f" um, more than a tap of {tap_um:g} um, so that no light is shaped like its kernels: a larger [optic]"
            " kernel_mm, or a bench with larger taps (tap_um) or a shorter focal length (focal_mm)"
        )
    return blur_um
