"""Figures: they draw what they are given, to scale, whatever the arrays are like, and leave pyplot alone."""

import io
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.patches import Polygon, Rectangle

from labonn.design import Optic, lay_out
from labonn.report import figures

RANDOM = np.random.default_rng(0)
OPTIC = Optic(aperture_mm=(4.0, 6.0), kernel_mm=1.0, spacing_mm=0.25, taps=7, kernels=4)


def drawn(figure):
    file = io.BytesIO()
    figure.savefig(file, dpi=40)
    return file.getvalue()


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_the_layout_is_to_scale_with_number_and_sign():
    figure = figures.layout(lay_out(OPTIC))
    axes = figure.axes[0]
    squares = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    outline = squares[0]
    assert (outline.get_height(), outline.get_width()) == (4.0, 6.0)
    assert {(round(square.get_width(), 9), round(square.get_height(), 9)) for square in squares[1:]} == {(1.0, 1.0)}
    assert texts(axes) == ["0+", "0\u2212", "1+", "1\u2212", "2+", "2\u2212", "3+", "3\u2212"]
    assert axes.get_aspect() == 1.0
    assert "mm" in axes.get_xlabel()
    assert axes.yaxis_inverted()
    assert drawn(figure).startswith(b"\x89PNG")


def test_phases_are_wrapped_and_the_pattern_is_upright():
    pattern = np.linspace(-20, 20, 60 * 80).reshape(60, 80)
    figure = figures.phase_pattern(pattern)
    shown = figure.axes[0].images[0].get_array()
    np.testing.assert_allclose(np.exp(1j * shown), np.exp(1j * pattern), atol=1e-9)
    assert drawn(figure)


def test_psfs_are_shares_of_their_own_light():
    target = RANDOM.random((4, 7, 7))
    figure = figures.psf_pairs(target, 5.0 * target, np.ones(4))
    images = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(images) == 8
    for image in images:
        assert image.sum() == pytest.approx(1.0)
    assert drawn(figure)


def test_a_dark_psf_and_many_kernels_can_be_drawn():
    assert drawn(figures.psf_pairs(np.zeros((18, 3, 3)), np.zeros((18, 3, 3)), np.zeros(18)))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 3, 1, 1)])
def test_the_one_tap_of_a_lens_stands_before_the_nothing_around_it(shape):
    drawn = [image.get_array() for image in figures.kernels(np.ones(shape), np.ones(shape)).axes[0].images]
    assert [(len(taps), taps[1, 1].min() > taps[0, 0].max()) for taps in drawn] == [(3, True), (3, True)]


def test_tiles_are_outlined_where_they_are():
    frame = RANDOM.integers(0, 4096, (90, 120)).astype(np.uint16)
    outlines = np.array([[(10, 20), (10, 50), (40, 50), (40, 20)], [(10, 60), (10, 90), (40, 90), (40, 60)]], float)
    figure = figures.frame_with_tiles(frame, outlines)
    axes = figure.axes[0]
    polygons = [patch for patch in axes.patches if isinstance(patch, Polygon)]
    np.testing.assert_array_equal(polygons[1].get_xy()[:4], outlines[1][:, ::-1])  # matplotlib has x first
    assert texts(axes) == ["0+", "0\u2212"]
    assert drawn(figure)


def test_a_large_frame_is_drawn_by_means_of_squares_in_its_own_pixels():
    frame = np.zeros((2400, 3000), np.uint16)
    frame[::2, ::2] = 4
    image = figures.frame_with_tiles(frame, np.zeros((0, 4, 2))).axes[0].images[0]
    assert image.get_array().shape == (1200, 1500)
    assert (image.get_array() == 1).all()
    assert image.get_extent() == [-0.5, 2999.5, 2399.5, -0.5]


def test_a_black_frame_can_be_drawn():
    assert drawn(figures.frame_with_tiles(np.zeros((9, 9), np.uint16), np.zeros((0, 4, 2))))


def test_maps_of_a_kernel_share_a_scale_and_differences_are_measured():
    simulated = RANDOM.normal(size=(3, 8, 8))
    figure = figures.feature_maps({"simulated": simulated, "captured": 2.0 * simulated, "twin": 2.0 * simulated})
    axes = figure.axes[0]
    images = axes.images
    assert len(images) == 5 * 3
    assert {image.get_clim() for image in images} == {(-1, 1)}
    np.testing.assert_allclose(images[3].get_array(), 2.0 * images[0].get_array())
    percent = [text for text in texts(axes) if "%" in text]
    assert percent == ["50 %"] * 3 + ["0 %"] * 3
    assert drawn(figure)


