"""Dialects: what an instrument that is talked to in lines of text wants to hear, and what it answers.

A dialect is a TOML table. The ones in `models/` are named after maker and model and say which manual they come from; a
laboratory writes its own beside its bench file, or within it as `[instruments.NAME.dialect]`.
"""

from math import isfinite
from re import Pattern
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, FiniteFloat, model_validator

from labonn.config import Frozen


def _words(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _fits_one_line(text: str) -> str:
    if not text.strip() or not text.isascii() or any(character in text for character in "\r\n"):
        raise ValueError("must be one line of ASCII text")
    return text


def _names_no_more(text: str) -> str:
    if "{" in text or "}" in text:
        raise ValueError("names something in {braces} that is not among the parameters")
    return text


def _names_a_value(text: str) -> str:
    try:
        text.format(value=1.0)
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"may name {{value}} and the parameters only, such as {{value:.3f}}: {error}") from None
    return text


def _has_one_group(pattern: Pattern[str]) -> Pattern[str]:
    if pattern.groups != 1:
        raise ValueError(f"must have exactly one group (...), around the number; it has {pattern.groups}")
    return pattern


Words = Annotated[str, AfterValidator(_fits_one_line), AfterValidator(_names_no_more)]
Sequence = Annotated[tuple[Words, ...], BeforeValidator(_words)]
"""What is sent, one after the other; a single string is a sequence of one."""
Template = Annotated[str, AfterValidator(_fits_one_line), AfterValidator(_names_a_value)]

_NUMBER = r"[ \t]*([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)[ \t]*"


class LineRules(Frozen):
    """How lines are sent and received."""

    write_end: str = Field("\n", min_length=1, description="what ends a line that is sent")
    read_end: str = Field("\n", min_length=1, description="what ends a line that is received")
    prompt: str | None = Field(None, min_length=1, description="what the instrument says when it is ready again")
    echo: bool = Field(False, description="whether it repeats what it was sent before it answers")
    acknowledgement: Pattern[str] | None = Field(None, description="what it answers when it has done a command")
    acknowledges: Literal["commands", "everything"] = Field(
        "commands", description='"everything": the acknowledgement also follows the answer to a query'
    )
    refusal: Pattern[str] | None = Field(None, description="what it answers when it does not do as it was told")
    reply_ms: float = Field(1_000.0, gt=0, description="how long one answer may take")
    pause_ms: float = Field(0.0, ge=0, description="how long it must be left alone after each line")
    baud: int = Field(9_600, gt=0, description="where it hangs on a serial port, as the rest here")
    data_bits: Literal[7, 8] = 8
    parity: Literal["none", "even", "odd"] = "none"
    stop_bits: Literal[1, 2] = 1
    flow: Literal["none", "xonxoff", "rtscts"] = "none"

    @model_validator(mode="after")
    def _acknowledges_with_something(self) -> Self:
        if self.acknowledges == "everything" and self.acknowledgement is None:
            raise ValueError('acknowledges = "everything": needs an acknowledgement')
        return self


class Identity(Frozen):
    """How the instrument is recognised."""

    ask: Words
    like: Pattern[str] = Field(description="what its whole answer looks like")


class ErrorQueue(Frozen):
    """Where the instrument keeps its complaints; read until empty after everything that it is sent."""

    ask: Words
    none: Pattern[str] = Field(description="what its whole answer looks like when there is none")


class Question(Frozen):
    """A query that is answered by yes or no."""

    ask: Words
    yes: Pattern[str] = Field(description="what the whole answer looks like when it is yes")
    no: Pattern[str]

    def read(self, answer: str) -> bool:
        """Say whether an answer is yes.

        Raises
        ------
        ValueError
            If it is neither yes nor no.
        """
        if self.yes.fullmatch(answer):
            return True
        if self.no.fullmatch(answer):
            return False
        raise ValueError(f"is neither {self.yes.pattern!r} nor {self.no.pattern!r}")


