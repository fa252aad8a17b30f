"""The commands about designs, as they are typed."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from labonn.cli.answer import Answer
from labonn.cli.options import DEFAULT_LAB, Json, LabDir

design_app = typer.Typer(help="Designs, before anything is trained or built.", no_args_is_help=True)

DesignName = Annotated[str, typer.Argument(metavar="DESIGN", help="A design file, or a shipped design's name.")]


class EngineName(StrEnum):
    """Who computes a sweep's trials."""

    local = "local"
    ray = "ray"


@design_app.command(name="check")
def check_design(
    design: DesignName,
    bench: Annotated[
        Path | None, typer.Option("--bench", metavar="BENCH", help="Check that it can be captured on this bench, too.")
    ] = None,
    lab: LabDir = DEFAULT_LAB,
    json: Json = False,
) -> Answer:
    """Validate a design: its layout, its operations, what light and the sensor allow; refused with exit code 2."""
    from labonn.cli.designing import check_design_command

    return check_design_command(design, bench, lab)


@design_app.command()
def estimate(
    design: DesignName,
    images: Annotated[int, typer.Option(min=64, help="Training images of the kernel regressions.")] = 800,
    initialisations: Annotated[int, typer.Option(min=1, help="Beginnings that are averaged.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="For everything random.")] = 0,
    earlier: Annotated[
        int, typer.Option(min=0, metavar="N", help="Earlier designs of the laboratory that may correct it.")
    ] = 24,
    references: Annotated[
        bool, typer.Option(help="Compute what the estimate is held against, too; twice as long.")
    ] = True,
    lab: LabDir = DEFAULT_LAB,
    json: Json = False,
) -> Answer:
    """Say what a design will reach before it is trained, with a 90 % interval, and what an image will cost."""
    from labonn.cli.estimating import estimate_command

    return estimate_command(
        design, lab, images=images, initialisations=initialisations, seed=seed, earlier=earlier, references=references
    )


@design_app.command()
def sweep(
    file: Annotated[Path, typer.Argument(metavar="SWEEP", help="The sweep file, *.sweep.toml.")],
    engine: Annotated[
        EngineName, typer.Option(help="Processes on this computer, or a Ray cluster.")
    ] = EngineName.local,
    address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Of a Ray cluster's head; one of its own without it.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Trials at a time; as many as there are processors for.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew, also where one could go on.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Make the trials that failed once more.")] = False,
    lab: LabDir = DEFAULT_LAB,
    json: Json = False,
) -> Answer:
    """Try many designs, trainings or simulated fabrications; a sweep that was killed goes on."""
    from labonn.cli.sweeping import sweep_command

    return sweep_command(file, lab, engine.value, address, workers, fresh=fresh, retry=retry)
