from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from labonn.capture.characterisation import KINDS, why_unusable
from labonn.capture.made_for import DEPENDS_ON, hash_of, made_for

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HERE = {
    "camera": "maker, model, 17",
    "frame": [1080, 1080],
    "roi": None,
    "binning": 1,
    "bit_depth": 12,
    "optic": "SN-1",
    "light_mw": 15.0,
    "display": "a display",
    "slm": "an SLM",
    "wavelength_nm": 532.0,
    "tiles": hash_of([[0, 0]]),
    "pattern": hash_of("a pattern"),
    "exposure_ms": 4.0,
    "filters": ["RGGB", "RGB"],
}


@dataclass(frozen=True)
class Made:
    id: str
    made: datetime = NOW - timedelta(hours=1)
    made_with: dict[str, str] = field(default_factory=dict)
    made_for: dict[str, Any] = field(default_factory=dict)


def all_good() -> dict[str, Made]:
    return {
        name: Made(f"{name}-1", made_with={need: f"{need}-1" for need in kind.needs}, made_for=made_for(name, HERE))
        for name, kind in KINDS.items()
    }


def why(kind: str, current: dict[str, Made], **changed: Any) -> str | None:
    return why_unusable(kind, current, NOW, "x.bench.toml", {**HERE, **changed})


def test_the_order_is_one_in_which_nothing_comes_before_what_it_needs() -> None:
    seen: set[str] = set()
    for kind in KINDS.values():
        assert set(kind.needs) <= seen
        seen.add(kind.name)


@pytest.mark.parametrize("kind", list(KINDS))
def test_what_is_fresh_and_in_order_may_be_used(kind: str) -> None:
    assert why(kind, all_good()) is None


def test_what_is_missing_stale_or_out_of_order_is_named_with_the_command_that_renews_it() -> None:
    current = all_good()
    del current["flat"]
    assert why("maps", current) == (
        "calibration 'flat' (flat field) is missing; renew it: labonn run characterise x.bench.toml --set only=flat"
    )
    current = all_good()
    current["dark"] = replace(current["dark"], made=NOW - timedelta(hours=25))
    assert "'dark' (dark frame) is stale: it is 25 h old and holds 24 h; renew it:" in str(why("psf", current))
    current = all_good()
    current["dark"] = replace(current["dark"], id="dark-2")
    assert "'geometry' (display-to-camera geometry) is out of order: it was made with 'dark' dark-1" in str(
        why("psf", current)
    )
    assert why("settling", current) is None


def test_what_only_served_to_measure_may_be_renewed() -> None:
    """The table of an SLM does not change with the exposure by which it was measured."""
    current = all_good()
    current["exposure"] = replace(current["exposure"], id="exposure-2", made=NOW - timedelta(days=20))
    assert why("phase-table", current) is None
    assert why("psf", current) is not None


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("dark", {"exposure_ms": 8.0}),
        ("dark", {"binning": 2}),
        ("flat", {"roi": [0, 0, 512, 512]}),
        ("geometry", {"frame": [540, 540]}),
        ("psf", {"optic": "SN-2"}),
        ("tile-gain", {"tiles": hash_of([[0, 1]])}),
        ("phase-table", {"slm": "another SLM"}),
        ("maps", {"pattern": hash_of("another pattern")}),
        ("exposure", {"light_mw": 5.0}),
        ("colour", {"filters": ["BGGR", "RGB"]}),
    ],
)
def test_what_was_made_for_something_else_is_named(kind: str, changed: dict[str, Any]) -> None:
    name, value = next(iter(changed.items()))
    current = {
        made: one if made == kind else replace(one, made_for=made_for(made, {**HERE, **changed}))
        for made, one in all_good().items()
    }
    assert (
        f"'{kind}' ({KINDS[kind].title}) does not fit: it was made for {name} = {HERE[name]!r}, and here it is"
        in str(why(kind, current, **changed))
    )
    assert repr(value) in str(why(kind, current, **changed))


def test_a_grey_bench_has_no_colour_matrix_and_needs_none() -> None:
    current = all_good()
    del current["colour"]
    assert "'colour' (colour matrix of display and camera) is missing" in str(why("maps", current))
    assert "'colour' (colour matrix of display and camera) is missing" in str(why("tile-gain", current))
    assert why("geometry", current) is None
    for kind in ("maps", "tile-gain", "geometry"):
        assert why(kind, current, filters=None) is None


def test_what_does_not_say_what_it_was_made_for_is_not_used() -> None:
    current = all_good()
    current["dark"] = replace(current["dark"], made_for={})
    assert "'dark' (dark frame) does not fit" in str(why("dark", current))


def test_every_kind_says_what_it_depends_on() -> None:
    assert DEPENDS_ON.keys() == KINDS.keys()
    assert {name for names in DEPENDS_ON.values() for name in names} == HERE.keys()
