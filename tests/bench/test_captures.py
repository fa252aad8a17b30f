"""Captures under every fault that a camera can have: every frame is right, or an error names what went wrong.

Which image a frame is of is read from a number in the scene, from the raw frame, by nothing of labonn's; what was
injected is what the world says.

- on a sound camera no image is taken for a stale one: digits, MNIST-like images, textures, and black among them
- a dropped, duplicated, stale or truncated frame is survived, at the first image and later, and counted as what it is
- several at random: as many right frames as were asked for
- a frame that is missing from a sequence is an error that says how many came
- a fault that stays ends the capture in the dark, with its name; what was captured before stands
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_digits

from labonn.capture import Calibration, CaptureCounts, CapturedImage, Registration, capture
from labonn.capture.ahead import AHEAD
from labonn.capture.light import light
from labonn.design import lay_out, load_design
from labonn.errors import InstrumentError, StaleFrameError
from labonn.instruments import Bench, open_bench

from .calibrating import calibrate
from .conftest import Simulated, bench_of, patience
from .counter import TAPS, Reader, counter_image, counter_images

pytestmark = pytest.mark.slow

FAULTS = ("dropped", "duplicated", "stale", "truncated")


@pytest.fixture(scope="module")
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bench of the world, its camera given up after a second; or the bench that the suite is run on."""
    if chosen := request.config.getoption("--bench", default=None):
        return Path(chosen)
    world: Simulated = request.getfixturevalue("world")
    # What a dropped frame costs, in labonn and in the camera's own adapter.
    sooner = (
        "timeout_ms = 10_000   # this computer's time, in which",
        "timeout_ms = 1_500   # this computer's time, in which",
    )
    found = bench_of(tmp_path_factory.mktemp("quick"), world.truth()["bench"], sooner)
    patience(found, 1000)
    return found


@pytest.fixture(scope="module")
def bench(file: Path) -> Iterator[Bench]:
    with open_bench(file) as opened:
        yield opened


@pytest.fixture(scope="module")
def calibration(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    """Under a flat phase, for counter images."""
    if not bench.has_slm:
        pytest.skip("no flat phase can be shown on a fixed optic")
    images = counter_images(range(8))
    flat = np.zeros(bench.slm.shape, np.float32)
    layout = lay_out(load_design("mnist-mono").optic)
    return calibrate(
        bench, tmp_path_factory.mktemp("lab"), layout, flat, images, np.repeat(images[:, None], 16, axis=1)
    )


@pytest.fixture(scope="module")
def reader(bench: Bench, calibration: Calibration) -> Reader:
    bench.camera.exposure_ms = calibration.exposure_ms
    with light(bench):
        return Reader(bench)


def captured(
    bench: Bench, calibration: Calibration, images: np.ndarray, counts: CaptureCounts | None = None
) -> list[CapturedImage]:
    return list(capture(bench, images, Registration(calibration), keep_frames=True, counts=counts))


def test_no_sound_frame_is_taken_for_a_stale_one(bench: Bench, calibration: Calibration) -> None:
    noise = np.random.default_rng(0)
    scans = load_digits().images[:120].astype(np.float32) / 16
    digits = np.pad(scans.repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2)))
    textures = np.stack([gaussian_filter(noise.normal(size=(TAPS, TAPS)), width) for width in np.linspace(0.5, 4, 60)])
    low, high = textures.min(axis=(1, 2), keepdims=True), textures.max(axis=(1, 2), keepdims=True)
    plain = np.stack([np.full((TAPS, TAPS), level) for level in (0, 1, 0, 0.5, 0.5)])
    images = np.concatenate([digits, (textures - low) / (high - low), plain, digits[:5]]).astype(np.float32)
    counts = CaptureCounts()
    for order in (np.arange(60), noise.permutation(len(images))):
        list(capture(bench, images[order], Registration(calibration), counts=counts))
    assert counts.summary() == {"asked": 60 + len(images), "delivered": 60 + len(images)}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("at", [2, 5], ids=["first", "later"])  # 1 is the frame to begin with
