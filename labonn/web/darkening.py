"""Dark, from the page: the holder is told at once; where nobody holds the bench or answers, a process does it."""

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from labonn.errors import InstrumentError
from labonn.instruments.control import NotHeld, ask_holder

_ANSWER_LIMIT_S = 3.0
_LIMIT_S = 60.0


@dataclass(frozen=True)
class Dark:
    """How a bench was made dark."""

    was_lit: bool
    by: str
    seconds: float

    @property
    def words(self) -> str:
        """Say it."""
        return f"dark after {self.seconds:.2f} s, by {self.by}; it was {'LIT' if self.was_lit else 'dark already'}"


async def darken(bench: str, file: Path, by: str) -> Dark:
    """Make a bench dark, whoever holds it, and when nobody does.

    Raises
    ------
    InstrumentError
        If it could not be made dark.
    """
    begin_s = time.perf_counter()
    try:
        told = await asyncio.to_thread(ask_holder, bench, "dark", _ANSWER_LIMIT_S, by=by)
        return Dark(bool(told.get("was_lit")), "the run that holds it", time.perf_counter() - begin_s)
    except (NotHeld, InstrumentError):
        # Drivers, and a holder that has to be killed, are not for the page's server.
        answer = await _by_command(file)
    return Dark(bool(answer["was_lit"]), str(answer["by"]), time.perf_counter() - begin_s)


async def _by_command(file: Path) -> dict[str, object]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "labonn", "bench", "dark", str(file), "--json",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        said, _ = await asyncio.wait_for(process.communicate(), _LIMIT_S)
        answer: dict[str, object] = json.loads(said)
    except (TimeoutError, ValueError) as error:
        if process.returncode is None:
            process.kill()
        raise InstrumentError(f"bench of {file}: could not be made dark, LOOK AT IT: {error!r}") from error
    if not answer.get("ok"):
        raise InstrumentError(f"could not be made dark, LOOK AT IT: {answer.get('error')}")
    return answer
