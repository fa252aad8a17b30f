from dataclasses import fields
from pathlib import Path

import h5py
import numpy as np
import pytest

from labonn.capture import Calibration
from labonn.errors import CalibrationError

from .test_registration import calibration


def test_comes_back_as_it_was(tmp_path: Path) -> None:
    before = calibration(gain=np.array([3.25]))
    before.save(tmp_path / "deep" / "calibration.h5")
    after = Calibration.load(tmp_path / "deep" / "calibration.h5")
    for field in fields(Calibration):
        old, new = getattr(before, field.name), getattr(after, field.name)
        assert type(old) is type(new), field.name
        np.testing.assert_array_equal(old, new)
    assert after.dark.dtype == np.float32


def test_a_write_that_fails_leaves_the_last_one_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "calibration.h5"
    calibration(exposure_ms=1.0).save(path)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(h5py.Group, "create_dataset", full)
    with pytest.raises(CalibrationError, match="No space left"):
        calibration(exposure_ms=2.0).save(path)
    monkeypatch.undo()
    assert Calibration.load(path).exposure_ms == 1.0


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.unlink(), "there is no calibration"),
        (lambda path: path.write_bytes(b"nonsense"), "is not a calibration, or is damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:2000]), "is not a calibration, or is damaged"),
    ],
)
def test_what_is_no_calibration_is_refused(tmp_path: Path, damage: object, said: str) -> None:
    path = tmp_path / "calibration.h5"
    calibration().save(path)
    damage(path)  # type: ignore[operator]
    with pytest.raises(CalibrationError, match=said):
        Calibration.load(path)


def test_a_file_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "calibration.h5"
    calibration().save(path)
    with h5py.File(path, "r+") as file:
        file.attrs["schema"] = 99
    with pytest.raises(CalibrationError, match="schema 99"):
        Calibration.load(path)


def test_parts_that_do_not_fit_each_other_are_refused() -> None:
    with pytest.raises(CalibrationError, match=r"gain has shape \(2,\); expected \(1,\)"):
        calibration(gain=np.ones(2))
