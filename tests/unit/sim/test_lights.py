"""Lights are rendered once, and a picture that is nearly gone not again while the optics hardly move."""

import numpy as np
import pytest

from sim.drift import Moved
from sim.lights import Lights, Seen, Situation
from sim.optics import Moment


@pytest.fixture
def rendered():
    return []


@pytest.fixture
def lights(rendered):
    def render(weights, situation):
        rendered.append((*weights, situation.moment.moved.shift_px[0]))
        return Seen(np.full((4, 4), situation.moment.moved.shift_px[0], np.float32), 0.5)

    return Lights(render)


def at(shift_px, *, focus_um=0.0, binning=1, flicker=(0.0, 0.0)):
    return Situation((("pattern", 1.0),), Moment(Moved((shift_px, 0.0), focus_um), flicker), binning)


def test_what_is_nearly_gone_is_seen_as_it_was(lights, rendered):
    lights.one("a", at(1.0), 1.0)
    assert lights.one("a", at(1.01, focus_um=0.5, flicker=(0.2, 0.3)), 0.01).light[0, 0] == 1.0
    assert rendered == [("a", 1.0)]


@pytest.mark.parametrize(
    ("picture", "where", "weight"),
    [
        ("a", at(1.01), 0.5),  # much of it is still there
        ("a", at(1.2), 0.01),  # the optics have moved
        ("a", at(1.0, focus_um=5.0), 0.01),
        ("a", at(1.0, binning=2), 0.01),
        ("b", at(1.0), 0.01),
    ],
)
def test_anything_else_is_rendered(lights, rendered, picture, where, weight):
    lights.one("a", at(1.0), 1.0)
    lights.one(picture, where, weight)
    assert len(rendered) == 2
