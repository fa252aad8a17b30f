"""Showing an operator where a run is: a bar on a terminal, plain lines elsewhere; always on stderr."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Step:
    """A step of a run while it goes on."""

    def __init__(
        self,
        checkpoint: Callable[[], None],
        show: Callable[[int, str | None], None],
        name: str = "",
        total: int | None = None,
    ) -> None:
        self.name = name
        self.total = total
        self.done = 0
        """How many of `total` are done."""
        self._checkpoint = checkpoint
        self._show = show

    def advance(self, n: int = 1) -> None:
        """Count `n` more of what the step counts; a checkpoint.

        Raises
        ------
        Aborted, InterlockTripped
            If the run was asked to stop, or the bench had to be made dark.
        """
        self.done += n
        self._show(n, None)
        self._checkpoint()

    def say(self, text: str) -> None:
        """Show a remark beside the step: the loss so far, the image that is shown; a checkpoint, as `advance` is."""
        self.remark(text)
        self._checkpoint()

    def remark(self, text: str) -> None:
        """Show a remark beside the step, and nothing more."""
        self._show(0, text)


class _Stderr:
    """The process's stderr, whichever that is now; a terminal that was closed swallows what is written to it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)

    def write(self, text: str) -> int:
        with suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


class Screen:
    """Where steps are shown."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(file=cast(IO[str], _Stderr()), quiet=quiet, highlight=False)

    def line(self, text: str) -> None:
        """Show a line."""
        self._console.print(text, markup=False, soft_wrap=True)

    @contextmanager
    def step(self, name: str, total: int | None, checkpoint: Callable[[], None]) -> Iterator[Step]:
        """Show a step while the context lasts, and how long it took."""
        begin_s = time.perf_counter()
        if self._console.is_terminal:
            with self._bar(name, total, checkpoint) as step:
                yield step
        else:
            self.line(f"{name}{f' ({total})' if total else ''} ...")
            yield Step(checkpoint, lambda n, text: None, name, total)
        self.line(f"{name}: {time.perf_counter() - begin_s:.1f} s")

    @contextmanager
    def _bar(self, name: str, total: int | None, checkpoint: Callable[[], None]) -> Iterator[Step]:
        counting = (BarColumn(bar_width=24), MofNCompleteColumn()) if total else (SpinnerColumn("line"),)
        columns = (
            TextColumn("{task.description}"),
            *counting,
            TimeElapsedColumn(),
            TextColumn("{task.fields[remark]}"),
        )
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(name, total=total, remark="")

            def show(n: int, text: str | None) -> None:
                progress.update(task, advance=n)
                if text is not None:
                    progress.update(task, remark=text)

            yield Step(checkpoint, show, name, total)
