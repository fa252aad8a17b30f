"""What light allows: against numerical integrals, and against what wave optics gave."""

import numpy as np
import pytest
from scipy.integrate import quad

from labonn.design import Optic, light_limits, load_design
from labonn.design.light import spot_in_tap
from labonn.errors import ConfigError

BENCH = {"focal_mm": 50.0, "tap_um": 26.0}


@pytest.mark.parametrize("side", [0.3, 1.0, 2.0, 3.7])
def test_a_spot_s_light_in_a_tap_is_the_integral_of_its_diffraction_pattern(side):
    along = quad(lambda x: np.sinc(x) ** 2, -side / 2, side / 2)[0]
    assert spot_in_tap(side) == pytest.approx(along**2, rel=1e-9)


def test_figures_are_those_that_wave_optics_gave_for_the_same_sub_aperture():
    """Angular spectrum of 256 x 256 px of 8 um at 50 mm: the central tap kept 82 % at 532 nm, 47 % at 542 nm."""
    optic = load_design("mnist-mono").optic
    limits = light_limits(optic, **BENCH)
    assert limits.spot_in_tap == pytest.approx(0.82, abs=0.01)
    off = light_limits(optic.model_copy(update={"bandwidth_nm": 2 * (542 - 532) * 0.6}), **BENCH)
    assert off.dispersion_um < 26
    blur_um = off.dispersion_um / 0.6
    assert (26 / blur_um) ** 2 == pytest.approx(0.47, abs=0.03)


def test_a_spectrum_may_be_as_wide_as_is_said_and_no_wider():
    optic = load_design("mnist-mono").optic
    allowed_nm = light_limits(optic, **BENCH).bandwidth_allowed_nm
    light_limits(optic.model_copy(update={"bandwidth_nm": allowed_nm * 0.999}), **BENCH)
    with pytest.raises(ConfigError, match=r"bandwidth_nm = 13\.52 blurs a point over 26\.0 um .*at most 13\.5 nm"):
        light_limits(optic.model_copy(update={"bandwidth_nm": 13.52}), **BENCH)


def test_pixels_steer_to_where_their_grating_of_two_sends_light():
    optic = load_design("mnist-mono").optic
    limits = light_limits(optic, pixel_um=8.0, **BENCH)
    to_one_side_um = np.tan(np.arcsin(0.532 / 16)) * 50e3  # the grating equation, period of two pixels
    assert limits.reach_taps == pytest.approx(2 * to_one_side_um / 26, rel=2e-3)
    with pytest.raises(ConfigError, match=r"7 taps of 26 um is wider than the 6\.8 taps to which pixels of 150 um"):
        light_limits(optic, pixel_um=150.0, **BENCH)


def test_focus_is_as_deep_as_a_quarter_of_a_wave_at_the_rim():
    optic = Optic(aperture_mm=(2.1, 2.1), kernel_mm=2.0, kernels=1, kind="lens", taps=1, wavelengths_nm=(500.0,))
    depth_um = light_limits(optic, **BENCH).depth_of_focus_um
    sag_um = [(1.0e3) ** 2 / 2 * (1 / 50e3 - 1 / (50e3 + moved)) for moved in (0, depth_um)]  # a sphere's, at the rim
    assert sag_um[1] - sag_um[0] == pytest.approx(0.5 / 4, rel=0.02)
