"""The commands."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from labonn.cli.answer import Answer
from labonn.cli.design_app import design_app
from labonn.cli.jobs_app import daemon, jobs_app
from labonn.cli.options import DEFAULT_LAB, Bench, Json, LabDir, Settings
from labonn.cli.releases_app import releases_app
from labonn.cli.serve_app import serve, users_app
from labonn.cli.train_app import train

app = typer.Typer(
    name="labonn",
    help="Run a laboratory's hybrid optical neural networks. Exit codes: 0 done, 1 failed, 2 a file or an argument is "
    "wrong, 3 an instrument failed, 4 refused by the gate, 5 the bench is in use, 130 aborted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Continue = Annotated[
    str | None,
    typer.Option(
        "--continue",
        metavar="RUN",
        help="Take over the captures of a run that was aborted or failed, as those of a lost one are unasked.",
    ),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Capture everything, also where a lost run could be continued.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything and say what would be done; touch nothing.")]


class Task(StrEnum):
    """What the demo recognises."""

    digits = "digits"
    mnist = "mnist"


def _print_version(wanted: bool) -> None:
    if wanted:
        from labonn.records.runs import labonn_version

        typer.echo(f"labonn {labonn_version()}")
        raise typer.Exit


@app.callback()
def labonn(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Keep the options that stand before a command."""


@app.command()
def demo(
    task: Annotated[Task, typer.Option(help="Which images; mnist needs LABONN_DATA.")] = Task.digits,
    seed: Annotated[int, typer.Option(help="Of training, and of the simulated laboratory.")] = 0,
    lab: LabDir = DEFAULT_LAB,
    json: Json = False,
) -> Answer:
    """Run the whole loop on the simulated mono bench, and write a report."""
    from labonn.cli.demo import run_demo

    return run_demo(lab, task.value, seed)


@app.command()
def run(
    protocol: Annotated[str, typer.Argument(metavar="PROTOCOL", help="A shipped protocol's name, or a script.")],
    bench: Bench,
    settings: Settings = None,
    dry_run: DryRun = False,
    continue_run: Continue = None,
    fresh: Fresh = False,
    lab: LabDir = DEFAULT_LAB,
    json: Json = False,
) -> Answer:
    """Run a protocol on a bench, and record it."""
    from labonn.cli.running import plan_command, run_command

    if dry_run:
        return plan_command(protocol, bench, lab, settings or [])
    return run_command(protocol, bench, lab, settings or [], continue_run, fresh=fresh)


@app.command()
def recalibrate(
    bench: Bench,
    settings: Settings = None,
    continue_run: Continue = None,
    fresh: Fresh = False,
    if_due: Annotated[
        bool,
        typer.Option("--if-due", help="Only if the bench file's schedule says so; ends with 0 if it is not due."),
    ] = False,
    lab: LabDir = DEFAULT_LAB,
    json: Json = False,
) -> Answer:
    """Measure what the bench really does, re-fit the backend to it, and release it if that is no worse."""
    if if_due:
        from labonn.cli.jobs import if_due_command

        return if_due_command(bench, lab, settings or [], continue_run, fresh=fresh)
    from labonn.cli.running import run_command

    return run_command("recalibrate", bench, lab, settings or [], continue_run, fresh=fresh)


@app.command()
def report(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's name, the end of one that is unique, or its folder.")
    ],
    lab: LabDir = DEFAULT_LAB,
    json: Json = False,
) -> Answer:
    """Write the report of a run again."""
    from labonn.cli.running import report_command

    return report_command(run, lab)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make, or to write into.")],
    lab: Annotated[
        Path | None,
        typer.Option("--lab", metavar="DIR", envvar="LABONN_LAB", help="The laboratory's folder; DIR/lab by default."),
    ] = None,
    json: Json = False,
) -> Answer:
    """Begin a laboratory: a commented bench file and a design file to edit. Nothing that is there is overwritten."""
    from labonn.cli.init import init_command

    return init_command(folder, lab)


