"""The local engine: workers that die, eat too much or never end fail their own trial alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labonn.sweeps.local import LocalEngine
from labonn.sweeps.sweep import Resources
from labonn.sweeps.trial import Order
from tests.unit.sweeps.work import work

DRIVER = """
import sys
from pathlib import Path
from labonn.sweeps import read_sweep, run_sweep
from labonn.sweeps.local import LocalEngine
from tests.unit.sweeps.work import work
if __name__ == "__main__":
    read = read_sweep(Path(sys.argv[1]))
    run_sweep(Path(sys.argv[2]), read, LocalEngine(1, read.sweep.trial, work))
"""


def orders(*values):
    return [Order(number, {"seed": value}, {}, {}, "") for number, value in enumerate(values)]


@pytest.mark.slow  # a worker reads torch, and three of them are replaced
def test_each_trial_fails_alone():
    engine = LocalEngine(2, Resources(memory_gb=0.4, minutes=0.1), work)
    outcomes = {}
    try:
        engine.run(orders(1, "die", 2, "eat", 3, "sleep", 4), lambda one: outcomes.setdefault(one.number, one))
    finally:
        engine.close()
    assert {number: one.status for number, one in outcomes.items()} == {
        0: "done", 1: "failed", 2: "done", 3: "failed", 4: "done", 5: "failed", 6: "done",
    }  # fmt: skip
    assert "ended with 7" in outcomes[1].error
    assert "out of memory: it took 0." in outcomes[3].error
    assert "took longer than minutes = 0.1" in outcomes[5].error


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is of POSIX")
@pytest.mark.slow
def test_a_driver_that_was_killed_goes_on_and_its_workers_end(tmp_path):
    """Slow for two drivers, each of which reads torch."""
    file, script = tmp_path / "s.sweep.toml", tmp_path / "driver.py"
    values = "0, 0.5, 0.6, 60.5"
    file.write_text(f'schema = 1\nname = "s"\ndesign = "digits-mono"\n[keys]\nseed = [{values}]\n')
    script.write_text(DRIVER)
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    driver = subprocess.Popen([sys.executable, script, file, tmp_path], env=environment)
    trials = tmp_path / "sweeps" / "s" / "trials.jsonl"
    deadline = time.monotonic() + 120
    while not trials.is_file() or trials.read_text().count("\n") < 3:
        assert driver.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    before = trials.read_bytes()
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    from labonn.sweeps import read_sweep
    from labonn.sweeps.keeping import Kept

    outcomes = Kept(tmp_path, read_sweep(file)).outcomes()
    assert sorted(outcomes) == [0, 1, 2]
    assert trials.read_bytes() == before
