import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from labonn.errors import BenchInUse
from labonn.instruments import lock
from labonn.instruments.lock import bench_lock, holder_of, reserved

HOLDER = """
import sys
from pathlib import Path
from labonn.instruments import lock
lock.lock_folder = lambda: Path(sys.argv[1])
with lock.bench_lock("trial"):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(lock, "lock_folder", lambda: tmp_path)
    return tmp_path


def start_holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_holder_is_written_down_and_forgotten(folder: Path) -> None:
    with bench_lock("trial") as lost:
        assert lost is None
        holder = holder_of("trial")
        assert holder is not None
        assert holder.pid == os.getpid()
    assert holder_of("trial") is None


def test_a_second_process_is_told_who_holds_it_and_since_when(folder: Path) -> None:
    with start_holder(folder) as process:
        since = json.loads((folder / "trial.json").read_text(encoding="utf-8"))["since_utc"]
        with pytest.raises(BenchInUse) as caught, bench_lock("trial"):
            pass
        process.communicate("")
    assert f"process {process.pid}" in str(caught.value)
    assert since in str(caught.value)
    assert caught.value.exit_code == 5


def test_the_same_process_cannot_hold_it_twice(folder: Path) -> None:
    with bench_lock("trial"):
        with pytest.raises(BenchInUse), bench_lock("trial"):
            pass
        with bench_lock("another"):
            pass


def test_what_a_dead_process_left_is_recognised_and_taken_over(folder: Path) -> None:
    with start_holder(folder) as process:
        process.kill()
        process.communicate()
    with bench_lock("trial") as lost:
        assert lost is not None
        assert lost.pid == process.pid
    with bench_lock("trial") as lost:
        assert lost is None


def test_a_damaged_note_is_no_obstacle(folder: Path) -> None:
    (folder / "trial.json").write_text("{", encoding="utf-8")
    with bench_lock("trial") as lost:
        assert lost is None


def test_word_that_is_left_is_taken_once(folder: Path) -> None:
    assert lock.take_note("trial") is None
    lock.leave_note("trial", "made dark by the watchdog")
    assert str(lock.take_note("trial")).endswith(": made dark by the watchdog")
    assert lock.take_note("trial") is None


def test_a_process_number_that_is_used_again_is_not_the_holder(folder: Path) -> None:
    with bench_lock("trial"):
        holder = holder_of("trial")
    assert holder is not None
    assert holder.lives
    assert not replace(holder, started_s=holder.started_s - 100).lives


def test_the_way_to_dark_makes_nobody_the_holder_and_is_waited_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    darkening = threading.Event()

    def darken() -> None:
        with lock.exclusively("trial"):
            darkening.set()
            time.sleep(0.3)

    thread = threading.Thread(target=darken)
    thread.start()
    assert darkening.wait(5.0)
    assert holder_of("trial") is None
    with bench_lock("trial"):
        assert not thread.is_alive()
    monkeypatch.setattr(lock, "_DARKENING_S", 0.2)
    with lock.exclusively("trial"), pytest.raises(BenchInUse, match="another process"), bench_lock("trial"):
        pass


def test_who_has_reserved_a_bench_opens_it_once_at_a_time_and_nobody_else_does(folder: Path) -> None:
    with reserved("trial"):
        for _ in range(2):
            with bench_lock("trial") as lost:
                assert lost is None
                with pytest.raises(BenchInUse), bench_lock("trial"):
                    pass
            assert holder_of("trial") is not None
        refused = subprocess.run(
            [sys.executable, "-c", HOLDER, str(folder)], capture_output=True, text=True, check=False, input="\n"
        )
        assert "BenchInUse" in refused.stderr
    assert holder_of("trial") is None
    with bench_lock("trial"):
        pass


def test_who_reserves_a_bench_hands_on_who_died_with_it(folder: Path) -> None:
    with start_holder(folder) as process:
        process.kill()
    with reserved("trial"):
        with bench_lock("trial") as lost:
            assert lost is not None
            assert lost.pid == process.pid
        with bench_lock("trial") as lost:
            assert lost is None
