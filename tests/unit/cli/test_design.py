"""The commands about designs: what they say to programs, and what they refuse."""

from importlib import resources
from pathlib import Path

import pytest

import sim
from labonn.design import design_hash, load_design
from labonn.records import latest_estimate
from labonn.sweeps.performing import perform

MONO = Path(sim.__file__).parent / "benches" / "mono.bench.toml"
CATALOGUE = resources.files("labonn.design") / "catalogue"


def test_the_check_says_where_each_tile_is_and_draws_it(answer, tmp_path):
    said = answer("design", "check", "mnist-mono", "--bench", MONO, "--lab", tmp_path)
    assert len(said["tiles"]) == 16
    corner = said["tiles"][0]
    assert (corner["kernel"], corner["sign"], corner["exposure"]) == (0, 1, 0)
    assert corner["sensor_um"] == pytest.approx([-1.5 * 884, -1.5 * 884])
    assert corner["off_axis"] == pytest.approx(1.5 * 2.112 / 4.32)
    assert said["gap_taps"] == 0
    assert Path(said["sensor_picture"]).stat().st_size > 5_000


def test_light_that_is_too_broad_for_the_bench_is_refused(answer, tmp_path):
    file = tmp_path / "broad.design.toml"
    file.write_text(
        (CATALOGUE / "mnist-mono.design.toml").read_text().replace("taps = 7", "taps = 7\nbandwidth_nm = 40.0")
    )
    said = answer("design", "check", file, "--bench", MONO, "--lab", tmp_path)
    assert said["exit_code"] == 2
    assert "bandwidth_nm = 40 blurs a point over 77.0 um" in said["error"]


def test_an_estimate_says_what_a_design_reaches_and_costs(answer, tmp_path):
    said = answer("design", "estimate", "digits-mono", "--images", 80, "--initialisations", 1, "--lab", tmp_path)
    assert said["exit_code"] == 0
    assert 0 < said["accuracy"]["low"] < said["accuracy"]["estimate"] < said["accuracy"]["high"] < 100
    assert set(said["predictors"]) > {"ntk", "infinite_width", "random_kernels", "infinite_kernels", "lens", "kare"}
    assert said["energy_mj"]["backend"] == pytest.approx(48_240 * 30.85e-9, rel=1e-3)
    assert sum(layer["macs"] for layer in said["layers"]) == said["macs"]["digital"]
    assert said["backend_ms_here"] > 0
    assert set(said["latency_ms_at_least"]) == {"cortex-m7", "edge-tpu", "jetson-orin-nano"}
    page = Path(said["report"]).read_text(encoding="utf-8")
    assert "Learning curve" in page
    assert "the same backend behind a lens" in page
    assert "labonn design estimate digits-mono --images 80 --initialisations 1 --seed 0" in page
    kept = latest_estimate(tmp_path, "digits-mono")
    assert kept.design_hash == design_hash(load_design("digits-mono"))
    assert kept.accuracy == pytest.approx(said["accuracy"]["estimate"], abs=0.01)


def test_of_masks_energy_and_latency_are_said_and_no_accuracy(answer, tmp_path):
    said = answer("design", "estimate", "carvana-lens", "--lab", tmp_path)
    assert (said["exit_code"], said["miou"]) == (0, None)
    assert "no accuracy is estimated" in said["why_not"]
    assert said["energy_mj"]["total"] > 0


SWEEP = """schema = 1
name = "small"
design = "digits-mono"
fit_optic = true
images = 100
[keys]
design.optic.kernels = [1, 2]
design.backend.pool = [5, 14]
"""


class InThisProcess:
    """An engine without processes."""

    def __init__(self, workers, resources):
        self.workers = workers

    def run(self, orders, done):
        for order in orders:
            done(perform(order))

    def close(self):
        pass


def test_a_sweep_ends_with_the_best_designs_as_files_that_can_be_used(answer, tmp_path, monkeypatch):
    monkeypatch.setattr("labonn.sweeps.local.LocalEngine", InThisProcess)
    file = tmp_path / "small.sweep.toml"
    file.write_text(SWEEP)
    said = answer("design", "sweep", file, "--lab", tmp_path)
    assert (said["exit_code"], said["trials"], said["done"], said["refused"]) == (0, 4, 2, 2)  # 28 is no multiple of 5
    assert said["designs"]
    best = load_design(said["designs"][0])
    assert best.optic.kernels == said["front"][0]["settings"]["design.optic.kernels"]
    assert answer("design", "sweep", file, "--lab", tmp_path)["made_before"] == 4
    file.write_text(SWEEP.replace("[1, 2]", "[1, 3]"))
    other = answer("design", "sweep", file, "--lab", tmp_path)
    assert other["exit_code"] == 2
    assert "another sweep of this name" in other["error"]
    file.write_text(SWEEP.replace("5, 14", "5").replace("small", "none"))
    none = answer("design", "sweep", file, "--lab", tmp_path)
    assert none["exit_code"] == 1
    assert "pool = 5 does not divide" in none["error"]


def test_a_sweep_whose_key_does_not_exist_is_refused(answer, tmp_path):
    file = tmp_path / "small.sweep.toml"
    file.write_text(SWEEP.replace("optic.kernels", "optic.kernells"))
    said = answer("design", "sweep", file, "--lab", tmp_path)
    assert said["exit_code"] == 2
    assert f"{file}: keys.design.optic.kernells: no such key" in said["error"]
    assert not (tmp_path / "sweeps").exists()
    file.write_text(SWEEP)
    said = answer("design", "sweep", file, "--address", "127.0.0.1:1", "--lab", tmp_path)
    assert said["exit_code"] == 2
    assert "add --engine ray" in said["error"]