bench_app = typer.Typer(help="The bench itself: make it dark, check it.", no_args_is_help=True)
app.add_typer(bench_app, name="bench")


@bench_app.command()
def dark(bench: Bench, lab: LabDir = DEFAULT_LAB, json: Json = False) -> Answer:
    """Make it dark, whoever holds it, and when nobody does; a run that holds it ends as aborted."""
    from labonn.cli.benches import dark_command

    return dark_command(bench)


@bench_app.command()
def check(bench: Bench, settings: Settings = None, lab: LabDir = DEFAULT_LAB, json: Json = False) -> Answer:
    """Open every instrument, measure what can be measured, say what is wrong and what to do.

    Compares with the last good check of this bench. Ends with 0 if nothing failed (what has drifted is a warning), 1 if
    a measurement is out of its limits, 3 if an instrument failed outright.
    """
    from labonn.cli.benches import check_command

    return check_command(bench, lab, settings or [])


@bench_app.command(name="discover")
def discover_bench(
    write: Annotated[
        Path | None, typer.Option("--write", metavar="FILE", help="The bench file to write, NAME.bench.toml.")
    ] = None,
    picks: Annotated[
        list[str] | None,
        typer.Option(
            "--pick", metavar="ROLE=NAME", help="What fills a role; may be repeated. Asked for, where missing."
        ),
    ] = None,
    cfgs: Annotated[
        list[Path] | None, typer.Option("--cfg", metavar="FILE", help="A Micro-Manager configuration elsewhere.")
    ] = None,
    addresses: Annotated[
        list[str] | None,
        typer.Option("--address", metavar="ADDRESS", help="A VISA resource or serial URL that nobody lists."),
    ] = None,
    ask: Annotated[
        bool, typer.Option("--ask", help="Ask at VISA resources and serial ports who is there; this writes to them.")
    ] = False,
    lab: LabDir = DEFAULT_LAB,
    json: Json = False,
) -> Answer:
    """List what can be opened on this computer, and write a bench file of what you pick. Nothing is opened for it."""
    import sys

    from labonn.cli.discovering import discover_command
    from labonn.instruments.discovery import Search

    folder = Path() if write is None else write.parent
    search = Search(folder, tuple(cfgs or ()), tuple(addresses or ()), ask)
    return discover_command(search, write, picks or [], interactive=sys.stdin.isatty() and not json)


app.add_typer(design_app, name="design")

runs_app = typer.Typer(
    help="The runs of a laboratory: find them, look at them, move them, make room.", no_args_is_help=True
)
app.add_typer(runs_app, name="runs")

RunName = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's name, the end of one that is unique, or its folder.")
]
Export = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="A .zip for another laboratory, or a .nxs (NeXus, HDF5) for other programs."),
]
Archive = Annotated[Path, typer.Argument(metavar="FILE", help="The zip file.")]


@runs_app.command(name="list")
def list_runs(
    since: Annotated[str | None, typer.Option(metavar="DATE", help="From this day or moment (UTC) on.")] = None,
    until: Annotated[str | None, typer.Option(metavar="DATE", help="Before this day or moment (UTC).")] = None,
    protocol: Annotated[str | None, typer.Option(metavar="NAME", help="Of this protocol.")] = None,
    bench: Annotated[str | None, typer.Option(metavar="NAME", help="On this bench.")] = None,
    release: Annotated[str | None, typer.Option(metavar="ID", help="That made this release.")] = None,
    status: Annotated[
        str | None, typer.Option(metavar="STATUS", help="running, done, failed, refused, aborted or lost.")
    ] = None,
    most: Annotated[int, typer.Option(min=0, metavar="N", help="How many to show, the latest first; 0 for all.")] = 20,
    lab: LabDir = DEFAULT_LAB,
    json: Json = False,
) -> Answer:
    """List runs, the latest first."""
    from labonn.cli.listing import list_command

    wanted = {"protocol": protocol, "bench": bench, "release": release, "status": status}
    return list_command(lab, since, until, wanted, most)


