"""A design file is taken whole or refused with file, key and value."""

import tomllib
from importlib import resources

import pytest

from labonn.design import load_design
from labonn.errors import ConfigError

GOOD = """
schema = 1
name = "mine"
task = "digits"

[optic]
aperture_mm = [8.64, 8.64]
kernel_mm = 2.048
spacing_mm = 0.064
taps = 7
kernels = 8

[training]
method = "kd"
"""


def write(tmp_path, content):
    file = tmp_path / "mine.design.toml"
    file.write_text(content, encoding="utf-8")
    return file


def test_what_is_written_is_what_is_read(tmp_path):
    design = load_design(write(tmp_path, GOOD))
    assert (design.name, design.task, design.training.method) == ("mine", "digits", "kd")
    assert (design.optic.aperture_mm, design.optic.kernel_mm, design.optic.spacing_mm) == ((8.64, 8.64), 2.048, 0.064)
    assert design.optic.wavelengths_nm == (532.0,)


def test_a_path_may_be_a_string(tmp_path):
    file = write(tmp_path, GOOD)
    assert load_design(str(file)) == load_design(file)


SHIPPED = sorted(
    entry.name.removesuffix(".design.toml") for entry in (resources.files("labonn.design") / "catalogue").iterdir()
)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_design_is_found_by_the_name_that_stands_in_it(name):
    design = load_design(name)
    shipped = resources.files("labonn.design") / "catalogue" / f"{name}.design.toml"
    written = tomllib.loads(shipped.read_text(encoding="utf-8"))
    assert design.name == name
    assert design.model_dump(mode="json", by_alias=True, exclude_unset=True) == written


def test_an_unknown_name_is_answered_with_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match=r"'digit-mono'.*digits-mono, mnist-lens, mnist-lens-whole, mnist-mono"):
        load_design("digit-mono")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"gone\.design\.toml: cannot be read"):
        load_design(tmp_path / "gone.design.toml")


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("taps = 7", "tapps = 7", ["optic.tapps", "no such key"]),
        ("[training]", "[trainings]", ["trainings", "no such key"]),
        ("kernel_mm = 2.048", "", ["optic.kernel_mm", "missing"]),
        ("schema = 1", "", ["schema", "missing"]),
        ("schema = 1", "schema = 2", ["schema = 2", "1"]),
        ("taps = 7", "taps = 6", ["optic.taps = 6", "odd"]),
        ("taps = 7", "taps = 33", ["optic.taps = 33", "31"]),
        ("taps = 7", "taps = 0", ["optic.taps = 0"]),
        (
            "kernel_mm = 2.048",
            "kernel_mm = 9.0",
            ["optic", "9.0 mm does not fit an optic of 8.64 x 8.64 mm", "kernel_mm"],
        ),
        ("kernels = 8", "kernels = 9", ["optic", "9 signed kernels need 18", "4 x 4 = 16"]),
        ("kernels = 8", "kernels = 0", ["optic.kernels = 0"]),
        ("taps = 7", 'taps = 7\nkind = "lens"', ["optic", "kernels = 1 and taps = 1"]),
        ("kernels = 8", "kernels = 2.5", ["optic.kernels = 2.5"]),
        ("kernel_mm = 2.048", "kernel_mm = -2.048", ["optic.kernel_mm = -2.048", "greater than 0"]),
        ("kernel_mm = 2.048", 'kernel_mm = "2 mm"', ["optic.kernel_mm = '2 mm'"]),
        ("kernel_mm = 2.048", "kernel_mm = nan", ["optic.kernel_mm = nan"]),
        ("spacing_mm = 0.064", "spacing_mm = inf", ["optic.spacing_mm = inf", "finite"]),
        ("spacing_mm = 0.064", "spacing_mm = -0.1", ["optic.spacing_mm = -0.1"]),
        ("aperture_mm = [8.64, 8.64]", "aperture_mm = [8.64]", ["optic.aperture_mm"]),
        ('task = "digits"', 'task = "cats"', ["task = 'cats'", "'cifar10' or 'carvana'"]),
        ('method = "kd"', 'method = "kdd"', ["training.method = 'kdd'", "'ntkd'"]),
        ('name = "mine"', 'name = "../mine"', ["name = '../mine'"]),
    ],
)
def test_a_wrong_file_is_refused_with_file_key_and_value(tmp_path, old, new, parts):
    assert old in GOOD
    file = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load_design(file)
    for part in [str(file), *parts]:
        assert part in str(caught.value)
