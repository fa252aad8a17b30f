"""Two processes under torchrun train what one does. Slow: three processes load torch and Fabric."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from labonn.cli.app import app
from labonn.records import load_model

DESIGN = """
schema = 1
name = "shared"
task = "digits"

[optic]
aperture_mm = [8.64, 8.64]
kernel_mm = 2.048
spacing_mm = 0.064
kernels = 8

[sensor]  # without noise, which each process draws for its own images
full_well_e = 1e12
read_noise_e = 0.0

[teacher]
epochs = 1

[training]
method = "kd"
epochs = 1
"""


@pytest.mark.slow
def test_two_processes_that_share_each_batch_train_what_one_does(tmp_path):
    design = tmp_path / "shared.design.toml"
    design.write_text(DESIGN, encoding="utf-8")
    train = ["train", str(design), "--device", "cpu", "--lab"]
    alone = app(args=[*train, str(tmp_path / "one")], prog_name="labonn", standalone_mode=False).content
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "labonn"]
    done = subprocess.run(
        [*command, *train, str(tmp_path / "two"), "--json"],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shared = json.loads(done.stdout)  # one object: the first process answers for both
    assert shared["environment"]["processes"] == 2
    assert shared["accuracy"]["simulated"] == pytest.approx(alone["accuracy"]["simulated"], abs=0.5)
    ours, theirs = (
        load_model(Path(tmp_path / lab), answer["model"]).weights for lab, answer in (("one", alone), ("two", shared))
    )
    for part in ("teacher", "student"):
        for name, value in ours[part].items():
            np.testing.assert_allclose(theirs[part][name], value, atol=1e-3, err_msg=f"{part} {name}")


@pytest.mark.slow
def test_two_trainings_begun_at_once_make_one_teacher(tmp_path):
    design = tmp_path / "shared.design.toml"
    design.write_text(DESIGN.replace('"kd"', '"ntkd+kd"'), encoding="utf-8")
    command = [sys.executable, "-m", "labonn", "train", str(design), "--device", "cpu", "--lab", str(tmp_path)]
    begun = [
        subprocess.Popen([*command, "--seed", seed, "--teacher-seed", "0", "--json"], stdout=subprocess.PIPE, text=True)
        for seed in ("0", "1")
    ]
    answers = [json.loads(process.communicate(timeout=300)[0]) for process in begun]
    assert [process.returncode for process in begun] == [0, 0]
    assert len({answer["teacher"]["sha256"] for answer in answers}) == 1
    assert sorted(answer["teacher"]["reused"] for answer in answers) == [False, True]
