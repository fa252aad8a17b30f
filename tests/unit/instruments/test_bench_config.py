from pathlib import Path

import pytest

from labonn.errors import ConfigError
from labonn.instruments import read_bench

GOOD = """
schema = 1
name = "trial"

[roles]
display = "panel"
slm = "slm"
camera = "camera"
shutter = "shutter"

[instruments.panel]
driver = "micromanager"
[instruments.slm]
driver = "micromanager"
[instruments.camera]
driver = "micromanager"
[instruments.shutter]
driver = "micromanager"

[geometry]
wavelength_nm = 532
focal_mm = 50
tap_um = 26.0
camera_pixel_um = 3.45
tile_pitch_um = 884.0
display_px_per_tap = 16
"""


def write(folder: Path, content: str) -> Path:
    path = folder / "trial.bench.toml"
    path.write_text(content, encoding="utf-8")
    return path


def test_reads_roles_and_geometry(tmp_path: Path) -> None:
    config = read_bench(write(tmp_path, GOOD))
    assert config.roles.display == "panel"
    assert config.world is None
    assert config.geometry.pixels_per_tap == pytest.approx(26 / 3.45)


def test_the_shipped_bench_is_right() -> None:
    import sim

    config = read_bench(Path(sim.__file__).parent / "benches" / "mono.bench.toml")
    assert config.name == "mono"
    assert config.world is not None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('slm = "slm"', 'slm = "slm2"', r"roles.slm = 'slm2'.*there are: camera, panel, shutter, slm"),
        ('slm = "slm"', 'slm = "camera"', "one instrument cannot have two roles"),
        ("[geometry]", '[instruments.meter]\ndriver = "x"\n[geometry]', "instruments.meter: no role names it"),
        ("focal_mm = 50", "focal_mm = -50", "geometry.focal_mm = -50"),
        ("focal_mm = 50", "focal_cm = 5", "geometry.focal_cm: no such key"),
        ('name = "trial"', 'name = "../trial"', "name = '../trial'"),
        ("schema = 1", "schema = 2", "schema = 2"),
        ('shutter = "shutter"', "", "roles.shutter: is missing"),
        ('[instruments.slm]\ndriver = "micromanager"', "[instruments.slm]", "instruments.slm.driver: is missing"),
        ("[roles]", "[roles", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError, match=said) as caught:
        read_bench(write(tmp_path, GOOD.replace(old, new, 1)))
    assert "trial.bench.toml" in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.bench\.toml: there is no such file; .*NAME\.bench\.toml"):
        read_bench(tmp_path / "nowhere.bench.toml")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('slm = "slm"\n', "", r"instruments.slm: no role names it"),
        ('slm = "slm"\n', 'stage = "slm"\n', r"roles.slm: a bench has an SLM, or a fixed \[optic\]"),
        (
            "[geometry]",
            '[interlocks]\nconditions = ["laser.power_mw <= 20"]\n[geometry]',
            r"'laser.power_mw <= 20': there is no \[instruments.laser\]; there are: camera, panel",
        ),
        (
            "[geometry]",
            '[interlocks]\nconditions = ["shutter is shut"]\n[geometry]',
            "'shutter is shut': is no condition",
        ),
        ("[geometry]", "[interlocks]\nconditions = []\n[geometry]", "interlocks.conditions"),
        ("[geometry]", '[interlocks]\nperiod_ms = 1\nconditions = ["a.b < 1"]\n[geometry]', "interlocks.period_ms = 1"),
        ("[geometry]", "[optic]\n[geometry]", "optic.serial_number: is missing"),
    ],
)
def test_interlocks_and_optics_that_cannot_be_are_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError, match=said):
        read_bench(write(tmp_path, GOOD.replace(old, new)))


def test_a_fixed_optic_takes_the_place_of_an_slm(tmp_path: Path) -> None:
    fixed = GOOD.replace('slm = "slm"\n', "").replace('[instruments.slm]\ndriver = "micromanager"\n', "")
    config = read_bench(write(tmp_path, fixed + '[optic]\nserial_number = "MO-0042"\n'))
    assert config.roles.slm is None
    assert config.optic is not None
    assert config.optic.serial_number == "MO-0042"
