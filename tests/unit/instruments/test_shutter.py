import pytest

from labonn.errors import InstrumentError

from .stand_ins import BareShutter, connected


def test_a_shutter_is_closed_when_it_is_connected() -> None:
    assert not connected(BareShutter).is_open


def test_moves_and_waits_as_long_as_it_takes() -> None:
    shutter = connected(BareShutter, settle_ms=10.0)
    shutter.open()
    assert shutter.is_open
    assert shutter.site.clock.slept_ms == pytest.approx(20.0)  # closed on connecting, then opened


def test_a_shutter_that_does_not_close_is_never_taken_for_closed() -> None:
    shutter = connected(BareShutter)
    shutter.open()
    shutter.stuck = True
    with pytest.raises(InstrumentError, match="still OPEN"):
        shutter.make_dark()