@runs_app.command()
def show(run: RunName, lab: LabDir = DEFAULT_LAB, json: Json = False) -> Answer:
    """Show a run: how it ended, with what settings, what it found, its files."""
    from labonn.cli.runs import show_command

    return show_command(run, lab)


@runs_app.command()
def export(run: RunName, file: Export, lab: LabDir = DEFAULT_LAB, json: Json = False) -> Answer:
    """Write a run into a zip file for another laboratory, its model and releases with it; or as NeXus, for others."""
    from labonn.cli.runs import export_command

    return export_command(run, file, lab)


@runs_app.command(name="import")
def import_(file: Archive, lab: LabDir = DEFAULT_LAB, json: Json = False) -> Answer:
    """Take a run that another laboratory exported into this one; no release is put into use."""
    from labonn.cli.runs import import_command

    return import_command(file, lab)


@runs_app.command()
def prune(
    older_than: Annotated[
        float | None, typer.Option("--older-than", min=0, metavar="DAYS", help="Runs that ended longer ago.")
    ] = None,
    keep_gb: Annotated[
        float | None,
        typer.Option("--keep-gb", min=0, metavar="GB", help="The oldest, until all frames take no more than this."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; touch nothing.")] = False,
    lab: LabDir = DEFAULT_LAB,
    json: Json = False,
) -> Answer:
    """Remove the raw frames of old runs; their maps and all else stay. Never those of a run that made a release."""
    from labonn.cli.runs import prune_command

    return prune_command(lab, older_than, keep_gb, dry_run=dry_run)


@runs_app.command()
def rebuild(lab: LabDir = DEFAULT_LAB, json: Json = False) -> Answer:
    """Make the catalogue of runs again from their folders; the one there was is kept beside it."""
    from labonn.cli.runs import rebuild_command

    return rebuild_command(lab)


app.command()(daemon)
app.command()(train)
app.add_typer(jobs_app, name="jobs")
app.add_typer(releases_app, name="releases")
app.command()(serve)
app.add_typer(users_app, name="users")


control_app = typer.Typer(help="The run that holds a bench, from any shell.", no_args_is_help=True)
app.add_typer(control_app, name="control")


@control_app.command()
def status(bench: Bench, lab: LabDir = DEFAULT_LAB, json: Json = False) -> Answer:
    """Say who holds the bench since when, and where its run is."""
    from labonn.cli.controlling import control_command

    return control_command("status", bench)


@control_app.command()
def pause(bench: Bench, lab: LabDir = DEFAULT_LAB, json: Json = False) -> Answer:
    """Hold the run at its next checkpoint, with the shutter closed."""
    from labonn.cli.controlling import control_command

    return control_command("pause", bench)


@control_app.command()
def resume(bench: Bench, lab: LabDir = DEFAULT_LAB, json: Json = False) -> Answer:
    """Let a paused run go on."""
    from labonn.cli.controlling import control_command

    return control_command("resume", bench)


@control_app.command()
def abort(bench: Bench, lab: LabDir = DEFAULT_LAB, json: Json = False) -> Answer:
    """Make the bench dark at once, and end the run."""
    from labonn.cli.controlling import control_command

    return control_command("abort", bench)


@app.command()
def compensate(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A recalibration's name, the end of one that is unique, or its folder.")
    ],
    method: Annotated[
        str,
        typer.Option("--method", metavar="M[,M...]", help="none, e2e, kd, ntkd, map, twin+ce, twin+kd, twin+ntkd; all"),
    ],
    seed: Annotated[int, typer.Option(help="For everything random in the fit.")] = 0,
    lab: LabDir = DEFAULT_LAB,
    json: Json = False,
) -> Answer:
    """Replay: any method of compensation on the captures of an earlier run. Releases nothing."""
    from labonn.cli.compensating import compensate_command

    return compensate_command(run, lab, method, seed)
