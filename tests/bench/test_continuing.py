"""A capture that was killed goes on at the next start, on a bench that is the same; on one that has moved it does not.

A killed start takes a second process, so both facts are looked at in one lost run.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from labonn.instruments import open_bench
from labonn.protocol import Outcome, run_protocol
from labonn.records import read_frames, read_run
from tests.benchmarks.protocols import capture_numbers
from tests.benchmarks.soak import calibrated

from .conftest import Simulated
from .counter import BITS, Reader

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="kills by signal")]

IMAGES = 60
SCRIPT = Path(capture_numbers.__file__)


@pytest.fixture(scope="module")
def lost(world: Simulated, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Reader, int]:
    """Kill a capture in its middle: the laboratory's folder, who reads its frames, how many were acknowledged."""
    lab = tmp_path_factory.mktemp("killed")
    with open_bench(world.file) as bench:
        calibration, reader = calibrated(bench)
    calibration.save(lab / "under-flat-phase.h5")
    command = [sys.executable, "-m", "labonn", "run", str(SCRIPT), str(world.file), "--lab", str(lab)]
    for setting in (f"calibration={lab / 'under-flat-phase.h5'}", f"images={IMAGES}"):
        command += ["--set", setting]
    acknowledged = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("acknowledged"):
                acknowledged = int(line.split()[1])
            if acknowledged >= 16:
                break
        process.kill()
    assert acknowledged >= 16
    return lab, reader, acknowledged


def start_again(world: Simulated, lab: Path, killed_lab: Path) -> Outcome:
    settings = {"calibration": str(killed_lab / "under-flat-phase.h5"), "images": str(IMAGES)}
    return run_protocol(SCRIPT, world.file, lab, settings, quiet=True)


def frames_of(outcome: Outcome, reader: Reader) -> np.ndarray:
    """Check that every image is there once and that each frame is of its image; give which run took it."""
    assert outcome.status == "done", outcome.error
    rows = read_frames(outcome.run_folder / "frames.h5", capture_numbers.GROUP, ["image", "frame", "from_run"])
    np.testing.assert_array_equal(rows["image"], np.arange(IMAGES))
    assert [reader.number(frame) for frame in rows["frame"]] == [number % 2**BITS for number in range(IMAGES)]
    return rows["from_run"]


def test_a_killed_capture_goes_on_where_it_was(
    world: Simulated, lost: tuple[Path, Reader, int], tmp_path: Path
) -> None:
    lab, reader, acknowledged = lost
    moved = shutil.copytree(lab, tmp_path / "moved")
    outcome = start_again(world, lab, lab)
    origin = frames_of(outcome, reader)
    assert acknowledged <= (origin == 1).sum() < IMAGES
    (name,) = read_run(outcome.run_folder).continues
    assert read_run(lab / "runs" / name).status == "lost"

    with world.changed(effects__knock__on=True, effects__knock__at_s=0.0, effects__knock__shift_px=[0.5, 0.0]):
        anew = start_again(world, moved, lab)
    assert not frames_of(anew, reader).any()
    said = read_run(anew.run_folder).notes["not continued"]
    assert said["run"] == name
    assert "the bench has changed since: the maps of tile" in said["because"]
