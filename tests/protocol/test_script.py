"""What is a protocol script, and what is said of what is none."""

import pytest

from labonn.errors import ConfigError
from labonn.protocol import load_script, shipped_protocols

GOOD = '"""Count.\n\nMore."""\nfrom pydantic import BaseModel\nclass Parameters(BaseModel):\n    n: int = 1\n'


def test_a_script_is_loaded_with_its_purpose(tmp_path):
    path = tmp_path / "count it.py"
    path.write_text(GOOD + "def run(lab, parameters):\n    return {'n': parameters.n}\n")
    script = load_script(path)
    assert (script.name, script.purpose, script.path) == ("count-it", "Count.", path)
    assert script.run(None, script.parameters(n=3)) == {"n": 3}


def test_annotations_may_be_postponed(tmp_path):
    path = tmp_path / "p.py"
    path.write_text(
        "from __future__ import annotations\n" + GOOD.partition('"""\n')[2] + "def run(lab, parameters): ...\n"
    )
    assert load_script(path).parameters.model_validate({"n": "4"}).n == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def run(:\n", r"p\.py, line 1: invalid syntax: def run\(:"),
        ("x = 1\nimport nothing_of_the_kind\n", r"p\.py, line 2: cannot be loaded: ModuleNotFoundError"),
        ("\n\n1 / 0\n", r"p\.py, line 3: cannot be loaded: ZeroDivisionError"),
        ("raise SystemExit(3)\n", r"p\.py, line 1: cannot be loaded: SystemExit"),
        ("def run(lab, parameters): ...\n", "has no Parameters"),
        ("class Parameters: ...\ndef run(lab, parameters): ...\n", "derived from pydantic's BaseModel"),
        (GOOD, "has no run"),
        (GOOD + "run = 3\n", "ordinary function"),
        (GOOD + "async def run(lab, parameters): ...\n", "ordinary function"),
        (GOOD + "def run(lab, parameters):\n    yield\n", "ordinary function"),
        (GOOD + "def run(lab): ...\n", r"run\(lab\) cannot be called as run\(lab, parameters\)"),
        (GOOD + "def run(lab, parameters, *, more): ...\n", "cannot be called"),
    ],
)
def test_what_is_no_protocol_is_refused_with_file_and_line(tmp_path, text, message):
    path = tmp_path / "p.py"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_script(path)


def test_a_binary_file_is_refused(tmp_path):
    path = tmp_path / "p.py"
    path.write_bytes(b"\xff\x00\xfe")
    with pytest.raises(ConfigError, match=r"p\.py"):
        load_script(path)
    other = tmp_path / "p.txt"
    other.write_text(GOOD)
    with pytest.raises(ConfigError, match=r"must end with \.py"):
        load_script(other)


@pytest.mark.parametrize(
    ("source", "what"), [("nothing", "no protocol 'nothing'"), ("some/where.py", "no file 'some/where.py'")]
)
def test_what_is_not_there_is_named_with_what_is(source, what):
    with pytest.raises(ConfigError, match=what) as failure:
        load_script(source)
    assert "recalibrate" in str(failure.value)


def test_the_shipped_protocols_are_found_by_name():
    assert {"recalibrate", "train_and_deploy"} <= shipped_protocols().keys()
