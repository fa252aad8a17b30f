"""The process's way in: arguments to a command, its answer or failure to stdout, stderr and the exit code."""

import logging
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from labonn.cli.answer import Answer, Stdout, failure
from labonn.cli.processor import prepare_process
from labonn.errors import Aborted, ConfigError, LabonnError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code, as `docs` and ``labonn --help`` list them."""
    prepare_process()
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    stdout = Stdout(for_programs="--json" in arguments)
    with _warnings_on_stderr():
        answer = _answer(arguments)
    stdout.give(answer)
    return answer.exit_code


def _answer(arguments: Sequence[str]) -> Answer:
    from labonn.cli.app import app

    try:
        answer = app(args=list(arguments), prog_name="labonn", standalone_mode=False)
    except LabonnError as error:
        return failure(str(error), error.exit_code)
    except KeyboardInterrupt as error:
        return failure(str(error) or "stopped by Ctrl-C", Aborted.exit_code)
    except Exception as error:  # noqa: BLE001 - every command ends with an answer
        usage = _usage_error(error)
        if usage is not None:
            return failure(usage, ConfigError.exit_code)
        traceback.print_exc()
        return failure(f"this is a fault of labonn, please report it: {type(error).__name__}: {error}", 1)
    if isinstance(answer, Answer):
        return answer
    return Answer({}, lambda console: None, answer if isinstance(answer, int) else 0)  # --help, --version


def _usage_error(error: Exception) -> str | None:
    """Give the message of an error in the arguments, known by what it has: typer's own classes moved about."""
    format_message = getattr(error, "format_message", None)
    if format_message is None or not hasattr(error, "exit_code"):
        return None
    context = getattr(error, "ctx", None)
    message = str(format_message()).strip()
    return message if context is None else f"{context.get_usage().strip()}\n{message}"


class _Spoken(logging.Formatter):
    """A log record as a line for people: never a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{record.levelname.lower()}: {record.getMessage()}"


@contextmanager
def _warnings_on_stderr() -> Iterator[None]:
    """Say warnings of the bench and the drivers on stderr; a run's own messages come through its screen and answer."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(_Spoken())
    handler.addFilter(lambda record: not record.name.startswith(("labonn.protocol", "py.warnings")))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
