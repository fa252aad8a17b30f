"""The commands of the operator's page, and of who may use it."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from labonn.cli.answer import Answer
from labonn.errors import ConfigError

if TYPE_CHECKING:
    from labonn.web.serving import Serving
    from labonn.web.users import Role


def serve_command(serving: "Serving") -> Answer:
    """Serve the page until asked to stop."""
    try:
        from labonn.web.serving import serve
    except ModuleNotFoundError as error:
        raise ConfigError(f"the page needs {error.name}, which is not installed: pip install 'labonn[web]'") from error

    said = logging.getLogger("labonn.web")
    said.setLevel(logging.INFO)
    address = serve(serving, lambda where: _say(f"the page is at {where}  (Ctrl-C ends it; runs go on)"))
    return Answer({"address": address}, "stopped")


def add_user_command(file: Path, name: str, role: "Role", ask: Callable[[], str]) -> Answer:
    """Add a user, or give one another password or role."""
    from pydantic import ValidationError

    from labonn.config import explain
    from labonn.web.users import UserEntry, hash_password, read_users, refuse_weak, write_users

    before = read_users(file) if file.exists() else ()
    password = ask()
    refuse_weak(password)
    try:
        user = UserEntry(name=name, role=role, password=hash_password(password))
    except ValidationError as error:
        raise ConfigError(explain(error, name)) from error
    write_users(file, [*(one for one in before if one.name != name), user])
    return Answer({"file": str(file), "name": name, "role": role}, f"{name} is {role} in {file}")


def remove_user_command(file: Path, name: str) -> Answer:
    """Take a user away; whoever is logged in stays until the page is started again."""
    from labonn.web.users import read_users, write_users

    before = read_users(file)
    if name not in {one.name for one in before}:
        raise ConfigError(f"{file}: has no user {name!r}, only {', '.join(one.name for one in before) or 'nobody'}")
    write_users(file, [one for one in before if one.name != name])
    return Answer({"file": str(file), "removed": name}, f"{name} is removed from {file}; start the page again")


def list_users_command(file: Path) -> Answer:
    """List users and roles."""
    from labonn.web.users import read_users

    users = read_users(file)
    content = [{"name": one.name, "role": one.role} for one in users]
    return Answer({"users": content}, "\n".join(f"{one.role:9} {one.name}" for one in users) or "nobody")


def _say(words: str) -> None:
    import sys

    print(words, file=sys.stderr, flush=True)
