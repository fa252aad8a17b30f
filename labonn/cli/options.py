"""Options that most commands have."""

from pathlib import Path
from typing import Annotated

import typer

LabDir = Annotated[
    Path,
    typer.Option("--lab", metavar="DIR", envvar="LABONN_LAB", help="The laboratory's folder: runs, releases, models."),
]
Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on stdout, and nothing else there.")]
Bench = Annotated[Path, typer.Argument(metavar="BENCH", help="The bench file, *.bench.toml.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a parameter of the protocol; may be repeated."),
]

DEFAULT_LAB = Path("lab")
