"""docs/writing-a-protocol.md, followed: each of its protocols runs on the simulated bench, as the page says."""

import re
from pathlib import Path

import numpy as np
import pytest

from labonn.protocol import load_script, plan_protocol, run_protocol
from labonn.records import read_frames, read_run

from .conftest import Simulated

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs" / "writing-a-protocol.md").read_text(encoding="utf-8")
NAMES = ("how_dark", "levels", "how_sure")


@pytest.fixture
def scripts(tmp_path: Path) -> dict[str, Path]:
    """Write the page's protocols into files."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    files = {name: tmp_path / f"{name}.py" for name in NAMES}
    for file, block in zip(files.values(), blocks, strict=True):
        file.write_text(block, encoding="utf-8")
    return files


def test_the_first_runs_in_the_dark(world: Simulated, scripts: dict[str, Path], tmp_path: Path) -> None:
    plan = plan_protocol(scripts["how_dark"], world.file, {"frames": "3"}, tmp_path / "lab")
    assert plan.script.purpose.startswith("How dark is dark?")
    outcome = run_protocol(scripts["how_dark"], world.file, tmp_path / "lab", {"frames": "3"}, quiet=True)
    assert (outcome.error, outcome.exit_code) == (None, 0)
    assert outcome.result["mean_counts"] == pytest.approx(world.truth()["sensor"]["black_dn"], abs=2)
    known = plan_protocol(scripts["how_dark"], world.file, {"frames": "3"}, tmp_path / "lab").estimate
    assert known is not None
    assert known.seconds == pytest.approx(outcome.seconds["total"], rel=0.01)


def test_the_second_draws_what_the_display_does(world: Simulated, scripts: dict[str, Path], tmp_path: Path) -> None:
    outcome = run_protocol(scripts["levels"], world.file, tmp_path / "lab", {"levels": "4"}, quiet=True)
    assert (outcome.error, outcome.exit_code) == (None, 0)
    assert outcome.result["counts"] == sorted(outcome.result["counts"])
    kept = read_frames(outcome.run_folder / "frames.h5", "levels")
    assert kept["frame"].mean(axis=(1, 2)) == pytest.approx(outcome.result["counts"])
    np.testing.assert_allclose(kept["level"], [0, 1 / 3, 2 / 3, 1])
    record = read_run(outcome.run_folder)
    assert [figure.name for figure in record.figures] == ["brightness"]
    assert [len(table.rows) for table in record.tables] == [4]
    assert not world.truth()["lit"]
    with world.changed(laser__interlock_closed=False):
        dark = run_protocol(scripts["levels"], world.file, tmp_path / "lab", {"levels": "2"}, quiet=True)
    assert dark.exit_code == 3


def test_the_third_is_a_protocol(scripts: dict[str, Path]) -> None:
    script = load_script(scripts["how_sure"])
    assert script.parameters.model_validate({}).images == 50  # type: ignore[attr-defined]


def test_the_template_is_named_and_runs(world: Simulated, tmp_path: Path) -> None:
    assert "labonn run new_protocol BENCH" in PAGE
    outcome = run_protocol("new_protocol", world.file, tmp_path / "lab", {"frames": "4"}, quiet=True)
    assert (outcome.error, outcome.exit_code) == (None, 0)
    assert 0 < outcome.result["spread_percent"] < 2
