"""A process keeps the memory that it frees, and passes on how its threads wait; what somebody has set stays."""

import os
import subprocess
import sys

import pytest

from labonn.cli.processor import SETTINGS, prepare_process

FAULTS = """
import resource
from labonn.cli.processor import prepare_process
if {prepared}:
    prepare_process()
import torch
def faults():
    for _ in range(5):
        (torch.ones(40_000_000 // 4) + 1).sqrt()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
before = faults()
print(faults() - before)
"""
glibc = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is glibc's to keep")


def _without_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in SETTINGS}


def _faults(*, prepared: bool, **environment: str) -> int:
    script = FAULTS.format(prepared=prepared)
    asked = subprocess.run(
        [sys.executable, "-c", script],
        env=_without_settings() | environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return int(asked.stdout)


@glibc
def test_freed_memory_is_not_asked_for_page_by_page_again() -> None:
    assert _faults(prepared=True) < 0.1 * _faults(prepared=False)


@glibc
def test_a_process_that_is_started_keeps_it_too() -> None:
    assert _faults(prepared=False, **SETTINGS) < 0.1 * _faults(prepared=False)


@glibc
def test_what_is_set_already_stays() -> None:
    assert _faults(prepared=True, MALLOC_MMAP_THRESHOLD_="100000") > 0.5 * _faults(prepared=False)


@glibc
@pytest.mark.parametrize("set_already", ["a lot", "999999999999999999999"])
def test_what_is_no_number_or_too_large_a_one_is_put_right(set_already: str) -> None:
    assert _faults(prepared=True, MALLOC_MMAP_THRESHOLD_=set_already) < 0.1 * _faults(prepared=False)


def test_the_environment_says_how_threads_wait_unless_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "17")
    monkeypatch.delenv("KMP_BLOCKTIME", raising=False)
    prepare_process()
    assert os.environ["GOMP_SPINCOUNT"] == "17"
    assert os.environ["KMP_BLOCKTIME"] == SETTINGS["KMP_BLOCKTIME"]
