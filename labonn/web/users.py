"""Who may see the page, and who may move something: a file of users with hashed passwords, or one secret token.

schema = 1
[[users]]
name = "anna"
role = "operator"        # or "viewer", who cannot move anything
password = "scrypt$..."  # what `labonn users add` writes
"""

import hashlib
import hmac
import os
import secrets
import stat
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from labonn.config import Frozen, read_toml
from labonn.errors import ConfigError
from labonn.records.disk import write_atomically

Role = Literal["viewer", "operator"]
TOKEN = "LABONN_TOKEN"
"""Variable of the environment that may hold the token."""

# OWASP, Password Storage Cheat Sheet: N = 2^15, r = 8, p = 3 is one of its equal choices; 32 MiB, a fifth of a second.
_N, _R, _P = 1 << 15, 8, 3
_MEMORY = 64 << 20
_SALT, _LENGTH = 16, 32
_SHORTEST_PASSWORD, _SHORTEST_TOKEN = 10, 20


@dataclass(frozen=True)
class Person:
    """Somebody at the page."""

    name: str
    role: Role

    @property
    def may_move(self) -> bool:
        """Whether they may start, stop or change anything."""
        return self.role == "operator"


class UserEntry(Frozen):
    """One user in the file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$")
    role: Role
    password: str

    @field_validator("password")
    @classmethod
    def _is_hashed(cls, password: str) -> str:
        try:
            _parts(password)
        except ValueError:
            raise ValueError("is not a hash; `labonn users add` writes one") from None
        return password


class UserFile(Frozen):
    """A file of users."""

    schema_: Literal[1] = Field(1, alias="schema")
    users: tuple[UserEntry, ...] = Field((), max_length=1000)


class Access:
    """Who is let in, and as what.

    Parameters
    ----------
    users
        With their hashed passwords.
    token
        A secret that makes whoever knows it an operator, under the name that they give.
    local
        Whoever can reach the page without either, if anybody: on the loopback interface, the user of the computer.
    """

    def __init__(self, users: Iterable[UserEntry] = (), token: str | None = None, local: Person | None = None) -> None:
        self._users = {user.name: user for user in users}
        self._token = token
        self.local = local
        # Compared with where there is no such user, so that an answer takes as long.
        self._nobody = hash_password(secrets.token_hex())

    @property
    def takes_token(self) -> bool:
        """Whether a token lets one in."""
        return self._token is not None

    def let_in(self, name: str, secret: str) -> Person | None:
        """Give who somebody is, by their password or the token; None where neither fits. Takes a fifth of a second."""
        user = self._users.get(name)
        if fits(secret, user.password if user else self._nobody) and user is not None:
            return Person(user.name, user.role)
        if self._token is not None and hmac.compare_digest(secret.encode(), self._token.encode()):
            return Person(f"{name} (by token)", "operator") if name.isprintable() and name.strip() else None
        return None


def read_access(users_file: Path | None, token_file: Path | None) -> Access | None:
    """Read who is let in; None where nothing says so.

    Raises
    ------
    ConfigError
        If a file cannot be read, is wrong, has nobody in it, or others of this computer can read it.
    """
    users = read_users(users_file) if users_file is not None else ()
    if users_file is not None and not users:
        raise ConfigError(f"{users_file}: has no users; `labonn users add NAME --users {users_file}` adds one")
    token = os.environ.get(TOKEN, "").strip() or None
    if token_file is not None:
        _refuse_open(token_file)
        try:
            token = token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{token_file}: cannot be read: {error}") from error
    if token is not None and len(token) < _SHORTEST_TOKEN:
        where = token_file or f"the environment variable {TOKEN}"
        raise ConfigError(f"{where}: a token has {_SHORTEST_TOKEN} characters or more, this one has {len(token)}")
    return Access(users, token) if users or token else None


def read_users(path: Path) -> tuple[UserEntry, ...]:
    """Read a file of users.

    Raises
    ------
    ConfigError
        If it cannot be read, is wrong, or others of this computer can read it.
    """
    _refuse_open(path)
    users = read_toml(path, UserFile).users
    names = [user.name for user in users]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"{path}: users.name = {twice[0]!r}: comes twice")
    return users


def write_users(path: Path, users: Iterable[UserEntry]) -> None:
    """Replace a file of users, readable by its owner alone.

    Raises
    ------
    RecordError
        If the disk refuses.
    """
    lines = ["# Written by `labonn users`. Passwords are hashed; still, keep it to yourself.", "schema = 1"]
    for user in users:
        lines += ["", "[[users]]", f'name = "{user.name}"', f'role = "{user.role}"', f'password = "{user.password}"']
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    write_atomically(path, ("\n".join(lines) + "\n").encode())
    path.chmod(0o600)


def hash_password(password: str) -> str:
    """Hash a password with a salt of its own: ``scrypt$N$r$p$salt$hash``."""
    salt = secrets.token_bytes(_SALT)
    made = _scrypt(password, salt, _N, _R, _P)
    return f"scrypt${_N}${_R}${_P}${b64encode(salt).decode()}${b64encode(made).decode()}"


def fits(password: str, hashed: str) -> bool:
    """Whether a password is the one that was hashed; takes as long whether it is or not."""
    n, r, p, salt, expected = _parts(hashed)
    return hmac.compare_digest(_scrypt(password, salt, n, r, p), expected)


def refuse_weak(password: str) -> None:
    """Refuse a password that is too short.

    Raises
    ------
    ConfigError
        If it has fewer than ten characters.
    """
    if len(password) < _SHORTEST_PASSWORD:
        raise ConfigError(f"the password has {len(password)} characters; take {_SHORTEST_PASSWORD} or more")


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=_MEMORY, dklen=_LENGTH)


def _parts(hashed: str) -> tuple[int, int, int, bytes, bytes]:
    kind, n, r, p, salt, made = hashed.split("$")
    costs = int(n), int(r), int(p)
    if kind != "scrypt" or 128 * costs[0] * costs[1] > _MEMORY // 2 or not 1 <= costs[2] <= 16:
        raise ValueError("is not a hash")
    return *costs, b64decode(salt, validate=True), b64decode(made, validate=True)


def _refuse_open(path: Path) -> None:
    """Refuse a file with secrets that others of this computer can read."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"{path}: others of this computer can read it; `chmod 600 {path}`")
