"""A new laboratory: files that can be read as they are, named after their folder, and never written over others."""

import tomllib

import pytest

from labonn.cli.init import bench_name, laboratory_files
from labonn.design import load_design
from labonn.instruments import (
    SLM,
    Camera,
    Display,
    Light,
    PowerMeter,
    Shutter,
    Site,
    Stage,
    SystemClock,
    Thermometer,
    driver_names,
    read_bench,
)
from labonn.instruments.bench_config import InstrumentEntry
from labonn.instruments.registry import make_instrument
from labonn.protocol import plan_protocol


def test_what_is_written_can_be_read_as_it_is(tmp_path, answer):
    said = answer("init", tmp_path / "my lab")
    assert said["exit_code"] == 0
    folder = tmp_path / "my lab"
    assert said["bench"] == str(folder / "my-lab.bench.toml")
    bench = read_bench(folder / "my-lab.bench.toml")
    assert bench.name == "my-lab"
    assert set(bench.roles.named()) == {"display", "slm", "camera", "shutter", "light", "meter", "thermometer"}
    assert len(bench.interlocks.conditions) == 4
    assert {entry.driver for entry in bench.instruments.values()} <= set(driver_names())
    assert load_design(str(folder / "my-lab.design.toml")).name == "my-lab"
    assert (folder / "lab").is_dir()
    assert plan_protocol("check_bench", folder / "my-lab.bench.toml").bench_config.name == "my-lab"


def test_a_new_laboratory_turns_no_laser_on_before_somebody_has_armed_it():
    bench = tomllib.loads(laboratory_files("lab")["lab.bench.toml"])
    assert "max_power_mw" not in bench["instruments"]["laser"]


def alternatives(text):
    """Give every table that is commented out, as whoever takes the # away would have it."""
    blocks = [block for block in text.split("\n\n") if "\n# [instruments." in f"\n{block}"]
    for block in blocks:
        lines = [line.removeprefix("# ") for line in block.splitlines()]
        begin = next(number for number, line in enumerate(lines) if line.startswith("["))
        yield tomllib.loads("\n".join(lines[begin:]))["instruments"]


def test_every_table_is_one_that_its_driver_takes(tmp_path):
    text = laboratory_files("lab")["lab.bench.toml"]
    commented = list(alternatives(text))
    assert len(commented) == 3
    kinds = {"display": Display, "slm": SLM, "camera": Camera, "shutter": Shutter, "laser": Light}
    kinds |= {"meter": PowerMeter, "thermometer": Thermometer, "focus": Stage}
    site = Site(tmp_path, SystemClock())
    for tables in (tomllib.loads(text)["instruments"], *commented):
        for name, table in tables.items():
            made = make_instrument(name, InstrumentEntry.model_validate(table), kinds[name], site, "x")
            assert made.name == name


def test_a_laser_that_is_armed_as_the_comment_says_is_armed():
    text = laboratory_files("lab")["lab.bench.toml"]
    armed = tomllib.loads(text.replace("# max_power_mw", "max_power_mw").replace("# power_mw", "power_mw"))
    assert armed["instruments"]["laser"]["max_power_mw"] >= armed["instruments"]["laser"]["power_mw"] > 0


@pytest.mark.parametrize("there", ["x.bench.toml", "x.design.toml"])
def test_nothing_is_overwritten_and_then_nothing_is_written(tmp_path, answer, there):
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / there).write_text("mine")
    said = answer("init", folder)
    assert said["exit_code"] == 2
    assert there in said["error"]
    assert [path.name for path in folder.iterdir()] == [there]
    assert (folder / there).read_text() == "mine"


def test_a_folder_that_holds_other_things_is_written_into(tmp_path, answer):
    (tmp_path / "notes.txt").write_text("mine")
    assert answer("init", tmp_path)["exit_code"] == 0
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_laboratory_elsewhere_is_in_what_to_do_next(tmp_path, answer):
    said = answer("init", tmp_path / "x", "--lab", tmp_path / "elsewhere")
    assert f"--lab {tmp_path / 'elsewhere'}" in " ".join(said["next"])
    assert (tmp_path / "elsewhere").is_dir()
    assert not (tmp_path / "x" / "lab").exists()


def test_a_file_in_the_way_is_a_wrong_argument(tmp_path, answer):
    (tmp_path / "x").write_text("a file")
    assert answer("init", tmp_path / "x")["exit_code"] == 2


@pytest.mark.parametrize(
    ("folder", "name"),
    [("Lab 2", "Lab-2"), ("_x_", "x"), ("\u00e9t\u00e9", "t"), ("\u6f22", "bench"), ("a" * 90, "a" * 64)],
)
def test_a_bench_is_named_after_its_folder_by_what_a_name_may_hold(tmp_path, folder, name):
    assert bench_name(tmp_path / folder) == name
    for file, text in laboratory_files(name).items():
        (tmp_path / file).write_text(text, encoding="utf-8")
    assert read_bench(tmp_path / f"{name}.bench.toml").name == name
    assert load_design(str(tmp_path / f"{name}.design.toml")).name == name.lower()