class Number(Frozen):
    """A query that is answered by a number; the number times `scale`, plus `offset`, is in our unit."""

    ask: Words
    scale: FiniteFloat = 1.0
    offset: FiniteFloat = 0.0
    like: Annotated[Pattern[str], AfterValidator(_has_one_group)] = Field(_NUMBER, validate_default=True)

    def read(self, answer: str) -> float:
        """Give the number of an answer, in our unit.

        Raises
        ------
        ValueError
            If the answer does not look as it should.
        """
        found = self.like.fullmatch(answer)
        if found is None:
            raise ValueError("is not the number that was asked for")
        number = float(found.group(1)) * self.scale + self.offset
        if not isfinite(number):
            raise ValueError("is more than a number can be")
        return number


class NumberCommand(Frozen):
    """Commands that set a number: `{value}` in them stands for ours times `scale`."""

    tell: Annotated[tuple[Template, ...], BeforeValidator(_words)] = Field(min_length=1)
    scale: FiniteFloat = 1.0

    def lines(self, value: float) -> tuple[str, ...]:
        """Give what is sent to set `value`."""
        return tuple(line.format(value=value * self.scale) for line in self.tell)

    @model_validator(mode="after")
    def _names_the_value(self) -> Self:
        if not any("{value" in line for line in self.tell):
            raise ValueError("tell: no line of it has {value}")
        return self


class Watchdog(Frozen):
    """The instrument's own watchdog: commands after which it turns itself off unless it is fed."""

    start: NumberCommand = Field(description="{value} is the time in s")
    shortest_s: float = Field(1.0, gt=0, description="the shortest time that it takes")
    feed: Words = Field(description="a query, or a command, that feeds it")
    feed_answers: bool = Field(True, description="whether feeding is a query, so that an answer must be read")
    stop: Sequence = ()


class Toggle(Frozen):
    """A command that changes the state to the other one, and the query for the state that it changes."""

    tell: Words
    state: Question


class Dialect(Frozen):
    """What every dialect says."""

    schema_number: Literal[1] = Field(1, alias="schema")
    name: str = Field("", description="maker and model, as a person says them")
    manual: str = Field("", description="where the commands come from")
    line: LineRules = Field(default_factory=LineRules)
    opening: Sequence = Field((), description="sent before anything else, to agree on how to talk")
    identity: Identity
    setup: Sequence = Field((), description="sent once it is recognised, and again whenever it was away")
    errors: ErrorQueue | None = None
    parameters: dict[str, str] = Field(
        default_factory=dict, description="{name} -> what stands for it where the bench file says nothing else"
    )


class LightDialect(Dialect):
    """What a light source understands; powers in mW, after `scale`."""

    kind: Literal["light"]
    on: Sequence = Field(min_length=1)
    off: Sequence = Field(min_length=1)
    is_on: Question
    set_power: NumberCommand
    power: Number
    interlock: Question | None = Field(None, description="yes: its interlock input is closed")
    watchdog: Watchdog | None = None


class PowerMeterDialect(Dialect):
    """What a power meter understands; mW and nm, after `scale`."""

    kind: Literal["meter"]
    power: Number
    set_wavelength: NumberCommand | None = None


class ThermometerDialect(Dialect):
    """What a thermometer understands; degrees Celsius, after `scale` and `offset`."""

    kind: Literal["thermometer"]
    celsius: Number


class ShutterDialect(Dialect):
    """What a shutter understands: commands to open and close, or one that toggles."""

    kind: Literal["shutter"]
    is_open: Question
    open: Sequence = ()
    close: Sequence = ()
    toggle: Toggle | None = None

    @model_validator(mode="after")
    def _can_be_moved(self) -> Self:
        if bool(self.open and self.close) == bool(self.toggle) or bool(self.open) != bool(self.close):
            raise ValueError("give either open and close, or toggle")
        return self


class StageDialect(Dialect):
    """What one axis of a stage understands; positions in um, after `scale`."""

    kind: Literal["stage"]
    move: NumberCommand
    position: Number
    is_moving: Question
    stop: Sequence = Field(min_length=1)
    home: Sequence = Field((), description="begins to drive to its reference")
    is_homed: Question | None = Field(None, description="whether its positions count from its reference")
