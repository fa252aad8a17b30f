"""What is said between labonn and one instrument: questions and commands, each with a proof that it was understood."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from drivers.dialect import Dialect
from drivers.line import Garbled, LineError, LineLost, NoReply, Port
from labonn.errors import ConfigError, InstrumentError

logger = logging.getLogger(__name__)

T = TypeVar("T")

_LONGEST_QUEUE: Final = 30
_MOST_STALE_LINES: Final = 20
_FIRST_PAUSE_S: Final = 0.1


class Complaint(Exception):
    """The instrument understood, and does not do it: a refusal, or an entry in its error queue."""

    advice = "look the number up in its manual"


class _Stranger(LineError):
    """What answers is not the instrument that the bench file names."""


@dataclass(frozen=True)
class Patience:
    """How long, and how often, an instrument is asked."""

    reply_ms: float
    retries: int
    """How often a question is asked again, and a command that may be repeated is given again."""
    total_ms: float
    """After this no new attempt is begun."""


class Conversation:
    """One instrument's part in what is said over a port.

    Whenever something goes wrong, the line is closed, so that an answer that comes late is never taken for the next
    one; the next attempt opens it, and makes sure that the same kind of instrument answers, before anything else is
    said. Every repetition is counted and logged.

    Parameters
    ----------
    who
        The instrument, as messages name it.
    port
        Where it is reached.
    dialect
        What it understands.
    patience
        How long it is waited for.
    """

    def __init__(self, who: str, port: Port, dialect: Dialect, patience: Patience) -> None:
        self._who = who
        self._port = port
        self._dialect = dialect
        self._patience = patience
        self._greeted = 0
        self._known = False
        self._left_behind: list[str] = []
        self._kept: dict[str, tuple[str, ...]] = {}
        self.identity = ""
        """What it last said that it is."""
        self.repeated = 0
        """How many times something had to be said again."""

    def begin(self) -> None:
        """Open the line and make sure of the instrument.

        Raises
        ------
        ConfigError
            If another instrument answers.
        InstrumentError
            If nothing does.
        """
        self._port.take(self)
        try:
            self._persist(self._dialect.identity.ask, lambda: None, again=True)
        except BaseException:
            self.end()
            raise
        self._known = True

    def end(self) -> None:
        """Close the line, unless another instrument needs it; may be called twice."""
        self._port.leave(self)

    def ask(self, words: str, read: Callable[[str], T]) -> T:
        """Ask, and give what `read` makes of the answer; `read` raises `ValueError` where it is no answer.

        Raises
        ------
        InstrumentError
            If there is no right answer after all retries, or it complains.
        """

        def once() -> T:
            answer = self._answer(words)
            try:
                value = read(answer)
            except ValueError as error:
                raise Garbled(f"answered {answer!r}, which {error}") from error
            self._check_errors()
            return value

        return self._persist(words, once, again=True)

    def tell(self, lines: tuple[str, ...], *, again: bool, keep: str = "") -> None:
        """Give commands.

        Parameters
        ----------
        lines
            What is sent, one after the other.
        again
            Whether they may be given twice without doing anything else than given once.
        keep
            A name for what they set, where it is to be set again after the instrument was away.

        Raises
        ------
        InstrumentError
            If it refuses, complains, or nobody can tell whether it has done it.
        """
        for words in lines:
            self._persist(words, lambda words=words: self._command(words), again=again)  # type: ignore[misc]
        if keep:
            self._kept[keep] = lines

    def forget(self, keep: str) -> None:
        """Do not set again what was kept under this name."""
        self._kept.pop(keep, None)

    def _persist(self, words: str, act: Callable[[], T], *, again: bool) -> T:
        begun = time.monotonic()
        attempts = 0
        while True:
            attempts += 1
            started = False
            with self._port.lock:
                try:
                    self._be_ready()
                    started = True
                    return act()
                except LineError as error:
                    self._port.close()
                    failure: LineError | Complaint = error
                except Complaint as error:
                    failure = self._with_entries(error)
                except BaseException:
                    # Whatever was under way is not read to its end: its rest must not become the next answer.
                    self._port.close()
                    raise
            spent_ms = 1e3 * (time.monotonic() - begun)
            if (started and not again) or attempts > self._patience.retries or spent_ms >= self._patience.total_ms:
                raise self._failed(words, failure, attempts, started and not again) from failure
            self.repeated += 1
            logger.warning("%s: %r: %s; trying again (%d)", self._place, words, failure, attempts)
            if isinstance(failure, LineLost):
                time.sleep(_FIRST_PAUSE_S * attempts)

    def _be_ready(self) -> None:
        self._port.open()
        if self._greeted != self._port.opened:
            self._greet()
            self._greeted = self._port.opened

    def _greet(self) -> None:
        self._port.line.drain()
        for words in self._dialect.opening:
            self._agree(words)
        self.identity = self._recognise()
        self._port.line.drain()
        self._left_behind = self._read_errors()
        for entry in self._left_behind:
            logger.warning("%s: found in its error queue: %s", self._place, entry)
        kept = [words for lines in self._kept.values() for words in lines]
        for words in (*self._dialect.setup, *kept):
            self._command(words)

    def _agree(self, words: str) -> None:
        """Say how to talk from now on; whether it is answered depends on how it was talked to before."""
        self._send(words)
        rules = self._dialect.line
        ends = [pattern for pattern in (rules.acknowledgement, rules.refusal) if pattern is not None]
        if not ends and rules.prompt is None:
            return
        try:
            for _ in range(_MOST_STALE_LINES):
                lines = self._reply()
                if rules.prompt is not None or any(end.fullmatch(line) for end in ends for line in lines):
                    return
        except NoReply:
            return

    def _recognise(self) -> str:
        identity = self._dialect.identity
        self._send(identity.ask)
        heard: list[str] = []
        try:
            while len(heard) < _MOST_STALE_LINES:
                for line in self._reply():
                    if identity.like.fullmatch(line):
                        self._expect_acknowledgement_of_an_answer()
                        if heard and heard != [identity.ask]:
                            logger.warning("%s: not taken for an answer: %r", self._place, heard)
                        return line
                    heard.append(line)
        except NoReply as silence:
            answers = [line for line in heard if line != identity.ask]
            if unfinished := silence.received.decode("ascii", errors="replace").strip():
                answers.append(unfinished)
            if not answers:
                raise
            heard = answers
        raise _Stranger(
            f"answers {heard[0]!r}; {self._dialect.name or 'the dialect'} answers like {identity.like.pattern!r}"
        )

    def _expect_acknowledgement_of_an_answer(self) -> None:
        rules = self._dialect.line
        if rules.acknowledges == "everything" and rules.prompt is None:
            self._expect_acknowledgement(self._one_line())

    def _answer(self, words: str) -> str:
        rules = self._dialect.line
        self._send(words)
        if rules.prompt is None:
            self._expect_echo(words)
            lines = [self._one_line()]
            self._refuse(lines[0])
            self._expect_acknowledgement_of_an_answer()
        else:
            lines = self._without_echo(self._reply(), words)
            for line in lines:
                self._refuse(line)
            if rules.acknowledges == "everything":
                self._expect_acknowledgement(lines.pop() if lines else "")
        if not lines:
            raise Garbled("answered nothing but its prompt")
        return "\n".join(lines)

    def _command(self, words: str) -> None:
        rules = self._dialect.line
        self._send(words)
        if rules.prompt is not None:
            lines = self._without_echo(self._reply(), words)
            for line in lines:
                self._refuse(line)
            if rules.acknowledgement is not None:
                self._expect_acknowledgement(lines.pop() if lines else "")
            if lines:
                raise Complaint(f"answers {' '.join(lines)!r}")
        else:
            self._expect_echo(words)
            if rules.acknowledgement is not None:
                line = self._one_line()
                self._refuse(line)
                self._expect_acknowledgement(line)
        self._check_errors()

    def _with_entries(self, complaint: Complaint) -> Complaint:
        """Add what the error queue says to a refusal; left there, it would be blamed on the next command."""
        try:
            entries = self._read_errors()
        except (Complaint, LineError):
            self._port.close()
            return complaint
        return Complaint(f"{complaint}, and reports {'; '.join(entries)}") if entries else complaint

    def _check_errors(self) -> None:
        if entries := self._read_errors():
            raise Complaint(f"reports {'; '.join(entries)}")

    def _read_errors(self) -> list[str]:
        queue = self._dialect.errors
        entries: list[str] = []
        while queue is not None and len(entries) < _LONGEST_QUEUE:
            entry = self._answer(queue.ask)
            if queue.none.fullmatch(entry):
                break
            entries.append(entry)
        return entries

    def _send(self, words: str) -> None:
        rules = self._dialect.line
        self._port.line.send((words + rules.write_end).encode("ascii"))
        if rules.pause_ms:
            time.sleep(rules.pause_ms / 1e3)

    def _reply(self) -> list[str]:
        """Receive one line, or all up to the prompt; what is empty is left out."""
        rules = self._dialect.line
        end = (rules.prompt or rules.read_end).encode("ascii")
        text = self._port.line.receive(end, self._patience.reply_ms / 1e3).removesuffix(end)
        lines = text.decode("ascii", errors="replace").replace(rules.read_end, "\n").splitlines()
        return [line.strip() for line in lines if line.strip()]

    def _one_line(self) -> str:
        for _ in range(_MOST_STALE_LINES):
            if lines := self._reply():
                return lines[0]
        raise Garbled("sends nothing but empty lines")

    def _expect_echo(self, words: str) -> None:
        if self._dialect.line.echo and (line := self._one_line()) != words:
            raise Garbled(f"repeats {line!r}")

    def _without_echo(self, lines: list[str], words: str) -> list[str]:
        if not self._dialect.line.echo:
            return lines
        if not lines or lines[0] != words:
            raise Garbled(f"repeats {lines[0] if lines else ''!r}")
        return lines[1:]

    def _expect_acknowledgement(self, line: str) -> None:
        acknowledgement = self._dialect.line.acknowledgement
        assert acknowledgement is not None
        if not acknowledgement.fullmatch(line):
            raise Garbled(f"answers {line!r} where {acknowledgement.pattern!r} belongs")

    def _refuse(self, line: str) -> None:
        refusal = self._dialect.line.refusal
        if refusal is not None and refusal.fullmatch(line):
            raise Complaint(f"refuses: {line!r}")

    @property
    def _place(self) -> str:
        return f"{self._who} at {self._port.line.where}"

    def _failed(
        self, words: str, failure: LineError | Complaint, attempts: int, undecided: bool
    ) -> ConfigError | InstrumentError:
        if isinstance(failure, _Stranger) and not self._known:
            return ConfigError(
                f"{self._place}: {words!r}: {failure}; correct its address or its model in the bench file"
            )
        said = f"{self._place}: {words!r}: {failure}"
        if attempts > 1:
            said += f", tried {attempts} times"
        if self._left_behind:
            said += f" (its error queue held {'; '.join(self._left_behind)})"
            self._left_behind = []
        if undecided and isinstance(failure, LineError):
            said += "; not sent again, since nobody can tell whether it was done: look at it"
        return InstrumentError(f"{said}; {failure.advice}")
