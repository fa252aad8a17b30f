"""The syntax of SCPI: headers in long and short form, several commands in a line, a queue of errors.

Source: SCPI-1999, volume 1, chapters 6 (program headers) and 21.8 (error queue); IEEE 488.2.
"""

import re
from collections import deque
from collections.abc import Callable
from typing import ClassVar, Final

from sim.session import Session

Handler = Callable[[str], str | None]
_NODE = re.compile(r"[A-Z]+[a-z]*")
TEXTS: Final = {
    -100: "Command error",
    -102: "Syntax error",
    -104: "Data type error",
    -108: "Parameter not allowed",
    -109: "Missing parameter",
    -113: "Undefined header",
    -200: "Execution error",
    -220: "Parameter error",
    -222: "Data out of range",
    -224: "Illegal parameter value",
    -310: "System error",
    -350: "Queue overflow",
}


class ScpiError(Exception):
    """A command that cannot be carried out, by its number in the standard or the manual."""

    def __init__(self, code: int) -> None:
        super().__init__(f"error {code}")
        self.code = code


def header(pattern: str) -> re.Pattern[str]:
    """Compile a header as manuals write it, `SYSTem:ERRor[:NEXT]?`: capitals are the short form, brackets optional."""

    def forms(node: re.Match[str]) -> str:
        short = "".join(letter for letter in node[0] if letter.isupper())
        return f"{short}(?:{node[0][len(short) :]})?"

    optional = pattern.replace("*", r"\*").replace("?", r"\?").replace("[", "(?:").replace("]", "){0,1}")
    return re.compile(_NODE.sub(forms, optional), re.IGNORECASE)


class ScpiSession(Session):
    """One client of an instrument that understands SCPI."""

    queue_length: ClassVar[int] = 20
    unknown: ClassVar[int] = -113
    texts: ClassVar[dict[int, str]] = TEXTS

    def __init__(self, commands: dict[str, Handler]) -> None:
        super().__init__()
        self._table = [(header(pattern), handler) for pattern, handler in commands.items()]
        self.errors: deque[int] = deque()

    def fail(self) -> None:
        """Put an entry into the error queue."""
        self.push(-310)

    def push(self, code: int) -> None:
        """Put an error into the queue; the last entry of a full queue says that it is full."""
        if len(self.errors) < self.queue_length:
            self.errors.append(code)
        else:
            self.errors[-1] = -350

    def pop(self) -> tuple[int, str]:
        """Take the oldest error out of the queue; 0 where there is none."""
        code = self.errors.popleft() if self.errors else 0
        return code, self.texts.get(code, "Unknown error") if code else "No error"

    def carry_out(self, line: str) -> str | None:
        """Carry out the commands of a line; the answers of its queries, joined, or None.

        Raises
        ------
        ScpiError
            Where one cannot be carried out; it is in the queue already, and the rest of the line is not done.
        """
        answers: list[str] = []
        path = ""
        for unit in line.split(";"):
            name, _, parameters = unit.strip().partition(" ")
            if not name:
                continue
            try:
                handler, path = self._find(name, path)
                answer = handler(parameters.strip())
            except ScpiError as error:
                self.push(error.code)
                raise
            if answer is not None:
                answers.append(answer)
        return ";".join(answers) if answers else None

    def _find(self, name: str, path: str) -> tuple[Handler, str]:
        """Look a header up: relative to the one before in the same line, or from the root."""
        absolute = name.removeprefix(":")
        tried = [absolute] if name.startswith((":", "*")) or not path else [path + absolute, absolute]
        for whole in tried:
            for pattern, handler in self._table:
                if pattern.fullmatch(whole):
                    return handler, path if name.startswith("*") else whole[: whole.rfind(":") + 1]
        raise ScpiError(self.unknown)


def number(parameters: str) -> float:
    """Read one number.

    Raises
    ------
    ScpiError
        -109 if it is missing, -104 if it is something else.
    """
    if not parameters:
        raise ScpiError(-109)
    if not re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", parameters):
        raise ScpiError(-104)
    return float(parameters)


def switch(parameters: str) -> bool:
    """Read ON, OFF, 1 or 0."""
    words = {"ON": True, "1": True, "OFF": False, "0": False}
    if not parameters:
        raise ScpiError(-109)
    if parameters.upper() not in words:
        raise ScpiError(-224)
    return words[parameters.upper()]
