"""A colour display before a grey camera, on a simulated bench: colours one after another, each frame counted."""

import base64
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from labonn.capture import Calibrator, CaptureCounts, Pattern, Registration, capture, ready_for_captures
from labonn.design import lay_out, load_design
from labonn.instruments import open_bench

from .conftest import Simulated, simulated
from .test_shipped_benches import copied, pictures, through

# The bench `lens`, whose display has three planes now. The camera is as it was.
BENCH = ('device = "Display"\n', 'device = "Display"\nplanes = "GRB"\n')
WORLD = ("wavelength_nm = 532.0\n", "wavelength_nm = 532.0\nchannels_nm = [532.0, 620.0, 460.0]\n")
PLANES = (1, 0, 2)  # the colour of each, in the order R, G, B
TAP_UM, SIDE_TAPS = 26.0, 33
IMAGES, STALE_AT = 6, 8


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    """Give a lens, a display in colour and a camera that is grey."""
    file = copied(tmp_path_factory.mktemp("turns"), "lens", BENCH, world=(WORLD,))
    with simulated(file) as started:
        started.set(effects__display_gamma__on=False)  # as the display of `poly` has it, too: maps are linear then
        yield started


def test_three_frames_an_image_and_one_more_for_each_that_was_spoilt(laboratory: Simulated, tmp_path: Path) -> None:
    images, probes = (np.clip(pictures(count, seed)[:, :, 2:30, 2:30], 0, 1) for count, seed in ((IMAGES, 2), (6, 1)))
    with open_bench(laboratory.file) as bench:
        assert bench.display.shape == (3 * 512, 512)
        layout = lay_out(load_design("mnist-lens").optic)
        calibrator = Calibrator(bench, tmp_path, "turns", layout, (28, 28), Pattern(None, probes, probes[:, None]))
        calibration, used = ready_for_captures(calibrator, lambda _: None)
        assert [one.kind for one in used] == ["exposure", "dark", "flat", "geometry", "maps"], "there is no mixing"
        counts, known, before = CaptureCounts(), len(laboratory.injected()), laboratory.truth()["frames"]
        with laboratory.faulty(schedule=[{"door": "camera", "kind": "stale", "at": STALE_AT}]):
            shots = list(capture(bench, images, Registration(calibration), keep_frames=True, counts=counts))
        taken = laboratory.truth()["frames"] - before
        assert [one["kind"] for one in laboratory.injected()[known:]] == ["stale"]
    assert counts.summary() == {"asked": 3 * IMAGES, "delivered": 3 * IMAGES, "stale": 1}
    assert sum(len(shot.retakes) for shot in shots) == 1
    assert 3 * IMAGES + 1 <= taken <= 3 * IMAGES + 6, "one to begin with, one of black, those taken ahead of the spoilt"
    psfs = np.empty((1, 3, SIDE_TAPS, SIDE_TAPS))
    for channel, colour in enumerate(PLANES):
        reply = laboratory.ask(op="psf", tile=0, channel=channel, pixel_um=TAP_UM, side=SIDE_TAPS)
        psfs[0, colour] = np.frombuffer(base64.b64decode(reply["base64"]), "<f4").reshape(reply["shape"])
    expected = through(psfs, np.zeros((1, 2), int), images)[:, 0]
    tiles = np.stack([shot.tiles[0] for shot in shots])
    assert shots[0].frame is not None
    assert shots[0].frame.shape == (3, *bench.camera.shape)
    for shown in range(3):
        likeness = [np.corrcoef(tiles[:, shown].ravel(), expected[:, colour].ravel())[0, 1] for colour in range(3)]
        assert likeness[shown] > 0.98
        assert max(likeness) == likeness[shown], "each colour from its own frame"
