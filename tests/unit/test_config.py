"""What a person who wrote a TOML file is told about it."""

import pytest
from pydantic import PositiveFloat, ValidationError

from labonn.config import Frozen, read_toml
from labonn.errors import ConfigError


class Lamp(Frozen):
    """A part of the file."""

    power_mw: PositiveFloat


class Shelf(Frozen):
    """A file."""

    name: str
    lamps: tuple[Lamp, ...] = ()


def refusal(tmp_path, content):
    file = tmp_path / "shelf.toml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        read_toml(file, Shelf)
    assert caught.value.exit_code == 2
    lines = str(caught.value).splitlines()
    assert all(line.startswith(str(file)) for line in lines)
    return [line.removeprefix(f"{file}: ") for line in lines]


def test_a_right_file_becomes_a_value_that_never_changes(tmp_path):
    file = tmp_path / "shelf.toml"
    file.write_text('name = "größer"\n[[lamps]]\npower_mw = 3\n', encoding="utf-8")
    shelf = read_toml(file, Shelf)
    assert shelf == Shelf(name="größer", lamps=(Lamp(power_mw=3.0),))
    with pytest.raises(ValidationError, match="frozen"):
        shelf.name = "other"


def test_every_mistake_has_its_own_line_with_key_and_value(tmp_path):
    content = 'lamp = 1\nlamps = [{power_mw = 1.0}, {power_mw = -2.5}, {power_mw = "much"}]\n'
    lines = refusal(tmp_path, content)
    assert sorted(line.split(":")[0].split(" ")[0] for line in lines) == [
        "lamp",
        "lamps.1.power_mw",
        "lamps.2.power_mw",
        "name",
    ]
    told = "\n".join(lines)
    assert "lamp: no such key" in told
    assert "name: is missing" in told
    assert "lamps.1.power_mw = -2.5: Input should be greater than 0" in told
    assert "lamps.2.power_mw = 'much': " in told


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name = ", "is not valid TOML"),
        (b"name = 'a'\nname = 'b'", "is not valid TOML"),
        ("name = 'größer'".encode("latin-1"), "UTF-8"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "UTF-8"),
    ],
)
def test_what_is_not_toml_is_called_so(tmp_path, content, message):
    (line,) = refusal(tmp_path, content)
    assert message in line


def test_the_place_of_a_syntax_error_is_told(tmp_path):
    (line,) = refusal(tmp_path, "name = 'a'\n[lamps\n")
    assert "line 2" in line


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()], ids=["missing", "a folder"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, make):
    path = tmp_path / "shelf.toml"
    make(path)
    with pytest.raises(ConfigError, match=r"shelf\.toml: cannot be read: \w+"):
        read_toml(path, Shelf)
