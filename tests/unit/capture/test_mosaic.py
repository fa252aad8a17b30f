"""Filters over the pixels: one colour's picture and taps, wherever they begin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from labonn.capture import Registration
from labonn.capture.mosaic import Mosaic

from .test_registration import affine_of, calibration

MOSAICS = ("RGGB", "GRBG", "GBRG", "BGGR")
SHAPE = (90, 100)


def seen(colours: np.ndarray, filters: str, matrix: np.ndarray | None = None) -> np.ndarray:
    """A frame (H, W) of light (3, H, W), one filter a pixel; `matrix`: a row for each filter, R, G, B."""
    rows, columns = np.indices(colours.shape[1:])
    filter_of = np.array(["RGB".index(one) for one in filters]).reshape(2, 2)[rows % 2, columns % 2]
    behind = colours if matrix is None else np.einsum("fc,chw->fhw", matrix, colours)
    return np.asarray(np.take_along_axis(behind, filter_of[None], axis=0)[0])


@pytest.mark.parametrize("filters", MOSAICS)
def test_a_colours_picture_is_opencvs(filters: str) -> None:
    cv2 = pytest.importorskip("cv2")
    frame = np.random.default_rng(0).integers(0, 4096, SHAPE).astype(np.uint16)
    oracle = cv2.cvtColor(frame, getattr(cv2, f"COLOR_Bayer{filters}2RGB")).astype(np.float64)
    for place, colour in enumerate("RGB"):
        found = Mosaic(filters).picture(frame, colour)
        np.testing.assert_allclose(found[1:-1, 1:-1], oracle[1:-1, 1:-1, place], atol=1.0)


@pytest.mark.parametrize("filters", MOSAICS)
def test_a_smooth_picture_of_one_colour_comes_back_in_its_place(filters: str) -> None:
    rng = np.random.default_rng(1)
    light = np.stack([gaussian_filter(rng.normal(size=SHAPE), 8.0) for _ in range(3)])
    frame = seen(light, filters)
    for colour, one in enumerate("RGB"):
        found = Mosaic(filters).picture(frame, one)
        np.testing.assert_allclose(found[2:-2, 2:-2], light[colour][2:-2, 2:-2], atol=0.05 * light[colour].std())


@settings(deadline=None)
@given(
    per_tap=st.floats(2.0, 7.7),
    y=st.floats(38, 52),
    x=st.floats(38, 62),
    filters=st.sampled_from(MOSAICS),
    colour=st.sampled_from("RGB"),
    slope=st.tuples(st.floats(-5, 5), st.floats(-5, 5)),
)
def test_the_mean_of_a_plane_over_a_cell_s_pixels_of_one_colour_is_its_value_at_the_cell_s_centre(
    per_tap: float, y: float, x: float, filters: str, colour: str, slope: tuple[float, float]
) -> None:
    affine = affine_of(per_tap, 0.5, (y, x))
    rows, columns = np.mgrid[0:90, 0:100]
    plane = 100 + slope[0] * rows + slope[1] * columns
    of_it = np.array([["RGB".index(colour) == filter_ for filter_ in range(3)]], np.float64)
    pixels, shares = Mosaic(filters).pixel_shares(affine, (8, 8), SHAPE, of_it)
    found = (shares * plane.ravel()[pixels]).sum(axis=-1).reshape(8, 8)
    np.testing.assert_allclose(shares.sum(axis=-1), 1)
    others = ~Mosaic(filters).mask(colour, SHAPE).ravel()
    assert not others[pixels[shares > 0]].any(), "pixels of other colours have no share"
    tap = np.arange(8) - 3.5
    at = np.einsum("ij,jkl->ikl", affine[0], np.stack([*np.meshgrid(tap, tap, indexing="ij"), np.ones((8, 8))]))
    # As for grey cells, with pixels of twice the side.
    edge = (abs(slope[0]) + abs(slope[1])) * 2 * 0.25 * min(1.0, 2 / per_tap)
    np.testing.assert_allclose(found, 100 + slope[0] * at[0] + slope[1] * at[1], atol=edge + 1e-6)


def test_a_mosaic_of_an_odd_frame_has_all_its_pixels() -> None:
    masks = [Mosaic("GRBG").mask(colour, (7, 9)) for colour in "RGB"]
    assert (sum(mask.astype(int) for mask in masks) == 1).all()
    affine = affine_of(2.0, 0.0, (3, 4))
    pixels, shares = Mosaic("GRBG").pixel_shares(affine, (2, 2), (7, 9), np.ones((1, 3)))
    assert pixels.shape == shares.shape
    assert 0 <= pixels.min() <= pixels.max() < 63


def test_tiles_in_colour_are_unmixed_each_at_its_own_place() -> None:
    """Three colours, mixed by the filters, each with its own place, gain and background."""
    rng = np.random.default_rng(2)
    maps = rng.uniform(0, 2, (3, 8, 8))
    matrix = np.array([[1.0, 0.1, 0.02], [0.06, 1.0, 0.12], [0.02, 0.14, 1.0]])
    gains, backgrounds = np.array([300.0, 400.0, 200.0]), np.array([20.0, 30.0, 10.0])
    places = [(39.5, 49.5), (40.5, 49.5), (39.5, 47.5)]
    light = np.zeros((3, *SHAPE))
    for colour, (y, x) in enumerate(places):
        top, left = int(y + 0.5) - 32, int(x + 0.5) - 32
        light[colour, top : top + 64, left : left + 64] = np.kron(maps[colour], np.ones((8, 8))) * gains[colour]
        light[colour] += backgrounds[colour]
    frame = 60 + seen(light, "RGGB", matrix)
    affine = np.concatenate([affine_of(8.0, 0.0, (y, x)) for y, x in places])[None]
    known = calibration(
        affine=affine,
        filters="RGGB",
        unmixing=np.linalg.inv(matrix),
        gain=gains[None],
        background=backgrounds[None],
        **{name: np.zeros((1, 3)) for name in ("geometry_rms_px", "gain_residual", "transmission")},
    )
    tiles = Registration(known).tiles(frame.astype(np.float32))
    assert tiles.shape == (1, 3, 8, 8)
    # A colour's pixels stand for 2 x 2: where a cell's edge cuts them, a sixteenth of what is read is the next cell's.
    for colour in range(3):
        correlations = [np.corrcoef(tiles[0, colour].ravel(), one.ravel())[0, 1] for one in maps]
        assert correlations[colour] > 0.98, (colour, correlations)
        assert np.sqrt(np.mean((tiles[0, colour] - maps[colour]) ** 2)) < 0.2 * maps[colour].std()
        assert max(np.abs(np.delete(correlations, colour))) < 0.3, "the maps are independent"


def test_tiles_in_colour_are_kept(tmp_path: object) -> None:
    known = calibration(
        affine=np.zeros((1, 3, 2, 3)),
        filters="GBRG",
        unmixing=np.eye(3),
        **{
            name: np.ones((1, 3)) for name in ("geometry_rms_px", "gain_residual", "transmission", "gain", "background")
        },
    )
    known.save(f"{tmp_path}/calibration.h5")
    again = type(known).load(f"{tmp_path}/calibration.h5")
    assert (again.filters, again.picture_shape) == ("GBRG", (3, 8, 8))
    np.testing.assert_array_equal(again.unmixing, np.eye(3))
