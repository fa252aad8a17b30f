"""What a sweep leaves: whole after a cut, refused if it is another's; and the front that it draws."""

import json
import sys
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labonn.errors import ConfigError, RecordError
from labonn.sweeps import Outcome, read_sweep, run_sweep
from labonn.sweeps.front import pareto_front
from labonn.sweeps.keeping import Kept, read_results
from tests.unit.sweeps.work import work

TEXT = """schema = 1
name = "seeds"
design = "digits-mono"
[keys]
seed = [0, 1, 2, 3, 4, 5]
design.backend.hidden = [4, [8, 4]]
"""


class Inside:
    """An engine in this process, which is stopped after so many trials."""

    def __init__(self, stop_after=99):
        self.made, self.closed, self._stop_after = [], False, stop_after

    def run(self, orders, done):
        for order in orders[::-1]:  # whichever order they end in
            if len(self.made) == self._stop_after:
                raise KeyboardInterrupt
            self.made.append(order.number)
            done(work(order))

    def close(self):
        self.closed = True


@pytest.fixture
def sweep(tmp_path):
    file = tmp_path / "seeds.sweep.toml"
    file.write_text(TEXT)
    return read_sweep(file)


def test_what_was_done_before_a_stop_is_not_done_again(sweep, tmp_path):
    first, second = Inside(5), Inside()
    with pytest.raises(KeyboardInterrupt):
        run_sweep(tmp_path, sweep, first)
    assert first.closed
    trials = tmp_path / "sweeps" / "seeds" / "trials.jsonl"
    with trials.open("a") as file:
        file.write('{"number": 0, "setti')  # as a crash leaves it
    swept = run_sweep(tmp_path, sweep, second)
    assert sorted(first.made + second.made) == list(range(12))
    assert (swept.made_before, len(swept.outcomes)) == (5, 12)
    rows = read_results(swept.results, sweep.digest)
    assert [row["number"] for row in rows] == list(range(12))
    assert [row["figure.accuracy"] for row in rows] == [90.0 + number for number in range(12)]
    assert [row["key.seed"] for row in rows] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert json.loads(rows[1]["key.design.backend.hidden"]) == [8, 4]
    page = swept.report.read_text(encoding="utf-8")
    assert page.count("<img") == 3
    assert "What nothing beats" in page
    assert all(path.is_file() for path in swept.designs)
    again = Inside()
    assert run_sweep(tmp_path, sweep, again).made_before == 12
    assert again.made == []
    assert run_sweep(tmp_path, sweep, Inside(), fresh=True).made_before == 0


def test_results_of_another_sweep_are_refused(sweep, tmp_path):
    swept = run_sweep(tmp_path, sweep, Inside())
    file = tmp_path / "seeds.sweep.toml"
    file.write_text(TEXT.replace("[0, 1", "[7, 1"))
    other = read_sweep(file)
    engine = Inside()
    with pytest.raises(ConfigError, match="holds the results of another sweep of this name"):
        run_sweep(tmp_path, other, engine)
    assert engine.closed
    with pytest.raises(ConfigError, match="another sweep"):
        read_results(swept.results, other.digest)
    file.write_text("no parquet")
    with pytest.raises(ConfigError, match="cannot be read as Parquet"):
        read_results(file)
    file.write_text(TEXT + "[trial]\nmemory_gb = 1.0\n")  # what a trial may take is not what it is
    assert read_sweep(file).digest == sweep.digest


def test_failed_trials_are_made_once_more_if_one_asks(sweep, tmp_path):
    kept = Kept(tmp_path, sweep)
    kept.add(Outcome(0, {"seed": 0}, "failed", error="out of memory"))
    kept.add(Outcome(1, {"seed": 0}, "refused", error="too many"))
    engine = Inside()
    assert run_sweep(tmp_path, sweep, engine, retry=True).made_before == 1
    assert 0 in engine.made
    assert 1 not in engine.made


def test_a_damaged_line_is_named(sweep, tmp_path):
    kept = Kept(tmp_path, sweep)
    kept.add(Outcome(0, {"seed": 0}, "done", {"accuracy": 1.0}))
    with (kept.folder / "trials.jsonl").open("a") as file:
        file.write("nonsense\n")
    with pytest.raises(RecordError, match="line 2 is damaged"):
        kept.outcomes()


goals = {"accuracy": "max", "energy_mj": "min"}
figures = st.tuples(st.integers(0, 4), st.integers(0, 4))


@given(st.lists(figures, min_size=1, max_size=12))
def test_the_front_is_what_nothing_beats(values):
    outcomes = [
        Outcome(number, {}, "done", {"accuracy": float(a), "energy_mj": float(e)})
        for number, (a, e) in enumerate(values)
    ]
    outcomes.append(Outcome(99, {}, "failed", error="no figures"))
    front = {one.number for one in pareto_front(outcomes, goals)}
    for number, (a, e) in enumerate(values):
        beaten = any((b >= a and f <= e) and (b, f) != (a, e) for b, f in values)
        assert (number in front) == (not beaten)
    best = pareto_front(outcomes, goals)[0]
    assert best.figures["accuracy"] == max(a for a, _ in values)
    assert asdict(best)["status"] == "done"


def test_without_pyarrow_it_is_said_before_anything_is_tried(sweep, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    engine = Inside()
    with pytest.raises(ConfigError, match=r"pip install 'labonn\[sweeps\]'"):
        run_sweep(tmp_path, sweep, engine)
    assert not engine.made
