import pytest

from sim.errors import SimulationError
from sim.world_file import BenchFile, Effects, WorldFile, read, read_bench
from tests.unit.sim.worlds import BENCHES, content


def test_the_shipped_bench_has_the_shipped_world():
    bench, world = read_bench(BENCHES / "mono.bench.toml")
    assert bench.name == "mono"
    assert bench.world.clock == "virtual"
    assert world.lenslets.count == 16


@pytest.mark.parametrize("effect", Effects.model_fields)
def test_each_effect_is_switched_by_one_key(effect):
    assert getattr(WorldFile.model_validate(content(off=(effect,))).effects, effect).on is False


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("schema = 2", "schema"),
        ("effects.fringing.sigma = 0.3", "effects.fringing.sigma"),
        ("camera.bit_depth = 40", "camera.bit_depth"),
        ("source.wavelength_nm = nan", "source.wavelength_nm"),
        ("slm = 3", "slm"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, wrong, named):
    text = (BENCHES / "mono.world.toml").read_text(encoding="utf-8")
    path, value = wrong.split(" = ")
    *tables, key = path.split(".")
    if tables:
        lines = text.replace(f"[{'.'.join(tables)}]", f"[{'.'.join(tables)}]\n{key} = {value}\n#", 1).splitlines()
        seen = lines.index(f"{key} = {value}")
        kept = [line for place, line in enumerate(lines) if place <= seen or not line.startswith(f"{key} = ")]
        text = "\n".join(kept) if key == "bit_depth" or key == "wavelength_nm" else "\n".join(lines)
    elif key == "schema":
        text = text.replace("schema = 1", wrong)
    else:
        text = f"{wrong}\n" + text.replace("[slm]", "[other]")
    file = tmp_path / "wrong.world.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SimulationError) as caught:
        read(file, WorldFile)
    assert named in str(caught.value)
    assert "wrong.world.toml" in str(caught.value)


@pytest.mark.parametrize("text", ["name = 'a/b'\n[world]\nfile='w'\nclock='real'", "name = 'a'", "name", "\x00"])
def test_a_bench_that_cannot_have_a_world_is_refused(tmp_path, text):
    file = tmp_path / "x.bench.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SimulationError, match=r"x\.bench\.toml"):
        read(file, BenchFile)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SimulationError, match=r"nowhere\.toml"):
        read(tmp_path / "nowhere.toml", WorldFile)