def test_one_spoilt_frame_is_survived(
    world: Simulated, bench: Bench, calibration: Calibration, reader: Reader, fault: str, at: int
) -> None:
    counts, numbers = CaptureCounts(), range(100, 108)
    known, frames = len(world.injected()), world.truth()["frames"]
    with world.faulty(schedule=[{"door": "camera", "kind": fault, "at": at}]):
        shots = captured(bench, calibration, counter_images(numbers), counts)
    assert [injected["kind"] for injected in world.injected()[known:]] == [fault]
    assert [reader.number(shot.frame) for shot in shots] == list(numbers)
    assert counts.summary() == {"asked": 8, "delivered": 8, fault: 1}
    assert [shot.retakes for shot in shots].index((fault,)) == at - 2
    taken = world.truth()["frames"] - frames
    assert 1 + 8 + 2 <= taken <= 1 + 8 + 2 + AHEAD + 1, "one to begin with, eight images, one of black, one again"


def test_many_at_random_are_survived(world: Simulated, bench: Bench, calibration: Calibration, reader: Reader) -> None:
    counts, numbers = CaptureCounts(), range(200, 260)
    known = len(world.injected())
    with world.faulty(seed=2, rates={f"camera.{fault}": 0.04 for fault in FAULTS}):
        shots = captured(bench, calibration, counter_images(numbers), counts)
    injected = Counter(one["kind"] for one in world.injected()[known:])
    assert set(injected) == set(FAULTS)
    assert [reader.number(shot.frame) for shot in shots] == list(numbers)
    found = counts.summary()
    assert (found.pop("asked"), found.pop("delivered")) == (60, 60)
    # What hits the frame to begin with, one of black, or one that was taken ahead of a spoilt one, costs nothing.
    assert injected.total() / 2 <= sum(found.values()) <= injected.total()


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        ("dropped", InstrumentError, r"camera: image 3: .*no frame came within.*tried 3 times in a row"),
        ("duplicated", StaleFrameError, r"camera: image 3: 540 of 540 rows are those of the frame before"),
        ("stale", StaleFrameError, r"camera: image 3: the frame shows .*; tried 3 times"),
        ("truncated", InstrumentError, r"camera: image 3: 67 of 540 rows hold no picture.*check its cable"),
    ],
)
def test_a_fault_that_stays_ends_the_capture_in_the_dark(
    world: Simulated, bench: Bench, calibration: Calibration, reader: Reader, fault: str, error: type, said: str
) -> None:
    delivered: list[CapturedImage] = []
    plan = [{"door": "camera", "kind": fault, "at": at} for at in range(5, 30)]
    shots = capture(bench, counter_images(range(300, 306)), Registration(calibration), keep_frames=True)
    with world.faulty(schedule=plan), pytest.raises(InstrumentError, match=said) as caught:
        delivered.extend(shots)
    assert type(caught.value) is error
    assert [reader.number(shot.frame) for shot in delivered] == [300, 301, 302]
    assert world.truth()["dark"]


def test_a_sequence_with_a_frame_missing_is_an_error_that_counts(world: Simulated, bench: Bench) -> None:
    bench.camera.exposure_ms = 5.0
    came = []
    with (
        world.faulty(schedule=[{"door": "camera", "kind": "dropped", "at": 6}]),
        pytest.raises(InstrumentError, match=r"camera: delivered 5 of 12 frames of a sequence"),
    ):
        came.extend(bench.camera.frames(12))
    assert len(came) == 5
    assert len(list(bench.camera.frames(12))) == 12


def test_the_number_in_the_scene_is_no_constant(bench: Bench, calibration: Calibration, reader: Reader) -> None:
    """The reader itself: a frame of nothing, of half of two numbers, or with rows missing has none."""
    shots = captured(bench, calibration, np.stack([counter_image(5), counter_image(10), np.zeros((TAPS, TAPS))]))
    five, ten, black = (np.asarray(shot.frame) for shot in shots)
    assert reader.number(five) == 5
    assert reader.number(ten) == 10
    assert reader.number(black) is None
    assert reader.number((five.astype(np.uint32) + ten).astype(np.uint16) // 2) is None
    five[-20:] = 0
    assert reader.number(five) is None
