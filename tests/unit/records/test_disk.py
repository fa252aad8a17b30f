"""Names, plain values, and files that are replaced whole."""

import json
import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from labonn.errors import RecordError
from labonn.records.disk import json_bytes, legal_name, new_id, plain, write_atomically

WINDOWS_FORBIDS = set('<>:"/\\|?*') | {chr(code) for code in range(32)}


@given(st.text(max_size=100))
def test_a_name_that_is_let_through_is_legal_on_windows(name):
    try:
        legal_name(name, "a name")
    except RecordError:
        return
    assert name
    assert not WINDOWS_FORBIDS & set(name)
    assert not name.endswith((".", " "))
    assert name.split(".")[0].upper() not in {"CON", "PRN", "AUX", "NUL", "COM1", "LPT9"}
    assert len(name) <= 80


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "nul", "Con.txt", "com1", "-x", "a.", "a" * 81])
def test_a_name_that_some_system_refuses_is_refused(name):
    with pytest.raises(RecordError, match="every system"):
        legal_name(name, "a name")


def test_ids_sort_by_time():
    early = new_id("zzz", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    late = new_id("aaa", datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC))
    assert early < late
    assert early.startswith("20260102T030405Z-zzz-")


class Inner(BaseModel):
    path: Path = Path("a")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
        (torch.tensor([1.0, math.nan]), [1.0, None]),
        (math.inf, None),
        ({1: (2, {3})}, {"1": [2, [3]]}),
        (Inner(), {"path": "a"}),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
    ],
)
def test_any_value_becomes_what_json_holds(value, expected):
    assert plain(value) == expected
    assert json.loads(json_bytes({"value": value})) == {"value": expected}


def test_a_write_that_fails_leaves_the_old_content(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    write_atomically(path, b"old")

    def refuse(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(RecordError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"]
