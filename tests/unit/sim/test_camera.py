"""The camera's timing in both clocks, with a scene that only writes down when it was exposed."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from sim.camera import Camera
from sim.clock import RealClock, VirtualClock
from sim.errors import SimulationError
from sim.fault_plan import FaultPlan
from sim.faults import Faults

EXPOSURE_S, READOUT_S = 20e-3, 8e-3


class Diary:
    def __init__(self):
        self.spans = []

    def expose(self, start_s, stop_s, exposure_ms):
        self.spans.append((start_s, stop_s))
        return np.full((16, 4), len(self.spans), np.uint16)

    def foresee(self, start_s, stop_s, exposure_ms):
        pass

    def expose_stale(self, start_s, stop_s, exposure_ms):
        return None


def make(clock, plan=None):
    file = SimpleNamespace(exposure_ms=1e3 * EXPOSURE_S, readout_ms=1e3 * READOUT_S)
    diary = Diary()
    faults = Faults(clock, FaultPlan.model_validate(plan or {}))
    return Camera(lambda: file, clock, diary, faults), diary


def dropped(*frames):
    return {"schedule": [{"door": "camera", "kind": "dropped", "at": frame} for frame in frames]}


def starts_of(camera, count):
    after_s, starts = None, []
    for _ in range(count):
        after_s = camera.next_free(after_s).start_s
        starts.append(after_s)
    return starts


def test_a_sequence_in_real_time_is_back_to_back():
    camera, diary = make(RealClock())
    starts = starts_of(camera, 6)
    assert np.diff(starts) == pytest.approx(EXPOSURE_S, abs=1e-6)
    assert np.diff(diary.spans, axis=1).ravel() == pytest.approx(EXPOSURE_S)


def test_a_single_frame_in_real_time_takes_exposure_and_read_out():
    camera, _ = make(RealClock())
    began = time.perf_counter()
    camera.snap()
    assert EXPOSURE_S + READOUT_S <= time.perf_counter() - began < 0.2


def test_a_client_that_is_too_slow_gets_frames_of_now():
    clock = RealClock()
    camera, _ = make(clock)
    first = camera.next_free(None).start_s
    time.sleep(5 * EXPOSURE_S)
    now_s = clock.now_s()
    assert camera.next_free(first).start_s >= now_s


def test_a_free_running_camera_makes_virtual_time_pass_no_faster_than_real_time():
    clock = VirtualClock()
    camera, _ = make(clock)
    began = time.monotonic()
    starts = starts_of(camera, 5)
    assert np.diff(starts) == pytest.approx(EXPOSURE_S)
    assert clock.now_s() == pytest.approx(5 * EXPOSURE_S + READOUT_S)
    assert time.monotonic() - began >= clock.now_s() - 0.01


def test_it_keeps_up_with_others_who_make_virtual_time_pass():
    clock = VirtualClock()
    camera, _ = make(clock)
    camera.set_exposure_ms(30_000.0)
    taken = []
    taker = threading.Thread(target=lambda: taken.append(camera.next_free(None)), daemon=True)
    taker.start()
    while taker.is_alive():
        clock.sleep_until_s(clock.now_s() + 1.0)
        time.sleep(1e-3)
    assert (taken[0].start_s, taken[0].number) == (pytest.approx(0.0, abs=2.0), 1)


def test_frames_that_others_jumped_over_are_not_counted():
    clock = VirtualClock()
    camera, _ = make(clock)
    first = camera.next_free(None)
    clock.sleep_until_s(60.0)
    second = camera.next_free(first.start_s)
    assert (second.start_s, second.number) == (60.0, 2)


def test_a_frame_that_is_dropped_from_a_sequence_leaves_a_gap_in_the_numbers():
    camera, _ = make(RealClock(), dropped(2, 3))
    first = camera.next_free(None)
    second = camera.next_free(first.start_s)
    assert (first.number, second.number) == (1, 4)
    assert second.start_s - first.start_s == pytest.approx(3 * EXPOSURE_S)


def test_a_trigger_begins_a_frame_after_its_delay():
    clock = VirtualClock()
    camera, diary = make(clock)
    camera.set_trigger_mode("External")
    camera.set_trigger_delay_ms(17.0)
    armed = camera.arm()
    assert camera.next_triggered(*armed, 0.01) is None
    clock.sleep_until_s(1.0)
    camera.trigger("Software")
    assert camera.next_triggered(*armed, 0.01) is None, "the wrong source"
    camera.trigger("External")
    snap, _ = camera.next_triggered(*armed, 1.0)
    assert snap.start_s == pytest.approx(1.017)
    assert diary.spans == [(pytest.approx(1.017), pytest.approx(1.037))]


def test_a_trigger_that_comes_too_early_is_lost():
    clock = VirtualClock()
    camera, diary = make(clock)
    camera.set_trigger_mode("Software")
    for moment_s in (0.0, 0.010, 0.027, 0.050, 0.060):
        clock.sleep_until_s(moment_s)
        camera.trigger("Software")
    arming, pulse = camera.arm()[0], 0
    while (taken := camera.next_triggered(arming, pulse, 0.0)) is not None:
        pulse = taken[1]
    assert [start_s for start_s, _ in diary.spans] == pytest.approx([0.0, 0.050])


def test_a_trigger_is_waited_for():
    camera, _ = make(VirtualClock())
    camera.set_trigger_mode("Software")
    threading.Timer(0.05, camera.trigger, ("Software",)).start()
    assert camera.next_triggered(*camera.arm(), 5.0) is not None


@pytest.mark.parametrize("mode", ["software", "", "Bulb"])
def test_a_trigger_mode_that_it_has_not_is_refused(mode):
    camera, _ = make(VirtualClock())
    with pytest.raises(SimulationError, match="Internal, Software, External"):
        camera.set_trigger_mode(mode)


def test_whoever_waits_for_a_trigger_waits_no_more_when_the_camera_is_armed_again():
    camera, got = make(VirtualClock())[0], []
    camera.set_trigger_mode("Software")
    waiter = threading.Thread(target=lambda: got.append(camera.next_triggered(*camera.arm(), 20.0)))
    waiter.start()
    time.sleep(0.2)
    armed = camera.arm()
    waiter.join(5.0)
    assert got == [None]
    camera.trigger("Software")
    assert camera.next_triggered(*armed, 1.0) is not None
