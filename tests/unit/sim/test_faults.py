import numpy as np
import pytest
from pydantic import ValidationError

from sim.clock import VirtualClock
from sim.fault_plan import DOORS, FaultPlan
from sim.faults import Faults
from sim.world import World
from tests.unit.sim.worlds import NOISE, small_world


def follow(plan):
    return Faults(VirtualClock(), FaultPlan.model_validate(plan))


def test_nothing_goes_wrong_unless_it_is_told():
    faults = Faults(VirtualClock(), FaultPlan())
    assert [faults.due(door)[0] for door in DOORS for _ in range(50)] == [None] * 50 * len(DOORS)


def test_a_schedule_is_kept_to():
    faults = follow({"schedule": [{"door": "laser", "kind": "late", "at": 3}]})
    assert [faults.due("laser") for _ in range(4)] == [(None, 1), (None, 2), ("late", 3), (None, 4)]
    assert faults.due("meter") == (None, 1)


def test_chance_has_its_rates():
    faults = follow({"seed": 5, "rates": {"camera.stale": 0.05, "camera.dropped": 0.2}})
    drawn = [faults.due("camera")[0] for _ in range(20_000)]
    assert drawn.count("stale") / len(drawn) == pytest.approx(0.05, abs=0.006)
    assert drawn.count("dropped") / len(drawn) == pytest.approx(0.2, abs=0.012)


def test_a_seed_decides_whatever_happens_at_other_doors():
    plan = {"seed": 7, "rates": {"camera.stale": 0.3, "laser.late": 0.5}}
    one, same, other = follow(plan), follow(plan), follow({**plan, "seed": 8})
    for _ in range(17):
        same.due("laser")
    drawn = [[faults.due("camera") for _ in range(100)] for faults in (one, same, other)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_another_plan_counts_anew():
    faults = follow({"schedule": [{"door": "laser", "kind": "late", "at": 1}]})
    faults.due("laser")
    faults.follow(FaultPlan.model_validate({"schedule": [{"door": "laser", "kind": "split", "at": 2}]}))
    assert [faults.due("laser")[0] for _ in range(2)] == [None, "split"]


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"rates": {"camera.late": 0.1}}, "camera has no fault 'late'"),
        ({"rates": {"kettle.late": 0.1}}, "no faults for 'kettle'"),
        ({"rates": {"laser.late": 1.1}}, "less than or equal to 1"),
        ({"rates": {"laser.late": 0.6, "laser.gone": 0.6}}, "sum to 1.2"),
        ({"schedule": [{"door": "laser", "kind": "late", "at": 0}]}, "greater than 0"),
        ({"schedule": [{"door": "laser", "kind": kind, "at": 1} for kind in ("late", "gone")]}, "same request"),
        ({"luck": 1}, "luck"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(plan, said):
    with pytest.raises(ValidationError, match=said):
        FaultPlan.model_validate(plan)


@pytest.fixture
def world():
    world = World("trial", small_world(off=NOISE), 0, VirtualClock())
    world.illumination.set_shutter(True)
    return world


def show(world, level, columns=slice(None)):
    picture = np.zeros(world.file.display.shape, np.uint8)
    picture[:, columns] = level
    world.show("display", picture)
    world.clock.sleep_until_s(world.clock.now_s() + 1.0)


def next_frame_is(world, kind):
    world.faults.follow(FaultPlan.model_validate({"schedule": [{"door": "camera", "kind": kind, "at": 1}]}))
    return world.camera.snap()


def test_a_dropped_frame_is_counted_and_never_delivered(world):
    show(world, 255)
    assert next_frame_is(world, "dropped") is None
    assert world.camera.snap().number == 2


def test_a_duplicated_frame_is_the_one_before_under_another_number(world):
    show(world, 255)
    first = world.camera.snap()
    show(world, 255, slice(0, 30))
    second = next_frame_is(world, "duplicated")
    assert second.number == first.number + 1
    assert np.array_equal(second.frame, first.frame)


def test_a_stale_frame_is_another_exposure_of_the_picture_before():
    world = World("trial", small_world(), 0, VirtualClock())
    world.illumination.set_shutter(True)
    show(world, 255)
    old = world.camera.snap().frame
    show(world, 255, slice(0, 30))
    new = world.camera.snap().frame
    stale = next_frame_is(world, "stale").frame
    assert not np.array_equal(stale, old)
    assert np.abs(stale - old.astype(float)).mean() < 0.2 * np.abs(stale - new.astype(float)).mean()
    assert np.abs(world.camera.snap().frame - new.astype(float)).mean() < 20


def test_the_last_rows_of_a_truncated_frame_are_missing(world):
    show(world, 255)
    frame = next_frame_is(world, "truncated").frame
    rows = len(frame) // 8
    assert not frame[-rows:].any()
    assert frame[:-rows].min() >= 50


def test_a_frame_fault_that_makes_no_difference_is_not_injected(world):
    assert next_frame_is(world, "duplicated") is not None
    assert next_frame_is(world, "stale") is not None
    show(world, 255)
    world.illumination.set_shutter(False)
    assert next_frame_is(world, "stale") is not None
    assert world.faults.report()["injected"] == []


def test_the_truth_knows_what_was_injected(world):
    show(world, 255)
    world.camera.snap()
    next_frame_is(world, "truncated")
    report = world.faults.report()
    assert report["counts"] == {"camera.truncated": 1}
    fault = report["injected"][0]
    assert (fault["door"], fault["kind"], fault["number"], fault["at"]) == ("camera", "truncated", 2, 1)
    assert fault["world_s"] == pytest.approx(world.clock.now_s(), abs=0.01)
