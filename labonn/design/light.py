"""What light allows a design on a bench: spectrum, focus, reach, and how much of it arrives."""

from dataclasses import dataclass
from math import pi, sin

from scipy.special import sici

from labonn.design.design import Optic
from labonn.design.resolution import diffraction_um
from labonn.errors import ConfigError


@dataclass(frozen=True)
class LightLimits:
    """How a sub-aperture images on a bench, at the wavelength that is worst."""

    diffraction_um: float
    """From a spot's middle to its first dark line."""
    spot_in_tap: float
    """Part of a spot's light that falls into its own tap: no kernel is more efficient."""
    dispersion_um: float
    """How wide the light's spectrum blurs a point."""
    bandwidth_allowed_nm: float
    """At which that would be a whole tap."""
    depth_of_focus_um: float
    """How far the sensor may stand from the focus, to either side."""
    reach_taps: float | None
    """Taps across the field that the optic's pixels can steer to; None where nothing is known of pixels."""


def light_limits(optic: Optic, *, focal_mm: float, tap_um: float, pixel_um: float | None = None) -> LightLimits:
    r"""Say what light allows, and refuse what it forbids.

    With N = f / D of a sub-aperture: a spot is lambda N wide, and a tap holds what `spot_in_tap` says of it; the focal
    length of a pattern goes with 1 / lambda, so that a spectrum of full width B blurs D B / (2 lambda); a quarter of a
    wave is lost at +- 2 lambda N^2 from the focus; pixels of pitch p steer to +- lambda f / (2 p).

    Parameters
    ----------
    optic
        D is its ``kernel_mm``, B its ``bandwidth_nm``.
    focal_mm
        f, from the optic to the sensor.
    tap_um
        Distance on the sensor between neighbouring taps.
    pixel_um
        p of the optic, an SLM's pitch.

    Raises
    ------
    ConfigError
        If a spot, or what the spectrum makes of a point, is wider than a tap, or a kernel wider than the pixels reach.

    Source: Goodman, "Introduction to Fourier optics", 3rd ed., sections 4.4.1 and 6.4.4; Born, Wolf, "Principles of
    optics", 7th ed., section 8.8.2; O'Shea et al., "Diffractive optics", SPIE 2004, chapter 4, for f ~ 1 / lambda.
    """
    spot_um = diffraction_um(optic, focal_mm=focal_mm, tap_um=tap_um)
    shortest_nm = min(optic.wavelengths_nm)
    aperture_um, stop = optic.kernel_mm * 1e3, focal_mm / optic.kernel_mm
    dispersion_um = aperture_um * optic.bandwidth_nm / (2 * shortest_nm)
    allowed_nm = 2 * shortest_nm * tap_um / aperture_um
    if dispersion_um > tap_um:
        raise ConfigError(
            f"light of {shortest_nm:g} nm with bandwidth_nm = {optic.bandwidth_nm:g} blurs a point over"
            f" {dispersion_um:.1f} um behind a sub-aperture of {optic.kernel_mm} mm, more than a tap of {tap_um:g} um:"
            f" at most {allowed_nm:.1f} nm, a smaller [optic] kernel_mm, or a bench with larger taps"
        )
    reach = None
    if pixel_um is not None:
        reach = shortest_nm * 1e-3 * focal_mm * 1e3 / (pixel_um * tap_um)
        if optic.taps > reach:
            raise ConfigError(
                f"a kernel of {optic.taps} taps of {tap_um:g} um is wider than the {reach:.1f} taps to which pixels of"
                f" {pixel_um:g} um steer {shortest_nm:g} nm at f = {focal_mm:g} mm: fewer taps, a longer focal length,"
                " or smaller pixels"
            )
    return LightLimits(
        diffraction_um=spot_um,
        spot_in_tap=spot_in_tap(tap_um / spot_um),
        dispersion_um=dispersion_um,
        bandwidth_allowed_nm=allowed_nm,
        depth_of_focus_um=2 * shortest_nm * 1e-3 * stop**2,
        reach_taps=reach,
    )


def spot_in_tap(taps_a_spot: float) -> float:
    r"""Part of a square aperture's spot that falls into a square tap about it, whose side is so many lambda N.

    (2 / pi [Si(2 pi a) - sin^2(pi a) / (pi a)])^2, the integral of sinc^2 from -a to a, of both axes; a is half a side.
    """
    a = taps_a_spot / 2
    along = 2 / pi * (float(sici(2 * pi * a)[0]) - sin(pi * a) ** 2 / (pi * a))
    return along**2
