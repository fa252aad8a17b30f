"""The scheduler as a process: it looks at each bench every minute, and begins what is due as a process of its own.

A job in its own process can be killed, run out of memory or lose its bench without the daemon, and reads the bench file
as it is then.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from labonn.errors import BenchInUse, LabonnError
from labonn.instruments.bench_config import read_bench
from labonn.instruments.leaving import Leaving
from labonn.instruments.lock import holder_of
from labonn.instruments.schedule import Schedule
from labonn.jobs.daemon_lock import daemon_lock
from labonn.jobs.due import look_for_watch
from labonn.jobs.history import read_history
from labonn.jobs.job_process import JobProcesses
from labonn.jobs.recalibrating import look_at
from labonn.records.disk import utc_now

logger = logging.getLogger(__name__)

RunJob = Callable[[Sequence[str]], int]
"""Words of a command of labonn -> its exit code."""

_CLOCK_TOLERANCE_S = 2.0
_SLICE_S = 1.0  # on Windows, a wait is not interrupted by Ctrl-C


class Daemon:
    """What is looked at, and how it was at the last look.

    Parameters
    ----------
    lab_dir
        The laboratory's folder.
    benches
        The bench files, and the names that they had when the daemon began: those it has locked against other daemons.
    run_job
        Runs a command of labonn, and waits for it.
    clock
        What time it is.
    """

    def __init__(
        self, lab_dir: Path, benches: dict[Path, str], run_job: RunJob, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._lab_dir = lab_dir
        self._benches = benches
        self._run_job = run_job
        self._clock = clock
        self._said: dict[Path, str] = {}

    def look(self, bench_path: Path) -> None:
        """Look at one bench, and run what is due there until it has ended; whatever goes wrong is said, once."""
        try:
            self._look(bench_path)
        except BenchInUse as error:
            logger.info("%s", error)
        except LabonnError as error:
            self._say(bench_path, str(error))
        except Exception as error:  # noqa: BLE001 - said, and the other benches and the next look go on
            self._say(bench_path, f"{type(error).__name__}: {error}", exc_info=True)
        else:
            if self._said.pop(bench_path, None) is not None:
                logger.warning("%s: all is well again", bench_path)

    def _look(self, bench_path: Path) -> None:
        name = self._benches[bench_path]
        if (now_called := read_bench(bench_path).name) != name:
            raise LabonnError(
                f"{bench_path}: the bench was called {name!r} when the daemon began, and is {now_called!r} now;"
                " nothing is done there until the daemon is started again"
            )
        holder = holder_of(name)
        if holder is not None and holder.lives:
            return
        shot = look_at(bench_path, self._lab_dir, clock=self._clock)
        if shot.schedule is not None and self._is_watch_due(name, shot.schedule):
            self._run(["jobs", "run-due", str(bench_path), "--lab", str(self._lab_dir)])
        elif shot.look.due:
            logger.info("bench %r is due: %s", name, shot.look.why)
            self._run(["recalibrate", str(bench_path), "--if-due", "--lab", str(self._lab_dir)])

    def _is_watch_due(self, name: str, schedule: Schedule) -> bool:
        if schedule.drift is None:
            return False
        return look_for_watch(schedule, read_history(self._lab_dir, name), self._clock()).due

    def _run(self, words: Sequence[str]) -> None:
        exit_code = self._run_job(words)
        logger.log(
            logging.WARNING if exit_code else logging.INFO, "labonn %s ended with %d", " ".join(words), exit_code
        )

    def _say(self, bench_path: Path, text: str, *, exc_info: bool = False) -> None:
        """Say what is wrong, unless that was said at the last look."""
        if self._said.get(bench_path) != text:
            self._said[bench_path] = text
            logger.error("%s", text, exc_info=exc_info)


def run_daemon(lab_dir: Path, bench_paths: Sequence[Path], every_s: float, *, ready: Callable[[], None]) -> None:
    """Look at every bench, until this process is asked to stop; then its jobs are, and their benches are dark.

    Parameters
    ----------
    lab_dir
        The laboratory's folder.
    bench_paths
        The bench files.
    every_s
        How often to look.
    ready
        Called when the first look is about to begin.

    Raises
    ------
    BenchInUse
        If another daemon looks at one of the benches.
    ConfigError
        If a bench file is wrong.
    """
    benches = {path.absolute(): read_bench(path).name for path in bench_paths}
    jobs, leaving = JobProcesses(), Leaving()
    with ExitStack() as held, leaving.active():
        for name in benches.values():
            held.enter_context(daemon_lock(name))
        daemon = Daemon(lab_dir.absolute(), benches, jobs.run)
        try:
            with looking(daemon.look, list(benches), every_s) as look_now:
                ready()
                _mind_the_clock(look_now)
        except KeyboardInterrupt:
            logger.info("asked to stop")
        finally:
            with leaving.protected():
                jobs.stop()


@contextmanager
def looking(look: Callable[[Path], None], bench_paths: Sequence[Path], every_s: float) -> Iterator[Callable[[], None]]:
    """Look at every bench now and every so often, each in a thread of its own; a look that takes long delays its next.

    Yields
    ------
    What looks now instead of then, to be called when the computer's clock was set back.
    """
    from apscheduler.executors.pool import ThreadPoolExecutor
    from apscheduler.schedulers.background import BackgroundScheduler
    from apscheduler.triggers.interval import IntervalTrigger

    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # that a look is still going on is no warning
    scheduler = BackgroundScheduler(
        executors={"default": ThreadPoolExecutor(max(1, len(bench_paths)))},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        timezone="UTC",
    )
    for number, path in enumerate(bench_paths):
        trigger = IntervalTrigger(seconds=every_s, timezone="UTC")
        scheduler.add_job(look, trigger, args=[path], id=str(number), next_run_time=utc_now())

    def look_now() -> None:
        for job in scheduler.get_jobs():
            job.modify(next_run_time=utc_now())

    scheduler.start()
    try:
        yield look_now
    finally:
        scheduler.shutdown(wait=False)


def _mind_the_clock(look_now: Callable[[], None]) -> None:
    """Wait for ever; when the clock is set back, the scheduler would wait until it is again what it was."""
    never = threading.Event()
    while True:
        wall_s, monotonic_s = time.time(), time.monotonic()
        never.wait(_SLICE_S)
        behind_s = (time.monotonic() - monotonic_s) - (time.time() - wall_s)
        if behind_s > _CLOCK_TOLERANCE_S:
            logger.warning("the computer's clock was set back by %.0f s", behind_s)
            look_now()
