"""What happens by itself, on the simulated bench: a job whose computer went down is found at the next look."""

import json
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from .conftest import Simulated
from .ways_out import labonn, lit_run

NEVER = '\n[schedule]\ncron = "0 3 29 2 *"\n'


@pytest.mark.skipif(os.name != "posix", reason="stops a process with SIGSTOP")
def test_a_run_that_died_with_its_watchdog_is_found_and_its_bench_made_dark(
    real_time_world: Simulated, tmp_path: Path
) -> None:
    bench = real_time_world.file.with_name("scheduled.bench.toml")
    bench.write_text(real_time_world.file.read_text(encoding="utf-8") + NEVER, encoding="utf-8")
    look = labonn("recalibrate", bench, "--if-due", "--lab", tmp_path, "--json")
    first = subprocess.run(look, capture_output=True, text=True, check=False)
    assert json.loads(first.stdout)["status"] == "failed"  # nothing is released: it is due, and says so

    with lit_run(real_time_world, tmp_path) as run:
        # As when the computer goes down: all at once, and nobody is left who could make it dark.
        run.process.send_signal(signal.SIGSTOP)
        for child in psutil.Process(run.process.pid).children(recursive=True):
            child.kill()
        run.process.kill()
        run.process.wait()
        assert real_time_world.truth()["lit"]

        found = subprocess.run(look, capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stderr
        answer = json.loads(found.stdout)
        assert not real_time_world.truth()["lit"]
        assert answer["due"] is False
        assert answer["lost"] == [run.record()["id"]]
        assert answer["made_dark"]["was_lit"] is True
        assert f"process {run.process.pid}" in answer["made_dark"]["left_by"]
        assert run.record()["status"] == "lost"

        again = json.loads(subprocess.run(look, capture_output=True, text=True, check=True).stdout)
        assert (again["lost"], again["made_dark"]) == ([], None)
