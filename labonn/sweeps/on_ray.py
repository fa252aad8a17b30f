"""The Ray engine: the same trials on a cluster. Ray is the extra ``labonn[ray]``, and is imported here alone."""

import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from labonn.errors import ConfigError
from labonn.sweeps.performing import perform
from labonn.sweeps.sweep import Resources
from labonn.sweeps.trial import Order, Outcome

ANSWER_S = 10.0
BEGIN_S = 60.0
LOOK_S = 1.0  # from one look at the time that trials take to the next; an answer is taken at once
RETRIES = 3  # of a trial whose worker or computer died
GIGABYTE = 10**9
HTTP2_SETTINGS = b"\x04"  # type of a frame, RFC 9113, section 6.5
HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0" + HTTP2_SETTINGS + b"\0\0\0\0\0"


class RayEngine:
    """Trials as Ray's tasks. A worker that dies costs its trial's time: Ray gives the trial to another.

    Parameters
    ----------
    address
        ``HOST:PORT`` of a cluster's head; a cluster of this computer's own, ended with the engine, if not given.
    workers
        Of its own cluster, the processors it takes; of another's, ignored.
    resources
        What a trial may take: Ray places as many as fit.

    Raises
    ------
    ConfigError
        If Ray is not installed, or nobody answers at the address within ten seconds.
    """

    def __init__(
        self,
        resources: Resources,
        *,
        address: str | None = None,
        workers: int = 1,
        work: Callable[[Order], Outcome] = perform,
    ) -> None:
        try:
            import ray
        except ImportError as error:
            raise ConfigError('engine "ray": Ray is not installed here: pip install "labonn[ray]"') from error
        self._ray: Any = ray
        options = {"namespace": "labonn", "logging_level": "ERROR", "log_to_driver": False}
        if address is None:
            # In this very thread: the kernel ends a cluster's processes with the thread that began them.
            ray.init(address="local", num_cpus=workers * resources.cpus, include_dashboard=False, **options)
        else:
            _knock(address)
            _within(BEGIN_S, lambda: ray.init(address=address, **options), address)
        self._resources = resources
        # Memory is asked for only of a cluster: on one computer Ray's count of what is free refuses more than it need.
        asked = {"memory": int(resources.memory_gb * GIGABYTE)} if address else {}
        self._work = ray.remote(num_cpus=resources.cpus, max_retries=RETRIES, **asked)(work)

    def run(self, orders: Sequence[Order], done: Callable[[Outcome], None]) -> None:
        """Compute all orders; one whose workers died again and again, or took too much, fails alone."""
        ray, waiting = self._ray, deque(orders)
        begun: dict[Any, tuple[Order, float]] = {}
        while waiting or begun:
            # No more than the cluster has room for: each begins when it is handed over, and its time counts from then.
            while waiting and len(begun) < self._room():
                order = waiting.popleft()
                begun[self._work.remote(order)] = order, time.monotonic()
            ready, _ = ray.wait(list(begun), timeout=LOOK_S)
            for reference in ready:
                order, since_s = begun.pop(reference)
                try:
                    outcome: Outcome = ray.get(reference)
                except ray.exceptions.RayError as error:
                    said = f"{type(error).__name__}: {(str(error).strip().splitlines() or ['no more is known'])[0]}"
                    outcome = _failed(order, said, since_s)
                done(outcome)
            for reference, (order, since_s) in list(begun.items()):
                minutes = self._resources.minutes
                if minutes is not None and time.monotonic() - since_s > 60 * minutes:
                    ray.cancel(reference, force=True)
                    del begun[reference]
                    done(_failed(order, f"took longer than minutes = {minutes:g}", since_s))

    def _room(self) -> int:
        """Trials that the cluster has processors for now; computers come and go."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1) // self._resources.cpus))

    def close(self) -> None:
        """Leave the cluster; one of its own ends."""
        self._ray.shutdown()


def _failed(order: Order, said: str, since_s: float) -> Outcome:
    return Outcome(order.number, order.settings, "failed", error=said, seconds=time.monotonic() - since_s)


def _knock(address: str) -> None:
    """Make sure that a gRPC server, as a cluster's head is one, answers at an address: it greets in HTTP/2."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigError(f"address = {address!r}: a cluster's head is given as HOST:PORT, as in 10.0.0.5:6379")
    try:
        with socket.create_connection((host, int(port)), timeout=ANSWER_S) as line:
            line.sendall(HTTP2_GREETING)
            answer = line.recv(9)
    except OSError as error:
        raise ConfigError(
            f"address = {address!r}: no Ray cluster answers there ({error.strerror or error}, within {ANSWER_S:g} s):"
            " is it started (ray start --head), and is the port the head's?"
        ) from error
    if answer[3:4] != HTTP2_SETTINGS:
        raise ConfigError(f"address = {address!r}: something else than a Ray cluster answers there; the head's port?")


def _within(seconds: float, call: Callable[[], object], what: str) -> None:
    """Call, and give up after a while: Ray itself waits for minutes for what is no cluster."""
    failures: list[Exception] = []

    def attempt() -> None:
        try:
            call()
        except (ConnectionError, RuntimeError, ValueError, TimeoutError, OSError) as error:
            failures.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise ConfigError(f"{what}: does not answer as a Ray cluster within {seconds:g} s; is it one of this version?")
    if failures:
        raise ConfigError(f"{what}: Ray cannot be used: {failures[0]}") from failures[0]
