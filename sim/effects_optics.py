"""What lenslets, masks, mounts and air between display and sensor do to the light."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat

from sim.effect import Effect, Fraction


class Aberrations(Effect):
    """Zernike terms of each lenslet: normal draws with these standard deviations, in waves rms over a sub-aperture."""

    defocus_waves: NonNegativeFloat
    astigmatism_waves: NonNegativeFloat
    coma_waves: NonNegativeFloat


class PhaseScreen(Effect):
    """Flatness error of the backplane, polishing error of the lenslets: a smooth random phase for each sub-aperture."""

    rms_waves: NonNegativeFloat
    correlation_mm: PositiveFloat


class Bandwidth(Effect):
    """The source is not one line: a Gaussian spectrum, as three wavelengths (Gauss-Hermite)."""

    fwhm_nm: NonNegativeFloat


class Beam(Effect):
    """The light on the SLM is a Gaussian beam, not quite centred: intensity exp(-2 r^2 / waist^2)."""

    waist_mm: PositiveFloat
    offset_mm: tuple[float, float]  # down, right


class TileGain(Effect):
    """Transmission of each lenslet: 1 + a normal draw with this standard deviation."""

    spread: Annotated[float, Field(ge=0.0, le=0.2)]


class Blur(Effect):
    """The display's pixel aperture, diffuser and the collimator's own blur: a Gaussian, as seen on the sensor."""

    sigma_um: NonNegativeFloat


class Misalignment(Effect):
    """Normal draws with these standard deviations: display, lenslet array and camera against each other."""

    shift_px: NonNegativeFloat  # of the whole grid, camera pixels, down and right each
    display_rotation_deg: NonNegativeFloat
    display_scale: NonNegativeFloat
    grid_rotation_deg: NonNegativeFloat  # of the lenslet array against the camera


class Shear(Effect):
    """Axes that are not square to each other: (1, s; 0, 1), s a normal draw with these standard deviations."""

    display: NonNegativeFloat = 0.002  # of the display's picture
    grid: NonNegativeFloat = 0.001  # of the lenslet array against the camera


class TileShift(Effect):
    """Decentring of each lenslet: a normal draw with this standard deviation, camera pixels, down and right each."""

    spread_px: NonNegativeFloat


class Vignetting(Effect):
    """Loss of light: at the corner of each tile's picture, and at the corner of the sensor; quadratic in the radius."""

    tile_corner: Fraction
    sensor_corner: Fraction


class StrayLight(Effect):
    """Light that arrives everywhere, as fractions of white: from the display's mean, and from the source itself."""

    veil: Fraction
    pedestal: Fraction
    slope: Fraction  # the pedestal changes by this fraction of itself from centre to edge, in a drawn direction


class Ghosts(Effect):
    """Light that a plane window reflects twice: a weaker copy of the picture, displaced, out of focus."""

    strength: Fraction = 0.01  # of the light, in the copy
    offset_px: tuple[float, float] = (31.0, -18.0)  # camera pixels: down, right
    blur_px: NonNegativeFloat = 6.0  # Gaussian


class Fabrication(Effect):
    """Errors of a fixed optic: of its surface, as phase; and of each kernel, cell by cell."""

    phase_waves: NonNegativeFloat = 0.05  # rms; smooth, at the nominal wavelength
    correlation_um: PositiveFloat = 40.0
    depth: NonNegativeFloat = 0.02  # etch depth of each sub-aperture: 1 + a normal draw times this
    kernel_noise: NonNegativeFloat = 0.03  # each cell of a PSF: times 1 + a normal draw times this
    cell_um: PositiveFloat = 26.0


class FieldDependence(Effect):
    """Off the axis a lenslet's picture is worse: waves rms at the corner of the display's field.

    Field curvature grows with the square of the distance, coma with the distance. PSFs are computed for the centre and
    the four corners, and taken as linear between.
    """

    defocus_waves: float = 0.15
    coma_waves: float = 0.1


class Chromatic(Effect):
    """The lenslets at other wavelengths than the nominal one."""

    focal_um_per_nm: float = 0.5  # change of the focal length
    efficiency_fwhm_nm: PositiveFloat = 400.0  # transmission: a Gaussian about the nominal wavelength


class PartialCoherence(Effect):
    """The source has a size: the mean over points x points of it, each of which moves the picture.

    Source points are incoherent with each other, and evenly spaced over a square as the sensor sees it.
    """

    extent_um: NonNegativeFloat = 10.0  # side of the square, on the sensor
    points: int = Field(5, ge=1, le=31)


class Speckle(Effect):
    r"""Laser light on a rotating diffuser: intensity times 1 + c (E - 1), with E exponential as full speckle has it.

    c = contrast / sqrt(1 + T / decorrelation) for an exposure T: mean and variance of a mean of that many patterns.
    """

    contrast: Fraction = 0.2  # within one decorrelation time, as the pixels see it
    grain_px: PositiveFloat = 1.5  # standard deviation of the amplitude's correlation, camera pixels
    decorrelation_ms: PositiveFloat = 0.2


class MeasuredPsf(Effect):
    """One PSF for every sub-aperture, from an image file, instead of wave optics; its sum is `efficiency`."""

    file: Path = Path("psf.png")  # beside the world file; grey levels are intensity, black is none
    pixel_um: PositiveFloat = 3.45  # on the sensor
    efficiency: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
