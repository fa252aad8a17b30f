"""What the commands about jobs do. What is not due must be said at once: little is imported here."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labonn.cli.answer import Answer
from labonn.errors import Aborted, ConfigError, InstrumentError, LabonnError
from labonn.jobs.recalibrating import Shot, recalibrate_if_due

if TYPE_CHECKING:
    from rich.console import Console

    from labonn.jobs.installing import Kind

_WORST_FIRST = (InstrumentError.exit_code, Aborted.exit_code, LabonnError.exit_code, ConfigError.exit_code, 5, 4, 0)


def if_due_command(bench: Path, lab: Path, settings: Sequence[str], continue_run: str | None, *, fresh: bool) -> Answer:
    """Recalibrate a bench if that is due."""
    if continue_run is not None or fresh:
        raise ConfigError("--if-due: goes on with a lost run by itself; --continue and --fresh are for operators")
    return _answer(recalibrate_if_due(bench, lab, _split(settings)))


def daemon_command(benches: Sequence[Path], lab: Path, every_s: float) -> Answer:
    """Look, until asked to stop."""
    import logging

    from labonn.jobs.benches import scheduled_benches
    from labonn.jobs.daemon import run_daemon

    paths = scheduled_benches(lab, list(benches))
    said = logging.getLogger("labonn.jobs")
    said.setLevel(logging.INFO)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    said.addHandler(handler)
    said.propagate = False  # a warning would be said twice
    try:
        names = ", ".join(map(str, paths))
        run_daemon(lab, paths, every_s, ready=lambda: said.info("looking every %g s at %s", every_s, names))
    finally:
        said.removeHandler(handler)
        said.propagate = True
    return Answer({"benches": [str(path) for path in paths]}, "stopped")


def list_command(benches: Sequence[Path], lab: Path) -> Answer:
    """Say what is due, and when the rest will be."""
    from labonn.instruments.bench_config import read_bench
    from labonn.jobs.benches import scheduled_benches
    from labonn.jobs.due import look
    from labonn.jobs.history import read_history
    from labonn.records.disk import utc_now

    rows, lines = [], []
    for path in scheduled_benches(lab, list(benches)):
        config, now = read_bench(path), utc_now()
        history = read_history(lab, config.name)
        found, last = look(config.schedule, history, now), history.last
        rows.append(
            {
                "bench": config.name,
                "file": str(path),
                "due": found.due,
                "why": found.why,
                "next_utc": _utc(found.next),
                "last": None
                if last is None
                else {"run": last.run, "status": last.status, "begun_utc": _utc(last.begun)},
            }
        )
        ended = "never tried" if last is None else f"last: {last.status}, {_local(last.begun)}"
        state = "due now" if found.due else "not due" if found.next is None else _local(found.next)
        lines.append(f"{config.name}: {state}; {found.why}; {ended}")
    return Answer({"jobs": rows}, "\n".join(lines))


def run_due_command(benches: Sequence[Path], lab: Path) -> Answer:
    """Do what is due, bench by bench."""
    from labonn.jobs.benches import scheduled_benches
    from labonn.jobs.watching import watch_if_due

    done: list[dict[str, Any]] = []
    answers: list[Answer] = []

    def try_it(bench: Path, what: str, act: Callable[[], Answer]) -> None:
        try:
            answer = act()
        except LabonnError as error:
            answer = Answer({}, "", error.exit_code, str(error))
        own = {"job": what, "file": str(bench), "exit_code": answer.exit_code, "error": answer.error}
        done.append({**answer.content, **own})
        answers.append(answer)

    def watch(bench: Path) -> Answer:
        outcome = watch_if_due(bench, lab)
        if outcome is None:
            return Answer({"due": False}, "")
        found = {"due": True, "found": outcome.as_json()}
        return Answer(found, f"{bench}: watched for drift: {outcome.status}", outcome.exit_code, outcome.error)

    for bench in scheduled_benches(lab, list(benches)):
        try_it(bench, "watch_drift", lambda bench=bench: watch(bench))  # type: ignore[misc]
        try_it(bench, "recalibrate", lambda bench=bench: _answer(recalibrate_if_due(bench, lab)))  # type: ignore[misc]

    def show(console: "Console") -> None:
        for answer in answers:
            if isinstance(answer.show, str):
                console.print(answer.show, markup=False, end="\n" if answer.show else "")
            else:
                answer.show(console)

    exit_code = next(code for code in _WORST_FIRST if code in {0, *(answer.exit_code for answer in answers)})
    errors = [answer.error for answer in answers if answer.error]
    return Answer({"jobs": done}, show, exit_code, "\n".join(errors) or None)


def install_command(kind: "Kind", benches: Sequence[Path], lab: Path, into: Path | None, every_min: int) -> Answer:
    """Write out what calls labonn every few minutes."""
    from labonn.instruments.bench_config import read_bench
    from labonn.jobs.benches import scheduled_benches
    from labonn.jobs.installing import call_of, write_out
    from labonn.records.disk import write_atomically

    if 60 % every_min:
        raise ConfigError(f"--every-min {every_min}: does not divide 60; take 1, 2, 3, 4, 5, 6, 10, 12, 15, 20 or 30")
    files: dict[str, bytes] = {}
    steps: list[str] = []
    for path in scheduled_benches(lab, list(benches)):
        config = read_bench(path)
        if config.schedule is None:
            raise ConfigError(f"{path}: has no [schedule]; nothing would ever be due there")
        written = write_out(kind, call_of(config, path, lab), every_min)
        files |= written.files
        steps += [step for step in written.steps if step not in steps]
    if into is not None:
        for name, data in files.items():
            write_atomically(into / name, data)
    texts = {name: data.decode("utf-16" if kind == "windows" else "utf-8") for name, data in files.items()}
    content = {"kind": kind, "files": texts if into is None else [str(into / name) for name in files], "steps": steps}

    def show(console: "Console") -> None:
        for name, text in texts.items():
            if into is None:
                console.print(f"--- {name}\n{text}", markup=False)
            else:
                console.print(f"written: {into / name}", markup=False)
        console.print("\nNext:", markup=False)
        for number, step in enumerate(steps, start=1):
            console.print(f"{number}. {step}", markup=False)

    return Answer(content, show)


def _answer(shot: Shot) -> Answer:
    outcome = shot.outcome
    if outcome is None:
        return Answer(shot.as_json(), _not_due(shot))

    def show(console: "Console") -> None:
        from labonn.cli.running import show_outcome

        console.print(f"bench {shot.bench} was due: {shot.look.why}", markup=False)
        show_outcome(console, outcome)

    return Answer(shot.as_json(), show, outcome.exit_code, outcome.error)


def _not_due(shot: Shot) -> str:
    words = [f"run {run.id} is closed as lost: {run.reason}" for run in shot.left.runs]
    if shot.left.darkened is not None:
        was = "it was LIT" if shot.left.darkened.was_lit else "it was dark already"
        words.append(f"bench {shot.bench} was left by {shot.left.left_by}; {was}, and was made dark")
    when = "" if shot.look.next is None else f" ({_local(shot.look.next)})"
    return "\n".join([*words, f"bench {shot.bench} is not due: {shot.look.why}{when}"])


def _split(settings: Sequence[str]) -> dict[str, str]:
    if not settings:
        return {}
    from labonn.protocol.settings import split_settings

    return split_settings(settings)


def _utc(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")


def _local(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
