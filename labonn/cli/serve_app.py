"""The commands of the operator's page: ``labonn serve``, ``labonn users``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from labonn.cli.answer import Answer
from labonn.cli.options import DEFAULT_LAB, Json, LabDir

users_app = typer.Typer(help="Who may use the operator's page from other computers.", no_args_is_help=True)

Users = Annotated[Path, typer.Option("--users", metavar="FILE", help="The file of users.")]
User = Annotated[str, typer.Argument(metavar="NAME", help="The user's name.")]


def serve(
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; beyond loopback a login is needed.")
    ] = ("127.0.0.1"),
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="0 takes a free one.")] = 8080,
    bench: Annotated[
        list[Path] | None,
        typer.Option("--bench", metavar="BENCH", help="A bench file elsewhere; those beside the laboratory are found."),
    ] = None,
    users: Annotated[
        Path | None, typer.Option("--users", metavar="FILE", help="Who may log in; `labonn users add` makes it.")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", metavar="FILE", help="A token that lets operators in; or LABONN_TOKEN."),
    ] = None,
    certificate: Annotated[Path | None, typer.Option("--certificate", metavar="PEM", help="For TLS.")] = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="PEM", help="The certificate's key.")] = None,
    lab: LabDir = DEFAULT_LAB,
    json: Json = False,
) -> Answer:
    """Open the laboratory in a browser. On other addresses than loopback it needs users or a token."""
    from labonn.cli.serving import serve_command
    from labonn.web.serving import Serving

    return serve_command(Serving(lab, tuple(bench or ()), host, port, users, token_file, certificate, key))


@users_app.command()
def add(
    name: User,
    users: Users = Path("users.toml"),
    role: Annotated[
        Literal["viewer", "operator"], typer.Option(help="A viewer can look, and move nothing.")
    ] = "viewer",
    lab: LabDir = DEFAULT_LAB,
    json: Json = False,
) -> Answer:
    """Add a user, or change their password or role; the password is asked for, or read from a pipe."""
    from labonn.cli.serving import add_user_command

    return add_user_command(users, name, role, _ask_password)


@users_app.command()
def remove(name: User, users: Users = Path("users.toml"), lab: LabDir = DEFAULT_LAB, json: Json = False) -> Answer:
    """Take a user away."""
    from labonn.cli.serving import remove_user_command

    return remove_user_command(users, name)


@users_app.command(name="list")
def list_users(users: Users = Path("users.toml"), lab: LabDir = DEFAULT_LAB, json: Json = False) -> Answer:
    """List users and their roles."""
    from labonn.cli.serving import list_users_command

    return list_users_command(users)


def _ask_password() -> str:
    import getpass
    import sys

    from labonn.errors import ConfigError

    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass("password: ")
    if getpass.getpass("again: ") != password:
        raise ConfigError("the two passwords are not the same")
    return password
