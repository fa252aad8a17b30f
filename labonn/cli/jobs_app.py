"""The commands about what happens by itself."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from labonn.cli.answer import Answer
from labonn.cli.options import DEFAULT_LAB, Json, LabDir

Benches = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[BENCH]...", help="Bench files; those of the laboratory that have a schedule, if none."),
]


def daemon(
    benches: Benches = None,
    every_s: Annotated[
        float, typer.Option("--every-s", min=1, max=3600, metavar="S", help="How often to look.")
    ] = 60.0,
    lab: LabDir = DEFAULT_LAB,
    json: Json = False,
) -> Answer:
    """Look, as long as this process lives, whether a bench is due, and recalibrate it then."""
    from labonn.cli.jobs import daemon_command

    return daemon_command(benches or [], lab, every_s)


jobs_app = typer.Typer(help="What happens by itself, by the schedules of the bench files.", no_args_is_help=True)


@jobs_app.command(name="list")
def list_jobs(benches: Benches = None, lab: LabDir = DEFAULT_LAB, json: Json = False) -> Answer:
    """Say what is due, when the rest will be, and how the last attempts ended. Touches no bench."""
    from labonn.cli.jobs import list_command

    return list_command(benches or [], lab)


@jobs_app.command(name="run-due")
def run_due(benches: Benches = None, lab: LabDir = DEFAULT_LAB, json: Json = False) -> Answer:
    """Do what is due, bench by bench: watch for drift, recalibrate. Ends with the exit code of the worst."""
    from labonn.cli.jobs import run_due_command

    return run_due_command(benches or [], lab)


class JobKind(StrEnum):
    """What calls labonn."""

    systemd = "systemd"
    cron = "cron"
    windows = "windows"


@jobs_app.command(name="install")
def install_jobs(
    kind: Annotated[JobKind, typer.Argument(metavar="KIND", help="systemd, cron or windows.")],
    benches: Benches = None,
    into: Annotated[
        Path | None, typer.Option("--into", metavar="DIR", help="Write the files there; they are printed, if missing.")
    ] = None,
    every_min: Annotated[
        int, typer.Option("--every-min", min=1, max=30, metavar="MIN", help="How often to look; divides 60.")
    ] = 5,
    lab: LabDir = DEFAULT_LAB,
    json: Json = False,
) -> Answer:
    """Write out what lets this computer call labonn every few minutes, and say what to do with it."""
    from labonn.cli.jobs import install_command

    return install_command(kind.value, benches or [], lab, into, every_min)
