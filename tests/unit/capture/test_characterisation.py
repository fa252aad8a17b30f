from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from labonn.capture.characterisation import KINDS, usable
from labonn.errors import CalibrationError

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Made:
    id: str
    made: datetime = NOW - timedelta(hours=1)
    made_with: dict[str, str] = field(default_factory=dict)


def all_good() -> dict[str, Made]:
    return {
        name: Made(f"{name}-1", made_with={need: f"{need}-1" for need in kind.needs}) for name, kind in KINDS.items()
    }


def test_the_order_is_one_in_which_nothing_comes_before_what_it_needs() -> None:
    seen: set[str] = set()
    for kind in KINDS.values():
        assert set(kind.needs) <= seen
        seen.add(kind.name)


@pytest.mark.parametrize("kind", list(KINDS))
def test_what_is_fresh_and_in_order_may_be_used(kind: str) -> None:
    usable(kind, all_good(), NOW, "x.bench.toml")


def test_what_is_missing_stale_or_out_of_order_is_refused_with_the_command_that_renews_it() -> None:
    current = all_good()
    del current["flat"]
    with pytest.raises(CalibrationError, match=r"'flat' \(flat field\) is missing; renew it: labonn run characterise"):
        usable("geometry", current, NOW, "x.bench.toml")
    current = all_good()
    current["dark"] = replace(current["dark"], made=NOW - timedelta(hours=25))
    with pytest.raises(CalibrationError, match=r"'dark' .* is stale: it is 25 h old and holds 24 h; .* only=dark"):
        usable("psf", current, NOW, "x.bench.toml")
    current = all_good()
    current["flat"] = replace(current["flat"], id="flat-2")
    with pytest.raises(CalibrationError, match=r"'geometry' .* out of order: it was made with 'flat' flat-1"):
        usable("tile-gain", current, NOW, "x.bench.toml")
    usable("settling", current, NOW, "x.bench.toml")
