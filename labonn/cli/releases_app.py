"""The commands about what was released."""

from typing import Annotated

import typer

from labonn.cli.answer import Answer
from labonn.cli.options import DEFAULT_LAB, Bench, Json, LabDir, Settings

releases_app = typer.Typer(help="Backends that were released, and which one a bench uses.", no_args_is_help=True)


@releases_app.command(name="list")
def list_releases(
    bench: Annotated[str | None, typer.Option("--bench", metavar="NAME", help="Only those of this bench.")] = None,
    lab: LabDir = DEFAULT_LAB,
    json: Json = False,
) -> Answer:
    """List all releases, oldest first, and say which are in use and which are damaged."""
    from labonn.cli.releasing import list_command

    return list_command(lab, bench)


@releases_app.command(name="show")
def show_release(
    release: Annotated[str, typer.Argument(metavar="RELEASE", help="A release's name.")],
    lab: LabDir = DEFAULT_LAB,
    json: Json = False,
) -> Answer:
    """Say what a release is and where it came from; its files are checked against their hashes."""
    from labonn.cli.releasing import show_command

    return show_command(lab, release)


@releases_app.command()
def rollback(bench: Bench, settings: Settings = None, lab: LabDir = DEFAULT_LAB, json: Json = False) -> Answer:
    """Go back to the last good release of a bench, and prove on the bench that it works."""
    from labonn.cli.running import run_command

    return run_command("rollback", bench, lab, settings or [])
