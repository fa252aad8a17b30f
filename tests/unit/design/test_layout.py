"""How many sub-apertures fit, and where they stand."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from labonn.design import Optic, lay_out, load_design
from labonn.errors import ConfigError


@pytest.mark.parametrize(
    ("optic", "grid"),
    [
        (Optic(aperture_mm=(10, 10), kernel_mm=2.0, spacing_mm=0.5), (4, 4)),  # 4*2.0 + 3*0.5 = 9.5 <= 10
        (Optic(aperture_mm=(10, 10), kernel_mm=2.0, spacing_mm=0.7), (3, 3)),  # 4*2.0 + 3*0.7 = 10.1 > 10
        (Optic(aperture_mm=(2, 2), kernel_mm=0.2), (10, 10)),  # an exact fit, whatever binary fractions say
        (Optic(aperture_mm=(8.64, 8.64), kernel_mm=2.048, spacing_mm=0.064), (4, 4)),  # 4*2.048 + 3*0.064 = 8.384
        (Optic(aperture_mm=(1.0, 3.0), kernel_mm=0.9, spacing_mm=0.3), (1, 2)),  # height first
        (Optic(aperture_mm=(0.3, 0.3), kernel_mm=0.3, spacing_mm=5.0), (1, 1)),  # one needs no spacing
    ],
)
def test_as_many_sub_apertures_as_fit(optic, grid):
    assert optic.grid() == grid


microns = st.integers(1, 20_000)


@settings(deadline=None)
@given(st.tuples(microns, microns), microns, st.integers(0, 5_000))
def test_the_grid_is_the_largest_that_fits(aperture_um, kernel_um, spacing_um):
    """Counted in whole microns, where nothing is rounded."""
    assume(min(aperture_um) >= kernel_um)
    optic = Optic(
        aperture_mm=(aperture_um[0] / 1e3, aperture_um[1] / 1e3),
        kernel_mm=kernel_um / 1e3,
        spacing_mm=spacing_um / 1e3,
    )
    for count, side_um in zip(optic.grid(), aperture_um, strict=True):
        assert count * kernel_um + (count - 1) * spacing_um <= side_um
        assert (count + 1) * kernel_um + count * spacing_um > side_um


@pytest.mark.parametrize("aperture_mm", [(8.64, 1.0), (1.0, 8.64)])
def test_a_kernel_that_does_not_fit_is_named_with_its_size(aperture_mm):
    optic = Optic(aperture_mm=aperture_mm, kernel_mm=2.048)
    with pytest.raises(ConfigError, match=r"2\.048 mm does not fit .*1\.0.*kernel_mm"):
        lay_out(optic)


def test_more_kernels_than_fit_are_counted():
    optic = Optic(aperture_mm=(8.64, 8.64), kernel_mm=2.048, spacing_mm=0.064, kernels=9)
    with pytest.raises(ConfigError, match=r"9 signed kernels need 18 sub-apertures, but only 4 x 4 = 16"):
        lay_out(optic)


@pytest.mark.parametrize(
    ("kernels", "aperture_mm", "grid"),
    [
        (8, (4, 4), (4, 4)),
        (8, (9, 9), (4, 4)),  # a larger optic leaves its rim free
        (8, (2, 9), (2, 8)),
        (3, (9, 9), (2, 3)),
        (3, (9, 1), (6, 1)),
        (1, (9, 9), (1, 2)),
    ],
)
def test_the_squarest_grid_that_holds_the_pairs(kernels, aperture_mm, grid):
    layout = lay_out(Optic(aperture_mm=aperture_mm, kernel_mm=1.0, kernels=kernels))
    assert (layout.rows, layout.columns) == grid


@settings(deadline=None)
@given(st.tuples(st.floats(1, 20), st.floats(1, 20)), st.floats(0.3, 3), st.floats(0, 1), st.integers(1, 20))
def test_sub_apertures_keep_their_distance_inside_the_optic(aperture_mm, kernel_mm, spacing_mm, kernels):
    optic = Optic(aperture_mm=aperture_mm, kernel_mm=kernel_mm, spacing_mm=spacing_mm, kernels=kernels)
    try:
        layout = lay_out(optic)
    except ConfigError:
        return
    centres = np.array([s.centre_mm for s in layout.sub_apertures])
    assert len(centres) == 2 * kernels
    assert np.all(np.abs(centres) + kernel_mm / 2 <= np.array(aperture_mm) / 2 + 1e-6)
    apart = np.abs(centres[:, None] - centres[None]).max(axis=-1)[~np.eye(len(centres), dtype=bool)]
    assert apart.min() >= kernel_mm + spacing_mm - 1e-9


def test_pairs_stand_side_by_side_row_by_row_about_the_centre():
    layout = lay_out(load_design("mnist-mono").optic)
    assert [(s.index, s.kernel, s.sign) for s in layout.sub_apertures[:4]] == [
        (0, 0, 1),
        (1, 0, -1),
        (2, 1, 1),
        (3, 1, -1),
    ]
    assert [(s.row, s.column) for s in layout.sub_apertures] == [(r, c) for r in range(4) for c in range(4)]
    pitch_mm = 2.048 + 0.064
    assert layout.sub_apertures[0].centre_mm == pytest.approx((-1.5 * pitch_mm, -1.5 * pitch_mm))  # y downwards
    assert layout.sub_apertures[7].centre_mm == pytest.approx((-0.5 * pitch_mm, 1.5 * pitch_mm))
    assert np.mean([s.centre_mm for s in layout.sub_apertures], axis=0) == pytest.approx((0, 0), abs=1e-12)


def test_images_stand_on_the_sensor_as_the_sub_apertures_on_the_optic():
    layout = lay_out(Optic(aperture_mm=(2, 3), kernel_mm=1.0, kernels=3))
    centres_um = layout.tile_centres_um(884.0)
    expected = np.array([s.centre_mm for s in layout.sub_apertures]) * 884.0
    np.testing.assert_allclose(centres_um, expected)
    np.testing.assert_allclose(centres_um[0], (-442.0, -884.0))


def test_a_plain_lens_is_one_sub_aperture():
    layout = lay_out(Optic(kind="lens", aperture_mm=(2.1, 2.1), kernel_mm=2.048, taps=1, kernels=1))
    assert [s.centre_mm for s in layout.sub_apertures] == [(0.0, 0.0)]
