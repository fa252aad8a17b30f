"""Captures of a lost run are taken over where the bench is the same, and left alone where it is not."""

from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest

from labonn.capture import Calibration, CapturedImage
from labonn.protocol import run_protocol
from labonn.records import frame_counts, read_frames, read_kept, read_run

from .conftest import BENCH

TILES, SIDE = 2, 8

SCRIPT = """
from pathlib import Path

import numpy as np

from labonn.capture import Calibration
from labonn.protocol.capturing import capture_group, optics_hash

pattern = np.zeros((4, 4), np.float32)
calibration = lab.continuation.calibration(lab, optics_hash(pattern), pattern)
if calibration is None:
    calibration = Calibration.load(Path(__file__).with_name("calibration.h5"))
    lab.note("calibrated", "anew")
images = np.random.default_rng(parameters.seed).uniform(0, 1, (parameters.captures, 8, 8)).astype(np.float32)
fit = capture_group(lab, "fit", images[:10], calibration, optics_hash(pattern))
test = capture_group(lab, "test", images, calibration, optics_hash(pattern), keep_frames=False)
return {"fit": fit[:, 0, 0, 0], "test": test[:, 0, 0, 0], "shown": images[:, 0, 0]}
"""


class Optics:
    """Stands in for the capture loop: maps are the image, with noise."""

    def __init__(self):
        self.captured = 0
        self.dies_after = 1 << 30
        self.moved = 0
        self.noise = np.random.default_rng(0)

    def capture(self, bench, images, registration, *, keep_frames, counts):
        for index, image in enumerate(images):
            if self.captured == self.dies_after:
                raise KeyboardInterrupt("dies")
            self.captured += 1
            tiles = np.stack([np.roll(image, self.moved, axis=1)] * TILES)
            yield CapturedImage(
                index=index,
                tiles=(tiles + self.noise.normal(0, 1e-3, tiles.shape)).astype(np.float32),
                frame=np.full((SIDE, SIDE), 1000 * image[0, 0], np.uint16),
                saturated_px=0,
                retakes=(),
                taken_utc=datetime.now(UTC).isoformat(),
                taken_s=float(self.captured),
            )


@pytest.fixture
def optics(monkeypatch, bench):
    stand_in = Optics()
    for place in ("capturing", "continuing"):
        monkeypatch.setattr(f"labonn.protocol.{place}.capture", stand_in.capture)
    monkeypatch.setattr("labonn.protocol.lab.Lab.registration", lambda lab, calibration: calibration)
    bench.camera = SimpleNamespace(shape=(SIDE, SIDE))
    bench.slm = SimpleNamespace(show=lambda pattern: bench.events.append("pattern"))
    return stand_in


@pytest.fixture
def go(tmp_path, write_script, optics):
    """Run the script; a run that is to die is closed as lost afterwards, as the next start does with a killed one."""
    script = write_script(SCRIPT)
    ones = np.ones(TILES)
    Calibration(
        bench="mono",
        made_utc="2026-11-26T10:00:00+00:00",
        image_shape=(8, 8),
        exposure_ms=1.0,
        dark=np.zeros((SIDE, SIDE), np.float32),
        dark_noise=1.0,
        flat=np.ones((SIDE, SIDE), np.float32),
        affine=np.zeros((TILES, 2, 3)),
        **dict.fromkeys(("geometry_rms_px", "transmission", "gain", "background", "gain_residual"), ones),
    ).save(tmp_path / "calibration.h5")

    def go(*, dies_after=None, status="lost", **options):
        optics.captured, optics.dies_after = 0, 1 << 30 if dies_after is None else dies_after
        settings = {"captures": "210", **options.pop("settings", {})}
        outcome = run_protocol(script, BENCH, tmp_path / "lab", settings, quiet=True, **options)
        if dies_after is not None:
            assert outcome.error == "dies"
            closed = (outcome.run_folder / "run.json").read_text().replace('"aborted"', f'"{status}"')
            (outcome.run_folder / "run.json").write_text(closed)
        return outcome

    return go


def check_whole(outcome):
    """Every image once, in order, each with its own maps, frames where they belong."""
    assert outcome.status == "done", outcome.error
    shown = np.array(outcome.result["shown"])
    np.testing.assert_allclose(outcome.result["test"], shown, atol=0.01)
    np.testing.assert_allclose(outcome.result["fit"], shown[:10], atol=0.01)
    frames = outcome.run_folder / "frames.h5"
    counts = frame_counts(frames)
    assert (counts["fit"], counts["test"]) == (10, 210)
    test = read_frames(frames, "test")
    np.testing.assert_array_equal(test["image"], np.arange(210))
    np.testing.assert_allclose(test["tiles"][:, 0, 0, 0], shown, atol=0.01)
    rows, raw = read_kept(frames, "test")
    np.testing.assert_array_equal(rows, [0, 100, 200])
    np.testing.assert_array_equal(raw[:, 0, 0], (1000 * shown[rows]).astype(np.uint16))
    fit = read_frames(frames, "fit")
    np.testing.assert_array_equal(fit["frame"][:, 0, 0], (1000 * shown[:10]).astype(np.uint16))
    return test["from_run"]


