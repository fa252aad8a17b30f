import threading

import numpy as np
import pytest

from labonn.errors import Aborted, InterlockTripped
from labonn.instruments import Guard

from .stand_ins import BareCamera, BareDisplay, BareLight, BareShutter, connected


def test_the_first_reason_is_the_one_that_stays() -> None:
    guard, darkened = Guard(), []
    guard.set_up(lambda: darkened.append(1), lambda: None, lambda: None)
    guard.check()
    guard.trip(InterlockTripped("too warm"))
    guard.trip(Aborted("by hand"))
    assert len(darkened) == 2, "whoever asks for darkness gets it"
    with pytest.raises(InterlockTripped, match="too warm"):
        guard.check()


def test_a_bench_is_not_disconnected_while_somebody_makes_it_dark() -> None:
    guard, begun, go_on, darkened = Guard(), threading.Event(), threading.Event(), []

    def slowly() -> None:
        begun.set()
        go_on.wait(10)
        darkened.append(1)

    guard.set_up(slowly, lambda: None, lambda: None)
    abort = threading.Thread(target=guard.trip, args=(Aborted("by hand"),))
    abort.start()
    begun.wait(10)
    threading.Timer(0.1, go_on.set).start()
    guard.retire(limit_s=10)
    assert darkened, "retired while the bench was still being made dark"
    abort.join(10)
    guard.trip(Aborted("once more"))
    assert len(darkened) == 1, "its instruments are disconnected: nothing is asked of them"
    with pytest.raises(Aborted, match="by hand"):
        guard.check()


def test_a_darkness_that_hangs_does_not_keep_the_bench_open() -> None:
    guard, begun, end = Guard(), threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        end.wait(10)

    guard.set_up(hang, lambda: None, lambda: None)
    abort = threading.Thread(target=guard.trip, args=(Aborted("by hand"),))
    abort.start()
    begun.wait(10)
    guard.retire(limit_s=0.05)
    end.set()
    abort.join(10)


def test_once_tripped_an_instrument_does_nothing_but_darken() -> None:
    camera, display, shutter = connected(BareCamera), connected(BareDisplay, pitch_um=8, settle_ms=0), None
    shutter = connected(BareShutter)
    light = connected(BareLight, max_power_mw=5, settle_ms=0)
    shutter.open()
    light.turn_on()
    for instrument in (camera, display, shutter, light):
        instrument.site.guard.trip(InterlockTripped("the door is open"))
    white = np.ones(display.shape, np.float32)
    for act in (camera.snap, shutter.open, light.turn_on, lambda: light.set_power_mw(1), lambda: display.show(white)):
        if act == light.turn_on:
            light.on = False
        with pytest.raises(InterlockTripped, match="the door is open"):
            act()
    shutter.close()
    light.turn_off()
    display.make_dark()
    assert not shutter.position
    assert not light.on
    assert not np.any(display.shown)


def test_what_waits_in_an_instrument_s_queue_does_not_light_the_bench_after_the_trip() -> None:
    shutter = connected(BareShutter)
    busy, go_on = threading.Event(), threading.Event()

    def dawdle() -> None:
        busy.set()
        go_on.wait(10)

    slow = threading.Thread(target=lambda: shutter._call("dawdling", dawdle))
    slow.start()
    assert busy.wait(10)
    failures: list[BaseException] = []

    def open_it() -> None:
        try:
            shutter.open()
        except InterlockTripped as error:
            failures.append(error)

    opening = threading.Thread(target=open_it)
    opening.start()  # its check at the door has been passed, and its command is queued
    while shutter._caller._calls.empty():
        pass
    shutter.site.guard.trip(InterlockTripped("now"))
    go_on.set()
    opening.join(10)
    slow.join(10)
    assert failures
    assert not shutter.position


def test_light_needs_leave_and_darkness_is_told() -> None:
    shutter, told = connected(BareShutter), []
    shutter.site.guard.set_up(lambda: None, lambda: told.append("light"), lambda: told.append("dark"))
    shutter.open()
    shutter.close()
    assert told == ["light", "dark"]
    shutter.position, shutter.stuck = True, True
    with pytest.raises(Exception, match="still OPEN"):
        shutter.close()
    assert told == ["light", "dark"], "a shutter that is stuck open proves no darkness"
