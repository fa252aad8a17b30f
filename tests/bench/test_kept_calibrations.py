"""Kept calibrations are used where they hold, and made again where they do not; a cancelled one leaves no trace.

In a world whose lenslets are perfect, where a tile's place is where its picture is.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from labonn.capture import Calibration, Calibrator, Pattern, Used, ready_for_captures
from labonn.design import Layout, lay_out, load_design
from labonn.errors import Aborted, CalibrationError
from labonn.instruments import Bench, open_bench
from labonn.records import calibration_history, current_calibrations

from .conftest import Simulated
from .counter import counter_images

pytestmark = pytest.mark.slow

BASIS = ("exposure", "dark", "flat", "geometry")


@pytest.fixture(scope="module")
def bench(world: Simulated) -> Iterator[Bench]:
    with (
        world.changed(effects__aberrations__on=False, effects__phase_screen__on=False),
        open_bench(world.file) as opened,
    ):
        yield opened


@pytest.fixture(scope="module")
def layout() -> Layout:
    return lay_out(load_design("mnist-mono").optic)


@pytest.fixture(scope="module")
def pattern(bench: Bench) -> Pattern:
    images = counter_images(range(4))
    return Pattern(np.zeros(bench.slm.shape, np.float32), images, np.repeat(images[:, None], 16, axis=1))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab")


def calibrator(bench: Bench, lab: Path, layout: Layout, pattern: Pattern) -> Calibrator:
    return Calibrator(bench, lab, "trial", layout, (28, 28), pattern)


def ready(bench: Bench, lab: Path, layout: Layout, pattern: Pattern) -> tuple[Calibration, dict[str, Used]]:
    calibration, used = ready_for_captures(calibrator(bench, lab, layout, pattern), lambda _: None)
    return calibration, {one.kind: one for one in used}


@pytest.fixture(scope="module")
def first(bench: Bench, lab: Path, layout: Layout, pattern: Pattern) -> dict[str, Used]:
    """Everything made from nothing."""
    return ready(bench, lab, layout, pattern)[1]


def test_what_is_kept_is_used_and_says_what_it_was_made_for(
    world: Simulated, bench: Bench, lab: Path, layout: Layout, pattern: Pattern, first: dict[str, Used]
) -> None:
    assert all("is missing" in first[kind].why for kind in BASIS)
    frames = world.truth()["frames"]
    calibration, again = ready(bench, lab, layout, pattern)
    kept = calibrator(bench, lab, layout, pattern).kept_for_captures()
    assert kept is not None
    assert (kept.exposure_ms, kept.made_utc) == (calibration.exposure_ms, calibration.made_utc)
    for name in ("affine", "gain", "background", "dark", "flat"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(calibration, name))
    assert {kind: again[kind].id for kind in BASIS} == {kind: first[kind].id for kind in BASIS}
    assert not any(again[kind].why for kind in BASIS)
    assert again["maps"].id != first["maps"].id
    assert world.truth()["frames"] - frames < 50  # two dark ones and a picture; then the maps' own
    geometry = current_calibrations(lab, bench.name)["geometry"]
    assert geometry.made_for["frame"] == list(bench.camera.shape)
    assert geometry.made_for["optic"] == "SIM-SLM-0001"
    assert geometry.made_for_sha256 is not None


def test_a_bumped_camera_is_noticed_and_its_geometry_found_again(
    world: Simulated, bench: Bench, lab: Path, layout: Layout, pattern: Pattern, first: dict[str, Used]
) -> None:
    before, _ = ready(bench, lab, layout, pattern)
    now_s = world.truth()["now_s"]
    with world.changed(effects__knock__on=True, effects__knock__at_s=now_s, effects__knock__shift_px=[0.0, 1.5]):
        after, used = ready(bench, lab, layout, pattern)
    assert not used["exposure"].why
    assert not used["dark"].why
    assert "the picture has moved by up to" in used["geometry"].why
    assert "the picture has moved by up to" in used["flat"].why
    moved_px = (after.affine - before.affine)[:, :, 2] * bench.camera.binning
    np.testing.assert_allclose(moved_px, np.broadcast_to([0.0, 1.5], moved_px.shape), atol=0.1)


def test_another_exposure_of_the_bench_makes_what_depends_on_it_new(
    bench: Bench, lab: Path, layout: Layout, pattern: Pattern, first: dict[str, Used]
) -> None:
    chosen = calibrator(bench, lab, layout, pattern)
    chosen.make("exposure", lambda _: None)
    assert "is out of order" in str(chosen.why_unusable("dark"))
    assert chosen.kept_for_captures() is None
    with pytest.raises(CalibrationError, match=r"'dark' .* is out of order: .*renew it: labonn run characterise"):
        chosen.make("geometry", lambda _: None)


def test_a_cancelled_one_leaves_the_bench_as_it_was(
    world: Simulated, bench: Bench, lab: Path, layout: Layout, pattern: Pattern, first: dict[str, Used]
) -> None:
    ramp = np.broadcast_to(np.linspace(0, 6, bench.slm.shape[1], dtype=np.float32), bench.slm.shape)
    picture = np.full(bench.display.shape, 0.25, np.float32)
    bench.slm.show(ramp)
    bench.display.show(picture)
    bench.camera.exposure_ms = 3.0
    before, kept = world.truth(), current_calibrations(lab, bench.name)
    asked = 0

    def abort(_: str) -> None:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise Aborted("asked to stop")

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    chosen = calibrator(bench, lab, layout, pattern)
    for kind in BASIS:
        if chosen.why_unusable(kind):
            chosen.make(kind, lambda _: None)
    kept = current_calibrations(lab, bench.name)
    for kind, say, error in (("psf", abort, Aborted), ("maps", interrupt, KeyboardInterrupt)):
        with pytest.raises(error):
            chosen.make(kind, say)
        after = world.truth()
        assert after["shown"] == before["shown"], kind
        assert after["exposure_ms"] == before["exposure_ms"] == 3.0
        assert not after["shutter_open"]
        assert {kind: one.id for kind, one in current_calibrations(lab, bench.name).items()} == {
            kind: one.id for kind, one in kept.items()
        }
    assert all(one.good for one in calibration_history(lab, bench.name))