def test_a_run_that_nothing_ends_keeps_every_frame_of_a_fit_and_every_hundredth_of_an_evaluation(go, optics):
    outcome = go()
    assert not check_whole(outcome).any()
    assert optics.captured == 220
    record = read_run(outcome.run_folder)
    assert record.continues == []
    assert record.captured_with.groups == ["fit", "test"]
    assert (outcome.run_folder / "calibration.h5").is_file()


def test_a_lost_run_is_continued_where_its_captures_ended(go, optics):
    lost = go(dies_after=130)
    outcome = go()
    origin = check_whole(outcome)
    assert optics.captured == 220 - 130 + 24
    np.testing.assert_array_equal(origin, [1] * 120 + [0] * 90)
    record = read_run(outcome.run_folder)
    assert record.continues == [lost.run_folder.name]
    assert record.captured_with == read_run(lost.run_folder).captured_with
    assert record.notes["taken over: test"] == {"captures": 120, "of": 210}
    assert "calibrated" not in record.notes
    assert record.notes["continued"]["run"] == lost.run_folder.name
    assert frame_counts(outcome.run_folder / "frames.h5")["check-before-continuing"] == 12
    assert "120 of 210 captures are taken over" in (outcome.run_folder / "log.jsonl").read_text()


def test_a_run_that_is_lost_again_and_again_is_continued_each_time(go, optics):
    lost = [go(dies_after=number) for number in (60, 24 + 28, 3, 24 + 58)]
    outcome = go()
    origin = check_whole(outcome)
    known = [run.run_folder.name for run in reversed(lost)]
    assert read_run(outcome.run_folder).continues == [known[0], known[2], known[3]]
    names = np.array(["this one", *read_run(outcome.run_folder).continues])[origin]
    # 10 of a fit and 50; 24 to look at the bench and 28; it died while it looked; 24 and 58; 24 and the rest
    assert {name: int((names == name).sum()) for name in [known[3], known[2], known[0], "this one"]} == dict(
        zip([known[3], known[2], known[0], "this one"], [50, 28, 58, 74], strict=True)
    )


def test_a_bench_that_has_moved_leaves_the_old_captures_alone(go, optics):
    lost = go(dies_after=130)
    before = (lost.run_folder / "frames.h5").read_bytes()
    optics.moved = 1
    outcome = go()
    assert optics.captured == 220 + 24
    record = read_run(outcome.run_folder)
    assert record.continues == []
    assert record.notes["calibrated"] == "anew"
    assert "the bench has changed since: the maps of tile" in record.notes["not continued"]["because"]
    assert not read_frames(outcome.run_folder / "frames.h5", "test")["from_run"].any()
    assert (lost.run_folder / "frames.h5").read_bytes() == before


@pytest.mark.parametrize(
    ("break_it", "because"),
    [
        (lambda lost, bench: setattr(bench.camera, "shape", (4, 4)), "the camera's are (4, 4) now"),
        (lambda lost, bench: (lost / "calibration.h5").unlink(), "there is no calibration"),
        (lambda lost, bench: (lost / "calibration.h5").write_bytes(b"x"), "was changed since"),
    ],
)
def test_what_does_not_fit_is_captured_anew(go, optics, bench, break_it, because):
    lost = go(dies_after=130)
    break_it(lost.run_folder, bench)
    outcome = go()
    assert because in read_run(outcome.run_folder).notes["not continued"]["because"]
    assert optics.captured == 220
    assert outcome.status == "done"


def test_other_images_are_captured(go, optics):
    go(dies_after=130)
    outcome = go(settings={"seed": "4"})
    assert outcome.status == "done"
    assert optics.captured == 220


def test_an_aborted_run_is_continued_only_by_its_name(go, optics):
    aborted = go(dies_after=130, status="aborted")
    unasked = go()
    assert f"--continue {aborted.run_folder.name}" in (unasked.run_folder / "log.jsonl").read_text()
    assert optics.captured == 220
    check_whole(go(continue_run=aborted.run_folder.name))
    assert optics.captured == 220 - 130 + 24


def test_fresh_captures_everything(go, optics):
    go(dies_after=130)
    go(fresh=True)
    assert optics.captured == 220


def test_a_run_that_cannot_be_continued_is_refused_before_the_bench_is_touched(go, optics, bench):
    done = go()
    bench.events.clear()
    outcome = go(continue_run=done.run_folder.name)
    assert (outcome.status, outcome.exit_code) == ("failed", 2)
    assert "is done; only" in outcome.error
    assert bench.events == []
