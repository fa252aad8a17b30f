from pathlib import Path

import numpy as np
import pytest

from labonn.errors import RecordError
from labonn.records import calibration_history, current_calibrations, keep_calibration


def keep(lab: Path, kind: str, value: float, failure: str | None = None, **made_with: str) -> str:
    stored = keep_calibration(
        lab,
        bench="trial",
        kind=kind,
        run="r",
        made_with=made_with,
        values={"value": value},
        arrays={"map": np.full((3, 4), value, np.float32)},
        fit_error=0.1,
        fit_error_of="px rms",
        failure=failure,
    )
    return stored.id


def test_the_latest_good_one_is_current_and_none_is_lost(tmp_path: Path) -> None:
    first = keep(tmp_path, "dark", 1.0)
    second = keep(tmp_path, "dark", 2.0)
    keep(tmp_path, "geometry", 7.0, dark=second)
    failed = keep(tmp_path, "dark", 3.0, failure="too bright")
    current = current_calibrations(tmp_path, "trial")
    assert current["dark"].id == second
    assert current["dark"].values == {"value": 2.0}
    assert current["dark"].arrays()["map"].tolist() == np.full((3, 4), 2.0).tolist()
    assert current["geometry"].made_with == {"dark": second}
    history = calibration_history(tmp_path, "trial", "dark")
    assert {one.id for one in history} == {first, second, failed}
    assert [one.reason for one in history if not one.good] == ["too bright"]
    assert current_calibrations(tmp_path, "another") == {}


def test_a_calibration_that_was_changed_is_not_used(tmp_path: Path) -> None:
    name = keep(tmp_path, "dark", 1.0)
    (tmp_path / "calibrations" / "trial" / name / "arrays.h5").write_bytes(b"other")
    with pytest.raises(RecordError, match="was changed or damaged"):
        current_calibrations(tmp_path, "trial")


def test_a_damaged_list_of_current_ones_is_named(tmp_path: Path) -> None:
    keep(tmp_path, "dark", 1.0)
    (tmp_path / "calibrations" / "trial" / "current.json").write_text("[]")
    with pytest.raises(RecordError, match=r"current\.json: cannot be read"):
        current_calibrations(tmp_path, "trial")
