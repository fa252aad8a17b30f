from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from labonn.capture.light import light, take_stack
from labonn.errors import ConfigError, InstrumentError
from labonn.instruments import Light

from ..instruments.stand_ins import BareShutter, _Bare, connected
from .eyes import seeing_bench


class Laser(_Bare, Light):
    """Gives what it is told, and keeps a diary of the shutter's position when it is turned on."""

    on = False
    mw = 0.0

    def _is_on_hw(self) -> bool:
        return self.on

    def _set_on_hw(self, on: bool) -> None:
        self.on = on

    def _power_mw_hw(self) -> float:
        return self.mw if self.on else 0.0

    def _set_power_mw_hw(self, power_mw: float) -> None:
        self.mw = power_mw


class Blade(BareShutter):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.laser: Any = None

    def _set_open_hw(self, opening: bool) -> None:
        assert not opening or self.laser is None or self.laser.on, "the light comes on behind a closed shutter"
        super()._set_open_hw(opening)


def lit_bench(**laser: Any) -> Any:
    bench = SimpleNamespace(shutter=connected(Blade), light=connected(Laser, **laser))
    bench.shutter.laser = bench.light
    return bench


def test_the_light_is_on_before_the_shutter_opens_and_stays_on_behind_it() -> None:
    bench = lit_bench(max_power_mw=20.0, power_mw=15.0)
    with light(bench):
        assert bench.shutter.is_open
        assert bench.light.power_mw == 15.0
    assert not bench.shutter.is_open
    assert bench.light.is_on


def test_a_light_that_is_not_armed_stays_off_and_the_message_says_what_to_write() -> None:
    bench = lit_bench()
    with pytest.raises(ConfigError, match=r"light: is not armed.*\[instruments\.light\] max_power_mw"), light(bench):
        pass
    assert not bench.light.is_on
    assert not bench.shutter.is_open


def test_an_error_in_the_light_closes_the_shutter() -> None:
    bench = lit_bench(max_power_mw=20.0)
    with pytest.raises(ZeroDivisionError), light(bench):
        raise ZeroDivisionError
    assert not bench.shutter.is_open


def bench_that_shows_grey(wrongs: dict[int, str]) -> Any:
    bench = seeing_bench(wrongs)
    bench.display.show(np.full(bench.display.shape, 0.5, np.float32))
    return bench


def test_spoilt_frames_do_not_enter_a_mean() -> None:
    stack = take_stack(bench_that_shows_grey({0: "dropped", 2: "truncated", 5: "duplicated"}), 8)
    right = take_stack(bench_that_shows_grey({}), 8)
    np.testing.assert_allclose(stack.mean, right.mean, atol=5)
    assert stack.noise == pytest.approx(right.noise, rel=0.05)


def test_a_camera_without_frames_gives_no_mean() -> None:
    with pytest.raises(InstrumentError, match=r"camera: frame 3 of 8: .*tried 3 times"):
        take_stack(bench_that_shows_grey(dict.fromkeys((3, 4, 5), "dropped")), 8)
