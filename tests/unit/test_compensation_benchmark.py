"""What the benchmark of compensation stands on: its benches with a plain lens, and its tables."""

import pytest

from labonn.instruments import read_bench
from sim.world_file import read_bench as read_simulated
from tests.benchmarks import lens_benches
from tests.benchmarks.compensation_pictures import draw_optics
from tests.benchmarks.compensation_table import table
from tests.benchmarks.compensation_tasks import TASKS
from tests.unit.sim.worlds import BENCHES


@pytest.mark.parametrize(("shipped", "shape"), [("poly", (276, 276)), ("segmentation", (228, 212))])
def test_a_lens_stands_in_the_world_of_the_optic_and_has_as_much_sensor_as_one_tile(tmp_path, shipped, shape):
    file = lens_benches.write(BENCHES / f"{shipped}.bench.toml", tmp_path, "mine")
    bench, world = read_bench(file), read_simulated(file)[1]
    assert (bench.name, bench.optic.serial_number, bench.geometry.camera_px) == ("mine", "SIM-MINE", shape)
    assert (world.lenslets.count, world.optic.masks, world.camera.shape) == (1, None, shape)
    assert not world.effects.fabrication.on
    with_optic = read_simulated(BENCHES / f"{shipped}.bench.toml")[1]
    assert world.effects.aberrations == with_optic.effects.aberrations
    assert lens_benches.write(BENCHES / f"{shipped}.bench.toml", tmp_path, "mine") == file


def test_the_tables_say_by_how_much_a_world_drops_and_what_an_optic_is_worth():
    found = {"simulated/0": 79.0, "none/0": 53.0, "twin+kd/32": 76.4, "ceiling/20000": 76.0}
    cells = {f"poly/{seed}/{name}": {"accuracy": value + seed} for seed in (0, 1) for name, value in found.items()}
    cells |= {"poly-lens/0/simulated/0": {"accuracy": 56.0}, "poly-world-1/0/twin+kd/32": {"accuracy": 76.0}}
    cells["poly-world-1/0/ceiling/20000"] = {"accuracy": 76.5}
    said = table(TASKS["cifar10"], {name: cell | {"date": "2026-11-28"} for name, cell in cells.items()})
    assert "a drop of 26.00 +- 0.00 (2), seed by seed 26.0, 26.0; asked for: 25 to 30" in said
    assert "| trained kernels | 79.50 +- 0.71 (2) | 53.50 +- 0.71 (2) | 76.50 +- 0.71 (2) | 76.90 +- 0.71 (2) |" in said
    assert "| a plain lens | 56.00 (1) |  |  |  |" in said
    assert said.count("| ceiling, ") == 1, "the lens has none"
    assert "| poly-world-1 | none |  |  | 76.50 | 0.50 |  |" in said


def test_where_a_world_takes_nothing_no_part_of_it_is_said_to_have_returned():
    found = {"simulated/0": 56.4, "none/0": 56.8, "ceiling/20000": 56.9, "twin+kd/32": 56.7}
    cells = {f"poly-lens/0/{name}": {"accuracy": value, "date": "2026-11-28"} for name, value in found.items()}
    said = table(TASKS["cifar10"], cells)
    assert "By captures, accuracy (%):" in said
    assert "| twin+kd | 56.70 (1) |" in said
    assert "returned" not in said


def test_what_was_measured_twice_stands_beside_what_it_was():
    cell = {"accuracy": 76.4, "date": "2026-11-28", "again": {"value": 76.3, "date": "2026-11-28"}}
    assert "with `--again`: poly/0/twin+kd/32 76.30 (in the table: 76.40)." in table(
        TASKS["cifar10"], {"poly/0/twin+kd/32": cell}
    )
    later = {"accuracy": 76.5, "date": "2026-11-28", "after_again": True}
    assert "may hold newer captures: poly/0/twin+kd/200." in table(
        TASKS["cifar10"], {"poly/0/twin+kd/32": cell, "poly/0/twin+kd/200": later}
    )


def test_optics_are_drawn_that_were_measured_and_no_others(tmp_path):
    found = {"none/0": 53.0, "twin+kd/32": 76.4, "simulated/0": 79.0}
    cells = {f"poly/{seed}/{name}": {"accuracy": value + seed} for seed in (0, 1) for name, value in found.items()}
    files = [tmp_path / name for name in ("one.png", "two.png", "same.png")]
    more = cells | {f"poly-lens/0/{name}": {"accuracy": value} for name, value in found.items()}
    unfinished = cells | {"poly-lens/0/none/0": {"accuracy": 53.0}}
    for file, measured in zip(files, (cells, more, unfinished), strict=True):
        draw_optics([(TASKS["cifar10"], measured), (TASKS["carvana"], {})], file)
    one, two, same = (file.read_bytes() for file in files)
    assert one == same
    assert one != two
