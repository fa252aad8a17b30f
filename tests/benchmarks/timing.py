"""Medians of interleaved runs, and how much memory a call takes."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping

import torch
from torch.profiler import ProfilerActivity, profile


def interleaved(works: Mapping[str, Callable[[], object]], rounds: int, device: str = "cpu") -> dict[str, float]:
    """Return each work's median seconds; every round runs all of them once, so that a busy machine slows all alike."""

    def run(work: Callable[[], object]) -> float:
        begun = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begun

    for work in works.values():
        run(work)
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            taken[name].append(run(work))
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def peak_bytes(work: Callable[[], object]) -> int:
    """Return the most memory that torch held on the CPU during a call, above what it held before."""
    work()
    gc.collect()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    results = profiler.profiler.kineto_results
    events = sorted((e for e in results.events() if e.name() == "[memory]"), key=lambda e: e.start_ns())
    held = most = 0
    for event in events:
        held += event.nbytes()
        most = max(most, held)
    return most
