"""The local engine: processes on this computer, each with one trial at a time, watched for memory and time."""

import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import psutil

from labonn.sweeps.performing import perform
from labonn.sweeps.sweep import Resources
from labonn.sweeps.trial import Order, Outcome

LOOK_S = 0.1  # from one look at a worker's memory to the next
START_LIMIT_S = 300.0  # a loaded computer takes long to read torch
GIGABYTE = 1e9
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass
class _Worker:
    process: BaseProcess
    line: Connection
    order: Order | None = None
    since_s: float = 0.0
    own_bytes: int = 0
    """What the process took before its first trial: torch itself is nobody's trial."""


class LocalEngine:
    """As many workers as are asked for, begun when they are needed; a dead one is replaced.

    Parameters
    ----------
    workers
        Processes.
    resources
        What a trial may take: threads, memory beside what the process itself takes, and time.
    work
        What a worker does with an order.
    """

    def __init__(self, workers: int, resources: Resources, work: Callable[[Order], Outcome] = perform) -> None:
        self._count, self._resources, self._work = workers, resources, work
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []

    def run(self, orders: Sequence[Order], done: Callable[[Outcome], None]) -> None:
        """Compute all orders; a worker that dies, or is ended for what it took, fails its trial alone."""
        waiting, open_orders = deque(orders), len(orders)
        while open_orders:
            while waiting and len(self._busy()) < self._count:
                worker = self._idle()
                worker.order, worker.since_s = waiting.popleft(), time.monotonic()
                worker.line.send(worker.order)
            ready = wait([one.line for one in self._busy()], timeout=LOOK_S)
            for worker in self._busy():
                outcome = self._answer(worker) if worker.line in ready else self._too_much(worker)
                if outcome is not None:
                    done(outcome)
                    open_orders -= 1

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            self._end(worker)
        self._workers.clear()

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.order is not None]

    def _idle(self) -> _Worker:
        for worker in self._workers:
            if worker.order is None:
                return worker
        ours, theirs = self._context.Pipe()
        before = {name: os.environ.get(name) for name in _THREADS}
        os.environ.update(dict.fromkeys(_THREADS, str(self._resources.cpus)))  # read when the child loads torch
        try:
            process = self._context.Process(target=_serve, args=(theirs, self._work), daemon=True)
            process.start()
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def _answer(self, worker: _Worker) -> Outcome | None:
        order = worker.order
        assert order is not None
        try:
            said = worker.line.recv()
        except (EOFError, OSError):
            worker.process.join(timeout=5)
            code = worker.process.exitcode
            self._end(worker)
            self._workers.remove(worker)
            return _failed(worker, order, f"its process ended with {code} in the middle of it")
        if isinstance(said, int):  # a worker that is ready says what it takes by itself
            worker.own_bytes = said
            worker.since_s = time.monotonic()
            return None
        worker.order = None
        outcome: Outcome = said
        return outcome

    def _too_much(self, worker: _Worker) -> Outcome | None:
        order, minutes = worker.order, self._resources.minutes
        assert order is not None
        said = None
        try:
            own = psutil.Process(worker.process.pid)
            taken = sum(one.memory_info().rss for one in (own, *own.children(recursive=True))) - worker.own_bytes
        except psutil.Error:
            return None  # it has just ended; the line says so next
        if worker.own_bytes and taken > self._resources.memory_gb * GIGABYTE:
            said = f"out of memory: it took {taken / GIGABYTE:.2f} GB, and memory_gb = {self._resources.memory_gb:g}"
        elif worker.own_bytes and minutes is not None and time.monotonic() - worker.since_s > 60 * minutes:
            said = f"took longer than minutes = {minutes:g}"
        elif not worker.own_bytes and time.monotonic() - worker.since_s > START_LIMIT_S:
            said = f"its process was not ready after {START_LIMIT_S:g} s"
        if said is None:
            return None
        self._end(worker)
        self._workers.remove(worker)
        return _failed(worker, order, said)

    def _end(self, worker: _Worker) -> None:
        with suppress(psutil.Error):  # it may have ended by itself; what it began must not go on without it
            for child in psutil.Process(worker.process.pid).children(recursive=True):
                child.kill()
        worker.process.kill()
        worker.process.join()
        worker.line.close()
        worker.order = None


def _failed(worker: _Worker, order: Order, said: str) -> Outcome:
    return Outcome(order.number, order.settings, "failed", error=said, seconds=time.monotonic() - worker.since_s)


def _serve(line: Connection, work: Callable[[Order], Outcome]) -> None:
    """Answer orders until the driver is gone."""
    try:
        line.send(psutil.Process().memory_info().rss)
        while True:
            line.send(work(line.recv()))
    except (EOFError, OSError):
        return
