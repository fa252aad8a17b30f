"""The command that trains in simulation."""

from pathlib import Path
from typing import Annotated

import typer

from labonn.cli.answer import Answer
from labonn.cli.options import DEFAULT_LAB, Json, LabDir


def train(
    design: Annotated[str, typer.Argument(metavar="DESIGN", help="A design file, or a shipped design's name.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="MODEL", help="The model's folder; among the laboratory's models by default."),
    ] = None,
    teacher: Annotated[
        bool, typer.Option("--teacher", help="Train the teacher alone; it is found again by what it was made from.")
    ] = False,
    method: Annotated[
        str | None,
        typer.Option("--method", metavar="M", help="none, kd, rkd, fitnet, ntkd or ntkd+kd; else the design's own."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="For everything random in the student's training.")] = 0,
    teacher_seed: Annotated[int, typer.Option("--teacher-seed", min=0, help="Of the teacher.")] = 0,
    labelled: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Tell the student so many labels only; of the rest the teacher's answers."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[
        str,
        typer.Option(help="32-true, or bf16-mixed or 16-mixed, faster on a GPU; the first on some CPUs, too."),
    ] = "32-true",
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew, also where one could go on.")] = False,
    lab: LabDir = DEFAULT_LAB,
    json: Json = False,
) -> Answer:
    """Train a design's student in simulation, its teacher first where the method needs one; a killed one goes on."""
    from labonn.cli.training import train_command

    return train_command(
        design,
        lab,
        method=method,
        seed=seed,
        teacher_seed=teacher_seed,
        out=out,
        device=device,
        precision=precision,
        labelled=labelled,
        only_teacher=teacher,
        fresh=fresh,
    )
