"""What a protocol is handed: the bench, the laboratory's folder, the recorder, progress, checkpoints."""

import logging
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labonn.errors import Aborted, ConfigError, LabonnError
from labonn.protocol.pausing import Pause
from labonn.protocol.progress import Screen, Step
from labonn.protocol.silence import Silence
from labonn.records import Recorder, Run
from labonn.records.disk import plain, sha256_of
from labonn.records.runs import FRAMES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from labonn.capture import Calibration, Registration
    from labonn.instruments import Bench, BenchConfig
    from labonn.protocol.continuing import Continuation
    from labonn.records.earlier import EarlierRun

logger = logging.getLogger(__name__)

_FIGURES = "figures"
_CONTROL = "control"
_PAUSED = "paused"


class Lab:
    """The laboratory, as a protocol sees it while it runs."""

    def __init__(
        self,
        folder: Path,
        bench_path: Path,
        bench_config: "BenchConfig",
        run_record: Run,
        screen: Screen,
        *,
        world_seed: int | None = None,
        earlier: "Sequence[EarlierRun]" = (),
    ) -> None:
        self.folder = folder
        """The laboratory's folder: models, releases, runs."""
        self.bench_path = bench_path
        self.bench_config = bench_config
        self.run_record = run_record
        """The run: its id, its folder."""
        self.seconds: dict[str, float] = {}
        """How long each step took; a step that came twice counts both times."""
        self.released: str | None = None
        """The release that this run has made, if it has."""
        self.calibrations: list[tuple[Calibration, Path]] = []
        """Those that captures were made with, and their files in the run's folder."""
        self._registration: Registration | None = None
        self._screen = screen
        self._earlier = earlier
        self._continuation: Continuation | None = None
        self._world_seed = world_seed
        self._frames = Recorder(self.frames_path, while_waiting=self._check)
        self._held = ExitStack()
        self._held.callback(self._frames.close)  # comes last: the bench, entered later, is made dark before
        self._bench: Bench | None = None
        self._stop_reason: str | None = None
        self._steps: list[Step] = []  # those that go on, the innermost last
        self._pause = Pause()
        self._bench_sha256 = sha256_of(bench_path)
        self._silence = Silence(run_record.record.script, screen.line)
        self._held.callback(self._silence.stop)

    @property
    def bench(self) -> "Bench":
        """The bench, opened when it is first asked for and held, and at last left dark, until the run ends.

        Raises
        ------
        BenchInUse, ConfigError, InstrumentError
            As `labonn.instruments.open_bench` does; or if the bench file was edited since the run began.
        """
        if self._bench is None:
            from labonn.instruments import open_bench

            if self._bench_file_changed:
                raise ConfigError(
                    f"{self.bench_path}: was edited since the run began, before the bench was opened; run it again"
                )
            self._bench = self._held.enter_context(
                open_bench(self.bench_path, world_seed=self._world_seed, control_folder=self.folder / _CONTROL)
            )
            self._bench.control.attach(self.status, self._pause.ask, self._pause.end)
            self.run_record.change(instruments=self._bench.settings())
            self._note_how_it_was_found(self._bench)
        return self._bench

    @property
    def frames_path(self) -> Path:
        """Where this run's frames are; `labonn.records.read_frames` reads them while the run goes on, too."""
        return self.run_record.folder / FRAMES

    @property
    def continuation(self) -> "Continuation":
        """What lost runs captured, and this one need not capture again."""
        if self._continuation is None:
            from labonn.protocol.continuing import Continuation

            self._continuation = Continuation(self._earlier)
        return self._continuation

    def registration(self, calibration: "Calibration") -> "Registration":
        """What cuts frames into tiles; kept for the next captures by the same calibration: in colour it takes seconds.

        Raises
        ------
        CalibrationError
            As `labonn.capture.Registration` does.
        """
        if self._registration is None or self._registration.calibration is not calibration:
            from labonn.capture import Registration

            self._registration = Registration(calibration)
        return self._registration

    def say(self, text: str) -> None:
        """Tell the operator, and the log."""
        logger.info("%s", text)
        self._screen.line(text)

    @contextmanager
    def step(self, name: str, total: int | None = None) -> Iterator[Step]:
        """Show and time a step: ``with lab.step("capturing", total=32) as step: ... step.advance()``.

        Frames that were recorded in it are acknowledged when it ends.
        """
        self.checkpoint()
        logger.info("%s", name, extra={"step": name, "total": total})
        begin_s = time.perf_counter()
        try:
            with self._screen.step(name, total, self.checkpoint) as step:
                self._steps.append(step)
                try:
                    yield step
                finally:
                    self._steps.remove(step)
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin_s
        self._frames.flush()
        self.run_record.change(seconds=self.seconds)

    def checkpoint(self) -> None:
        """Let a request to pause or to stop take effect here; loops that take long and do not `advance` call it.

        While the run is paused, this waits, with the shutter closed.

        Raises
        ------
        Aborted
            If the run was asked to stop.
        InterlockTripped
            If a reading left its range, so that the bench was made dark.
        """
        self._check()
        if self._pause.state == "pausing":
            self._hold()

    @property
    def tripped(self) -> LabonnError | None:
        """What made the bench dark under the run, if anything has: an interlock, or somebody who asked for it."""
        return None if self._bench is None else self._bench.guard.error

    def status(self) -> dict[str, Any]:
        """Say where the run is, for whoever asks from elsewhere; may be called from any thread."""
        record, step = self.run_record.record, next(iter(self._steps[-1:]), None)
        return {
            "run": record.id,
            "protocol": record.protocol,
            "operator": record.operator,
            "since_utc": record.start_utc.isoformat(timespec="seconds"),
            "state": self._pause.state,
            "step": None if step is None else step.name,
            "done": None if step is None else step.done,
            "total": None if step is None else step.total,
            "seconds": round(time.monotonic() - record.start_monotonic_s, 1),
            "checkpoint_s": round(self._silence.seconds, 1),
            "line": self._silence.line(),
        }

    def stop(self, reason: str) -> None:
        """Ask the run to stop at its next checkpoint; may be called from any thread."""
        self._stop_reason = reason

    def record(self, group: str, seldom: Mapping[str, Any] | None = None, **arrays: Any) -> int:
        """Keep one capture: its frame, its maps, the number of its image; see `labonn.records.Recorder.append`.

        It is written while the run goes on. What is handed in belongs to the recorder then, and must not be changed.

        Parameters
        ----------
        group
            The kind of capture.
        seldom
            What is kept of some captures only, such as their frames.
        **arrays
            What is kept of every capture.

        Returns
        -------
        How many captures of the group are acknowledged: on disk, whatever happens now.

        Raises
        ------
        RecordError
            If an earlier capture could not be written, because the disk is full or it did not fit those before it.
        """
        return self._frames.append(group, seldom, **arrays)

    def record_all(self, group: str, seldom: Mapping[str, Any] | None = None, **arrays: Any) -> None:
        """Keep many captures at once; the first axis of every array counts them; see `Recorder.extend`."""
        self._frames.extend(group, seldom, **arrays)

    def flush(self) -> None:
        """Wait until everything that was recorded is acknowledged."""
        self._frames.flush()

    def figure(self, name: str, figure: "Figure", caption: str = "") -> None:
        """Keep a picture for the report. A picture that cannot be drawn is noted, and does not end the run."""
        file = self.run_record.folder / _FIGURES / f"{_file_name(name)}.png"
        file.parent.mkdir(exist_ok=True)
        try:
            figure.savefig(file, dpi=144)
        except Exception:
            logger.exception("the figure %r could not be drawn", name)
            self._screen.line(f"the figure {name!r} could not be drawn; see log.jsonl")
            return
        self.run_record.add_figure(name, file, caption)

    def table(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Keep a table for the report; the first row's keys are its columns."""
        self.run_record.add_table(name, [plain(dict(row)) for row in rows])

    def note(self, key: str, value: Any) -> None:
        """Keep a figure or a remark in the record and the report."""
        logger.info("%s = %s", key, value)
        self.run_record.note(key, value)

    def close(self, error: BaseException | None) -> None:
        """Leave the bench dark and close the files; for the runtime, which hands in what ended the script, if anything.

        Raises
        ------
        InstrumentError, RecordError
            If that fails, and nothing had failed before.
        """
        trace = None if error is None else error.__traceback__
        if self._bench is not None and self._bench_file_changed:
            self.note("bench file", "was edited during the run, which went on with what it had read")
        self._held.__exit__(type(error) if error else None, error, trace)

    @property
    def _bench_file_changed(self) -> bool:
        try:
            return sha256_of(self.bench_path) != self._bench_sha256
        except OSError:  # it is gone
            return True

    def _check(self) -> None:
        self._silence.heard()
        if self._bench is not None:
            self._bench.guard.check()
        if self._stop_reason is not None:
            raise Aborted(self._stop_reason)

    def _hold(self) -> None:
        begin_s = time.perf_counter()
        logger.info("paused")
        self._screen.line("paused, and dark")
        for step in self._steps:
            step.remark(_PAUSED)
        try:
            self._pause.hold(None if self._bench is None else self._bench.shutter, self._check)
        finally:
            paused_s = time.perf_counter() - begin_s
            self.seconds[_PAUSED] = self.seconds.get(_PAUSED, 0.0) + paused_s
            for step in self._steps:
                step.remark("")
        logger.info("resumed after %.1f s", paused_s)
        self._screen.line(f"resumed after {paused_s:.1f} s")

    def _note_how_it_was_found(self, bench: "Bench") -> None:
        """Keep, in the record, what `open_bench` has said of a bench that was not left as it should be."""
        if bench.left_by is None and bench.left_note is None and not bench.found_lit:
            return
        by = f"by {bench.left_by}, which ended without closing it" if bench.left_by else "by whoever used it last"
        note = f"; {bench.left_note}" if bench.left_note else ""
        self.note(
            "how the bench was found", f"left {'LIT ' if bench.found_lit else ''}{by}{note}; dark since it was opened"
        )


def _file_name(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "figure"