def test_maps_that_are_zero_can_be_drawn():
    assert drawn(figures.feature_maps({"simulated": np.zeros((1, 4, 4)), "captured": np.zeros((1, 4, 4))}))


def test_accuracies_are_written_beside_their_points():
    figure = figures.accuracy_bars({"none": 71.25, "e2e": 88.0, "twin+ntkd": 94.5})
    axes = figure.axes[0]
    assert texts(axes) == ["71.2", "88.0", "94.5"]
    low, high = axes.get_xlim()
    assert low < 71.25
    assert high > 94.5
    assert "%" in axes.get_xlabel()
    assert drawn(figure)


@pytest.mark.parametrize("methods", [{"none": 50.0}, {"a": 0.0, "b": 100.0}])
def test_few_accuracies_can_be_drawn(methods):
    assert drawn(figures.accuracy_bars(methods))


@pytest.mark.parametrize(
    "curves",
    [{"student": list(np.exp(-np.arange(500) / 100))}, {"a": [1.0], "b": [0.0, -1.0]}, {"a": [1.0, float("nan")]}],
)
def test_losses_can_be_drawn(curves):
    assert drawn(figures.training_curves(curves))


def test_pyplot_is_not_touched():
    assert "matplotlib.pyplot" not in sys.modules or not matplotlib.pyplot.get_fignums()


def test_residuals_of_all_tiles_share_a_scale_and_say_what_is_predicted():
    residual = RANDOM.random((6, 9, 9))
    figure = figures.twin_residuals(residual, [0.999, 0.5, 0.98, 0.97, 0.96, 0.95])
    axes = figure.axes[0]
    assert len(axes.images) == 6
    assert len({image.get_clim() for image in axes.images}) == 1
    np.testing.assert_array_equal(axes.images[1].get_array(), residual[1])
    assert [text for text in texts(axes) if text][:2] == ["0+  0.1 %", "0\u2212  50 %"]
    assert drawn(figure)


def test_pictures_of_a_grid_have_their_shape_and_do_not_touch():
    axes = figures.twin_residuals(np.ones((11, 4, 6)), [0.9] * 11).axes[0]
    left, right, bottom, top = np.array([image.get_extent() for image in axes.images]).T
    np.testing.assert_allclose((bottom - top) / (right - left), 4 / 6)
    assert (left[1:8] > right[:7]).all()
    assert top[8] > bottom[0]


def test_a_twin_without_residual_can_be_drawn():
    assert drawn(figures.twin_residuals(np.zeros((2, 5, 5)), [1.0, 1.0]))


def test_attribution_bars_have_the_lengths_of_their_costs():
    costs = {"defocus": (7.4, 4.8), "kernel error": (3.3, 0.5), "misalignment": (-0.4, 0.2)}
    figure = figures.attribution_bars(costs, 90.7, 99.1)
    axes = figure.axes[0]
    assert [bar.get_width() for bar in axes.patches if isinstance(bar, Rectangle)] == [7.4, 3.3, -0.4]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(costs)
    assert texts(axes) == ["+7.4", "+3.3", "-0.4"]
    assert axes.yaxis_inverted()
    assert "90.7" in axes.get_title()
    assert drawn(figure)


def test_figures_of_answers_are_drawn(tmp_path):
    from labonn.report.figures import accuracy_over, confusions, control_chart

    taken_for = np.array([[5, 1], [0, 7]])
    texts = {text.get_text() for text in confusions(taken_for, ("zero", "one")).axes[0].texts}
    assert texts == {"5", "1", "7"}
    chart = control_chart([0.1, 0.2, 0.9], 0.5, 0.5)
    colours = [line.get_color() for line in chart.axes[0].lines if line.get_marker() == "o"]
    counts = [len(line.get_xdata()) for line in chart.axes[0].lines if line.get_marker() == "o"]
    assert counts == [2, 1], "one watch alarms, in another colour"
    assert len(set(colours)) == 2
    swept = accuracy_over([1.0, 10.0], [90.0, 98.0], [(85.0, 94.0), (95.0, 99.5)], name="exposure (ms)", used=10.0)
    for number, figure in enumerate((confusions(taken_for, ("a", "b")), chart, swept)):
        figure.savefig(tmp_path / f"{number}.png")


def test_confusions_of_pixels_are_written_in_per_cent_of_their_label():
    from labonn.report.figures import confusions

    pixels = np.array([[2_429_037, 14_322], [0, 686_873]])
    texts = {text.get_text() for text in confusions(pixels, ("background", "car")).axes[0].texts}
    assert texts == {"99.4 %", "0.6 %", "100.0 %"}
