"""The command that lists what can be opened on this computer, and writes a bench file of what the operator picks."""

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from labonn.cli.answer import Answer
from labonn.cli.discovered_bench import NEEDED, ROLES, bench_text, write_bench
from labonn.errors import ConfigError
from labonn.instruments.discovery import Discovery, Found, Search, discover

if TYPE_CHECKING:
    from rich.console import Console


def discover_command(search: Search, write: Path | None, picks: Sequence[str], *, interactive: bool) -> Answer:
    """List what there is; with a file to write, pick and write it.

    Raises
    ------
    ConfigError
        If a pick names what is not there or cannot be that, or a file is there already. Nothing is written then.
    """
    seen = discover(search)
    content: dict[str, object] = {
        "found": [
            {"name": one.name, "kinds": list(one.kinds), "description": one.description, "table": one.table}
            for one in seen.found
        ],
        "notes": list(seen.notes),
        "written": None,
    }
    if write is None:
        if picks:
            raise ConfigError("--pick: picks are for a bench file: name it with --write FILE.bench.toml")
        return Answer(content, lambda console: show(console, seen))
    asked = interactive and not picks
    picked = ask(seen, input) if asked else pick(seen, picks)
    text = bench_text(bench_name(write), picked)
    files = write_bench(write, text, picked)
    _check(write)
    content |= {
        "written": [str(file) for file in files],
        "roles": {role: one.name for role, one in picked.items()},
    }

    def say(console: "Console") -> None:
        if not asked:
            show(console, seen)
        console.print(f"written: {', '.join(map(str, files))}", markup=False)
        console.print('next: fill in what is marked "fill in", then run', markup=False)
        console.print(f"labonn bench check {write}", markup=False)

    return Answer(content, say)


def bench_name(file: Path) -> str:
    """Name a bench after its file, by what may stand in such a name.

    Raises
    ------
    ConfigError
        If nothing of it may.
    """
    if not file.name.endswith(".bench.toml"):
        raise ConfigError(f"--write {file}: a bench file's name ends with .bench.toml")
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", file.name.removesuffix(".bench.toml")).strip("-_")[:64]
    if not name:
        raise ConfigError(f"--write {file}: a bench is named after its file; give it one of letters and digits")
    return name


def pick(seen: Discovery, picks: Sequence[str]) -> dict[str, Found]:
    """Look up what was picked as ROLE=NAME; a name's end is enough where no other ends so.

    Raises
    ------
    ConfigError
        If there is no such role or name, it cannot be that, or several end so.
    """
    picked: dict[str, Found] = {}
    for each in picks:
        role, _, name = each.partition("=")
        if role not in ROLES:
            raise ConfigError(f"--pick {each}: there is no role {role!r}; there are: {', '.join(ROLES)}")
        fitting = [one for one in seen.found if ROLES[role] in one.kinds]
        meant = [one for one in fitting if one.name == name]
        meant = meant or [one for one in fitting if name and one.name.endswith(tuple(mark + name for mark in "/\\:"))]
        if not meant:
            there = ", ".join(one.name for one in fitting) or "nothing"
            raise ConfigError(f"--pick {each}: {name!r} cannot be the {role}; found for it: {there}")
        if len(meant) > 1:
            raise ConfigError(f"--pick {each}: is it {' or '.join(one.name for one in meant)}?")
        picked[role] = meant[0]
    return {role: picked[role] for role in ROLES if role in picked}


def ask(seen: Discovery, answer: Callable[[str], str]) -> dict[str, Found]:
    """Ask for each role which of those that can be it; `answer` says a question and gives what was typed."""
    picked: dict[str, Found] = {}
    for role, kind in ROLES.items():
        fitting = [one for one in seen.found if kind in one.kinds and one not in picked.values()]
        if not fitting:
            if role in NEEDED:
                raise ConfigError(f"nothing was found that could be the {role}, which a bench needs")
            continue
        for number, one in enumerate(fitting, start=1):
            print(f"  {number}. {one.description}", file=sys.stderr)
        chosen = _number(role, len(fitting), answer)
        if chosen:
            picked[role] = fitting[chosen - 1]
    return picked


def _number(role: str, most: int, answer: Callable[[str], str]) -> int:
    needed = role in NEEDED
    question = f"{role}: 1 to {most}{'' if needed else ', or nothing for none'}: "
    while True:
        try:
            typed = answer(question).strip()
        except EOFError:
            raise ConfigError(f"{role}: no answer; say --pick {role}=NAME instead") from None
        if not typed and not needed:
            return 0
        if typed.isdecimal() and 1 <= int(typed) <= most:
            return int(typed)


def show(console: "Console", seen: Discovery) -> None:
    """Print what there is, by what it can be."""
    width = max((len(one.name) for one in seen.found), default=0)
    for kinds in sorted({one.kinds for one in seen.found}, key=lambda kinds: (not kinds, kinds)):
        console.print(f"{' or '.join(kinds) or 'cannot be picked'}:", markup=False)
        for one in seen.found:
            if one.kinds == kinds:
                console.print(f"  {one.name:<{width}}  {one.description}", markup=False)
    for note in seen.notes:
        console.print(f"not looked at: {note}", markup=False)


def _check(file: Path) -> None:
    """Read what was written as every command does."""
    from labonn.instruments import Site, SystemClock, read_bench
    from labonn.instruments.opening import instruments_of

    instruments_of(file, read_bench(file), Site(file.resolve().parent, SystemClock()))
