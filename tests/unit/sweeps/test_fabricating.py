"""Benches that are drawn: what is set is set, all else stays, and each has a name and a seed of its own."""

import tomllib
from pathlib import Path

import pytest

import sim
from labonn.errors import ConfigError, LabonnError
from labonn.instruments import read_bench
from labonn.sweeps import Order, read_sweep
from labonn.sweeps.fabricating import _labonn, draw_bench, toml_text

MONO = Path(sim.__file__).parent / "benches" / "mono.bench.toml"


def order(**settings):
    return Order(3, settings, {"name": "yields"}, {}, "")


def test_a_drawn_bench_differs_by_what_was_set_and_its_seed_alone(tmp_path):
    before = tomllib.loads(MONO.with_name("mono.world.toml").read_text())
    made = draw_bench(MONO, tmp_path / "draw-0", order(**{"world.fabrication.kernel_noise": 0.2, "seed": 1}), seed=12)
    bench, drawn = read_bench(made), tomllib.loads((made.parent / "drawn.world.toml").read_text())
    assert bench.name == "mono-yields-3-draw-0"
    assert bench.geometry == read_bench(MONO).geometry
    assert (drawn["seed"], drawn["effects"]["fabrication"]["on"]) == (12, True)
    assert drawn["effects"]["fabrication"]["kernel_noise"] == 0.2
    before["seed"], before["effects"]["fabrication"] = (
        12,
        {**before["effects"]["fabrication"], "on": True, "kernel_noise": 0.2},
    )
    assert drawn == before
    assert (made.parent / "mono.cfg").is_file()
    other = draw_bench(MONO, tmp_path / "draw-1", order(), seed=13)
    assert read_bench(other).name != bench.name


def test_an_effect_that_the_world_has_not_is_refused(tmp_path):
    file = tmp_path / "yields.sweep.toml"
    head = f'schema = 1\nname = "yields"\ndesign = "digits-mono"\ndoes = "fabricate"\nbench = "{MONO}"\n[keys]\n'
    file.write_text(f"{head}world.fabrication.kernel_noise = [0.1]\n")
    assert read_sweep(file).sweep.bench == str(MONO)
    for key, said in (
        ("world.fabricaton.kernel_noise", "the world's effects are phase_table, "),
        ("world.fabrication.kernel_nois", "effect 'fabrication' has on, phase_waves, "),
    ):
        file.write_text(f"{head}{key} = [0.1]\n")
        with pytest.raises(ConfigError, match=f"keys.{key}: no such key: {said}"):
            read_sweep(file)
        with pytest.raises(ConfigError, match=said):
            draw_bench(MONO, tmp_path, order(**{key: 1.0}), seed=0)
    real = tmp_path / "real.bench.toml"
    real.write_text('name = "real"\n')
    with pytest.raises(ConfigError, match="only simulated benches"):
        draw_bench(real, tmp_path, order(), seed=0)


def test_nested_tables_are_written_as_they_were():
    content = {"schema": 1, "name": 'a "b"', "a": {"on": True, "x": [1.5, -2], "deeper": {"y": 3}}, "b": {}}
    assert tomllib.loads(toml_text(content)) == content


def test_a_command_that_fails_says_why(tmp_path):
    with pytest.raises(LabonnError, match="labonn design: there is no design 'nothing'"):
        _labonn("design", "check", "nothing", "--lab", tmp_path)
