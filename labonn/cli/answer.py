"""What a command answers: one JSON object for programs, lines and tables for people, and an exit code."""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Answer:
    """The answer of a command."""

    content: Mapping[str, Any]  # for programs; `ok`, `exit_code` and `error` are added where they are missing
    show: Callable[["Console"], None] | str  # for people; prints results, to stdout, or is what is printed
    exit_code: int = 0
    error: str | None = None


def failure(message: str, exit_code: int) -> Answer:
    """Answer that something went wrong before there was anything to say."""
    return Answer({}, lambda console: None, exit_code, message)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of columns, as wide as they need: what is to be copied from a list is never cut."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


class Stdout:
    """The process's stdout, kept for the answer alone where programs read it.

    Where `for_programs`, whatever else writes to stdout (a script's ``print``, a library in C) ends up on stderr.
    """

    def __init__(self, *, for_programs: bool) -> None:
        self._for_programs = for_programs
        self._kept: TextIO | None = None
        if for_programs:
            self._keep()

    def _keep(self) -> None:
        sys.stdout.flush()
        kept = os.dup(1)
        os.dup2(2, 1)
        self._kept = os.fdopen(kept, "w", encoding="utf-8")

    def give(self, answer: Answer) -> None:
        """Print an answer: its results to stdout, its error to stderr."""
        if self._kept is not None:
            head = {"ok": answer.exit_code == 0, "exit_code": answer.exit_code, "error": answer.error}
            with suppress(BrokenPipeError):
                self._kept.write(json.dumps({**head, **answer.content}, allow_nan=False) + "\n")
                self._kept.flush()
            return
        if isinstance(answer.show, str):
            with suppress(BrokenPipeError):
                print(answer.show, flush=True)
        else:
            from rich.console import Console

            answer.show(Console(highlight=False, soft_wrap=True))
        if answer.error is not None:
            from rich.console import Console

            Console(stderr=True, highlight=False, soft_wrap=True).print(answer.error, markup=False, style="bold")
