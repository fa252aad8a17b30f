"""From `--set key=value` to typed parameters, or a message that lists what can be set."""

from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from labonn.errors import ConfigError
from labonn.protocol.settings import describe_parameters, make_parameters, split_settings


class Parameters(BaseModel):
    """What can be set."""

    captures: int = Field(32, ge=8, le=100, description="images to capture for the fit")
    rate: float = 0.5
    fast: bool = False
    design: Path = Path("digits")
    names: tuple[str, ...] = ("none",)
    sizes: list[int] = Field(default_factory=lambda: [1, 2])
    limit: float | None = None
    images: int | Literal["all"] = "all"
    method: Literal["kd", "ntkd"] = "kd"


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("captures", "64", 64),
        ("rate", "1e-3", 1e-3),
        ("fast", "true", True),
        ("fast", "no", False),
        ("design", "my designs/a.toml", Path("my designs/a.toml")),
        ("names", "a,b", ("a", "b")),
        ("names", "a", ("a",)),
        ("names", '["a,b"]', ("a,b",)),
        ("sizes", "3, 4", [3, 4]),
        ("sizes", "[5]", [5]),
        ("sizes", "5", [5]),
        ("limit", "2", 2.0),
        ("limit", "none", None),
        ("limit", "null", None),
        ("images", "all", "all"),
        ("images", "7", 7),
        ("method", "ntkd", "ntkd"),
    ],
)
def test_texts_become_what_the_field_is(key, text, value):
    assert getattr(make_parameters(Parameters, {key: text}), key) == value


def test_nothing_set_gives_the_defaults():
    assert make_parameters(Parameters, {}) == Parameters()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"captures": "4"}, ["captures = '4'", "greater than or equal to 8"]),
        ({"captures": "many"}, ["captures = 'many'", "valid integer"]),
        ({"capture": "9"}, ["capture: no such key", "did you mean 'captures'"]),
        ({"method": "e2e"}, ["method = 'e2e'", "'kd' or 'ntkd'"]),
        ({"sizes": "a,b"}, ["sizes.0 = 'a'", "sizes.1 = 'b'"]),
        ({"sizes": "1,-2.5"}, ["sizes.1 = '-2.5'", "sizes (list of int, [1, 2])"]),
        ({"captures": "4", "rate": "x"}, ["captures = '4'", "rate = 'x'"]),
    ],
)
def test_what_does_not_fit_is_named_with_all_keys_and_their_help(settings, words):
    with pytest.raises(ConfigError) as failure:
        make_parameters(Parameters, settings)
    message = str(failure.value)
    for word in [*words, "captures (int >= 8 <= 100, 32): images to capture for the fit", "images (int or 'all', all)"]:
        assert word in message


def test_a_protocol_without_keys_says_so():
    class Nothing(BaseModel):
        pass

    with pytest.raises(ConfigError, match="no keys to set"):
        make_parameters(Nothing, {"a": "1"})


def test_a_needed_key_is_asked_for():
    class Needed(BaseModel):
        design: str

    with pytest.raises(ConfigError, match=r"design: is missing\n.*\n  design \(str, \(needed\)\)"):
        make_parameters(Needed, {})
    assert describe_parameters(Needed)[0]["default"] == "(needed)"


def test_settings_are_split_at_the_first_equals_sign():
    assert split_settings(["a=1", " b = x=y ", "c="]) == {"a": "1", "b": "x=y", "c": ""}


@pytest.mark.parametrize("settings", [["a"], ["=1"], ["a=1", "a=2"]])
def test_settings_that_are_none_are_refused(settings):
    with pytest.raises(ConfigError, match="--set"):
        split_settings(settings)


@given(st.text(), st.sampled_from(sorted(Parameters.model_fields)))
def test_any_text_is_taken_or_refused_with_a_message(text, key):
    try:
        make_parameters(Parameters, {key: text})
    except ConfigError as error:
        message = str(error)
    else:
        return
    assert "The keys are:" in message
