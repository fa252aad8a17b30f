"""Running a protocol: whatever happens inside, the bench ends dark and the run ends recorded."""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from labonn.protocol.lab import Lab
from labonn.protocol.progress import Screen
from labonn.protocol.result import Ending, Outcome, as_result, ending_of_error, ending_of_result
from labonn.protocol.script import Script, load_script
from labonn.protocol.settings import make_parameters
from labonn.protocol.write_report import write_report
from labonn.records import Run, RunRecord, close_lost_runs, logging_to
from labonn.records.earlier import Found, run_to_continue, runs_to_continue
from labonn.records.runs import software_versions

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Earlier:
    """Which earlier run may be continued."""

    named: str | None
    none: bool

    def find(self, lab_dir: Path, record: RunRecord) -> Found:
        """Look for it."""
        if self.none:
            return Found()
        return runs_to_continue(lab_dir, record) if self.named is None else run_to_continue(lab_dir, self.named, record)


def run_protocol(
    script: str | Path,
    bench_path: Path,
    lab_dir: Path,
    settings: Mapping[str, str] | None = None,
    *,
    world_seed: int | None = None,
    quiet: bool = False,
    continue_run: str | None = None,
    fresh: bool = False,
) -> Outcome:
    """Run a protocol, record it, and say how it ended.

    Whatever the script does, and on Ctrl-C and SIGTERM, the bench is left dark, the run is closed with its status and
    reason, and its report is written with what there is; nothing of that raises. Earlier runs of this laboratory whose
    process is gone are closed as lost before; the captures of one that was the same are taken over, if the bench still
    is what it was then.

    Parameters
    ----------
    script
        A path, or the name of a shipped protocol.
    bench_path
        The bench file.
    lab_dir
        The laboratory's folder; made if it is missing.
    settings
        Keys of the script's `Parameters` and their values, as texts.
    world_seed
        For a simulated bench: the seed of its world.
    quiet
        Whether to show no progress.
    continue_run
        A run that was lost, aborted or failed, to be continued whatever it ended by.
    fresh
        Whether to capture everything, also where a lost run could be continued.

    Raises
    ------
    ConfigError
        If there is no such script, it is no protocol, or a setting does not fit: no run was made, nothing was touched.
    RecordError
        If the run's folder cannot be written.
    KeyboardInterrupt
        If the process was asked to stop before the run began, or while it was being closed.
    """
    import labonn.instruments.opening  # noqa: F401 - takes a while, and between a run's folder and its closing nothing should

    loaded = load_script(script)
    parameters = make_parameters(loaded.parameters, settings or {})
    lost = close_lost_runs(lab_dir)
    run = Run.start(
        lab_dir,
        loaded.name,
        script=loaded.path,
        script_sha256=loaded.sha256,
        bench_file=bench_path.absolute(),
        parameters=parameters,
        seed=_seed(parameters),
    )
    with logging_to(run.folder / "log.jsonl"):
        screen = Screen(quiet=quiet)
        for record in lost:
            _say_lost(record, run.folder.parent / record.id, screen)
        earlier = _Earlier(continue_run, fresh)
        return _carry_out(loaded, parameters, bench_path, lab_dir.absolute(), run, screen, world_seed, earlier)


def _carry_out(
    script: Script,
    parameters: BaseModel,
    bench_path: Path,
    lab_dir: Path,
    run: Run,
    screen: Screen,
    world_seed: int | None,
    earlier: "_Earlier",
) -> Outcome:
    from labonn.instruments import read_bench
    from labonn.instruments.leaving import Leaving

    begin_s = time.perf_counter()
    leaving = Leaving()
    lab: Lab | None = None
    result: dict[str, Any] = {}
    error: BaseException | None = None
    logger.info("run %s begins", run.id, extra={"parameters": parameters})
    with leaving.active():
        try:
            config = read_bench(bench_path)
            run.change(bench=config.name, optic=config.optic)
            found = earlier.find(lab_dir, run.record)
            lab = Lab(lab_dir, bench_path, config, run, screen, world_seed=world_seed, earlier=found.runs)
            if found.remark:
                lab.say(found.remark)
            with _lost_interrupts_to(lab.stop):
                result = as_result(script.run(lab, parameters))
        except BaseException as ended_by:  # noqa: BLE001 - however it ended, it is closed and recorded below
            error = ended_by
        error = _what_made_it_dark(lab, error)
        if error is not None and lab is not None and lab.released is not None:
            error.add_note(f"release {lab.released} was made before that, and is in use")
        with leaving.protected():
            if lab is not None:
                error = _close(lab, error)
            ending = ending_of_result(result) if error is None else ending_of_error(error, script)
            return _record(
                run, ending, error, result, {} if lab is None else lab.seconds, time.perf_counter() - begin_s
            )


def _what_made_it_dark(lab: Lab | None, error: BaseException | None) -> BaseException | None:
    """Give what tripped the bench's guard, if anything has: whatever the script ended by then came of that."""
    tripped = None if lab is None else lab.tripped
    if tripped is None or (type(error), str(error)) == (type(tripped), str(tripped)):
        return error
    cause = type(tripped)(*tripped.args)
    if error is not None:
        cause.add_note(f"then: {type(error).__name__}: {error}")
        cause.__cause__ = error
    return cause


def _say_lost(record: RunRecord, folder: Path, screen: Screen) -> None:
    """Tell of an earlier run that was found lost, and write its report."""
    said = f"run {record.id} is closed as lost: {record.reason}"
    logger.warning("%s", said)
    screen.line(said)
    try:
        write_report(folder)
    except Exception:
        logger.exception("the report of run %s could not be written", record.id)


def _close(lab: Lab, error: BaseException | None) -> BaseException | None:
    """Leave the bench dark and close the files; give what the run ended by."""
    try:
        lab.close(error)
    except BaseException as late:
        if error is None:
            return late
        if late is not error:
            logger.exception("closing the run failed, too")
            error.add_note(f"and closing the run failed: {late}")
    return error


def _record(
    run: Run,
    ending: Ending,
    error: BaseException | None,
    result: Mapping[str, Any],
    seconds: Mapping[str, float],
    total_s: float,
) -> Outcome:
    seconds = {**seconds, "total": total_s}
    if ending.status == "done":
        logger.info("run %s is done", run.id)
    else:
        logger.error("run %s: %s: %s", run.id, ending.status, ending.reason, exc_info=error)
    run.change(seconds=seconds, versions=software_versions())  # torch may have been imported
    run.finish(ending.status, exit_code=ending.exit_code, reason=ending.reason, result=result)
    report: Path | None = None
    try:
        report = write_report(run.folder)
    except Exception:
        logger.exception("the report could not be written; `labonn report %s` tries again", run.id)
    return Outcome(run.folder, ending.status, ending.exit_code, dict(result), ending.reason, report, seconds)


@contextmanager
def _lost_interrupts_to(stop: Callable[[str], None]) -> Iterator[None]:
    """Let an interrupt take effect that Python had to drop, because it came inside a callback of C or a destructor."""
    before = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            stop(str(unraisable.exc_value) or "asked to stop by Ctrl-C")
        else:
            before(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _seed(parameters: BaseModel) -> int | None:
    seed = getattr(parameters, "seed", None)
    return seed if isinstance(seed, int) else None
