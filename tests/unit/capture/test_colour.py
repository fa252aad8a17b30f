"""The colour matrix, and what it says is wrong: each with the fault that was made, by its name."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from labonn.capture.colour import colour_matrix, mosaic_of, responses
from labonn.capture.mosaic import PLACES, Mosaic
from labonn.errors import CalibrationError, ConfigError

from ..instruments.stand_ins import BareCamera, BareDisplay, connected

FILTERS = np.array([[0.95, 0.08, 0.02], [0.06, 0.9, 0.1], [0.02, 0.12, 0.85]])
LIGHT = np.array([700.0, 1000.0, 500.0])


def seen(
    filters: str = "RGGB",
    arrives: str = "RGB",
    light: np.ndarray = LIGHT,
    sees: np.ndarray = FILTERS,
    tiles: int = 4,
) -> np.ndarray:
    """What the places of a mosaic see of the colours that are shown, (T, 4, C), where others arrive."""
    of_places = np.stack([sees["RGB".index(one)] for one in filters])  # (4, real colours)
    shown = np.stack([of_places[:, "RGB".index(one)] * light["RGB".index(one)] for one in arrives], axis=1)
    noise = np.random.default_rng(0).normal(scale=0.5, size=(tiles, 4, 3))
    return np.linspace(0.8, 1.2, tiles)[:, None, None] * shown + noise


def found(planes: str = "RGB", **what: Any) -> Any:
    return colour_matrix(seen(**what), Mosaic("RGGB"), planes, noise=3.0)


@pytest.mark.parametrize("filters", ["RGGB", "GRBG", "GBRG", "BGGR"])
def test_it_is_the_filters_whatever_colours_and_tiles_are_bright(filters: str) -> None:
    matrix = colour_matrix(seen(filters), Mosaic(filters), "RGB", noise=3.0)
    np.testing.assert_allclose(matrix.matrix, FILTERS / np.diag(FILTERS), atol=0.002)
    np.testing.assert_allclose(matrix.brightness, LIGHT * np.diag(FILTERS), rtol=0.005)
    np.testing.assert_allclose(matrix.unmixing @ matrix.matrix, np.eye(3), atol=1e-12)
    assert matrix.spread < 0.002
    assert 1 < matrix.condition < 1.5


def test_tiles_that_do_not_agree_are_in_its_error() -> None:
    uneven = seen()
    uneven[0, 0, 1] *= 2  # a reflection of green on the red pixels of one tile: 0.09 more, of 24 numbers
    assert colour_matrix(uneven, Mosaic("RGGB"), "RGB", noise=3.0).spread == pytest.approx(0.0157, abs=0.004)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            {"light": np.array([700.0, 1000.0, 0.0])},
            r"blue of the display is dead: .*blue gives -?0 -?0 -?0 -?0;.*lamp",
        ),
        ({"light": np.array([700.0, 0.0, 0.0])}, r"green and blue of the display are dead"),
        ({"light": np.zeros(3)}, r"sees no colour of the display .*noise is 3\.0 counts.*shutter"),
        ({"arrives": "BGR"}, r"colours are swapped.*where it is blue, .*planes = \"BGR\".*say filters = 'BGGR'"),
        ({"arrives": "GRB"}, r"colours are swapped.*where it is green, .*planes = \"GRB\"$"),
        ({"arrives": "GBR"}, r"colours are swapped.*planes = \"GBR\"$"),
        ({"filters": "GRBG"}, r"begin at another pixel; say filters = 'GRBG'"),
        ({"filters": "GBRG"}, r"begin at another pixel; say filters = 'GBRG'"),
        ({"sees": np.ones((3, 3)) + 0.01 * np.eye(3)}, r"hardly tell the display's colours apart"),
        ({"filters": "RRRG"}, r"no colour camera is like that"),
    ],
)
def test_what_is_wrong_is_named(fault: dict[str, Any], said: str) -> None:
    with pytest.raises(CalibrationError, match=r"^colour matrix: ") as caught:
        found(**fault)
    assert re.search(said, str(caught.value)), caught.value


@pytest.mark.parametrize("arrives", ["RGB", "RBG", "GRB", "GBR", "BRG", "BGR"])
def test_the_planes_that_a_message_asks_for_are_the_right_ones(arrives: str) -> None:
    """A display whose planes are `arrives` from the top, called so in the bench file, is sound."""
    sent = ["RGB".index(one) for one in arrives]  # colour c is sent to the plane that is called so
    as_called = seen(arrives="".join("RGB"[one] for one in range(3)))
    assert found(planes=arrives).spread < 0.002
    np.testing.assert_array_equal(as_called[..., sent].shape, (4, 4, 3))
    if arrives != "RGB":
        with pytest.raises(CalibrationError, match=f'planes = "{arrives}"'):
            found(arrives=arrives)


@pytest.mark.parametrize("corner", [(10, 20), (11, 20), (10, 21), (11, 21)])
def test_each_place_s_mean_is_its_own_wherever_a_tile_begins(corner: tuple[int, int]) -> None:
    frame = np.zeros((40, 50), np.float32)
    for number, (down, right) in enumerate(PLACES):
        frame[down::2, right::2] = 100 * (number + 1)
    box = (slice(corner[0], corner[0] + 13), slice(corner[1], corner[1] + 12))
    np.testing.assert_array_equal(responses(frame, [box]), [[100, 200, 300, 400]])


def test_filters_before_a_grey_display_are_refused() -> None:
    display, camera = connected(BareDisplay, pitch_um=8.0, settle_ms=0.0), connected(BareCamera, filters="RGGB")
    bench: Any = SimpleNamespace(path=Path("x.bench.toml"), display=display, camera=camera)
    with pytest.raises(ConfigError, match=r"x\.bench\.toml: .*camera\] has filters, and .*display\] has no planes"):
        mosaic_of(bench)


def test_a_tile_off_the_sensor_is_named_where_it_would_have_no_brightness() -> None:
    """As of scenes that are wider than the bench is laid out for."""
    picture = np.ones((20, 30), np.float32)
    with pytest.raises(CalibrationError, match=r"tile 1 of 2 lies outside the sensor of 20 x 30 px .* another size"):
        responses(picture, [(slice(2, 8), slice(2, 8)), (slice(-4, 3), slice(2, 8))])
