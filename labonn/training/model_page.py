"""The report of a training: one page in its folder. The answer first, then pictures, numbers, how to repeat it."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from labonn.design import Design, load_design
from labonn.errors import ConfigError
from labonn.report import Page, flatten
from labonn.training.pictures import Picture

_NOT_FACTS = ("design", "design_sha256", "epochs", "environment", "data", "method", "seed", "labelled")
_GUESSING = 1.5  # times what is right by chance: whoever is not above has learnt nothing


def model_page(described: Mapping[str, Any], pictures: Sequence[Picture]) -> bytes:
    """Put what is known of a model and its pictures onto a page, as HTML in UTF-8.

    Parameters
    ----------
    described
        What the model's card says.
    pictures
        In their order.
    """
    design = Design.model_validate(described["design"])
    page = Page(f"{design.name}, trained by {described['method']}, seed {described['seed']}")
    page.banner(*_answer(described, design))
    page.text(f"Next: {_next_step(described, design)}")
    page.heading("Pictures")
    for picture in pictures:
        page.figure(picture.png, picture.title, picture.caption)
    page.heading("Result")
    page.facts(flatten({key: value for key, value in described.items() if key not in _NOT_FACTS}))
    epochs = described["epochs"]
    page.heading("Epochs")
    page.table(
        [
            {"epoch": number + 1, **{name: round(values[number], 4) for name, values in epochs.items()}}
            for number in range(min((len(values) for values in epochs.values()), default=0))
        ]
    )
    page.heading("How to repeat it")
    page.command(_command(described, design))
    page.facts(
        {"design's sha256": described["design_sha256"]}
        | {f"data's {name}": value for name, value in described["data"].items()}
        | flatten(described["environment"])
    )
    page.folded("The design", described["design"])
    return page.html().encode("utf-8")


def _answer(described: Mapping[str, Any], design: Design) -> tuple[str, str]:
    """Say how good the student is, beside its teacher; and whether that is any good."""
    scores = described[design.measure]
    if design.measure == "miou":
        said = f"mean overlap of the test images: {scores['simulated']:.2f} %"
        said += f", of all classes {described['miou_of_all_classes']:.2f} %, in simulation"
    else:
        said = f"{scores['simulated']:.2f} % of the test images, in simulation"
    if "teacher" in scores:
        said += f"; its teacher: {scores['teacher']:.2f} %"
    if _has_learnt(described, design):
        return "good", said
    return "bad", f"{said}; that is hardly more than guessing"


def _has_learnt(described: Mapping[str, Any], design: Design) -> bool:
    by_chance = 100.0 / design.classes
    return design.measure == "miou" or bool(described["accuracy"]["simulated"] > _GUESSING * by_chance)


def _next_step(described: Mapping[str, Any], design: Design) -> str:
    if not _has_learnt(described, design):
        return "look at the loss below: where it does not fall, another rate or more epochs may help."
    if described["teacher"] is None:
        return (
            "compare it with others. To put one on a bench, train it with a teacher, which a recalibration asks:"
            " --method kd, rkd, fitnet, ntkd or ntkd+kd."
        )
    return "put it on a bench: labonn run train_and_deploy BENCH --set model=MODEL, where MODEL is this page's folder."


def _command(described: Mapping[str, Any], design: Design) -> str:
    """Give the command that trains it again; a design that is no shipped one is a file, with what is below in it."""
    try:
        shipped = load_design(design.name) == design
    except ConfigError:
        shipped = False
    words = ["labonn", "train", design.name if shipped else f"{design.name}.design.toml"]
    words += ["--method", described["method"], "--seed", str(described["seed"])]
    if described["teacher"] is not None:
        words += ["--teacher-seed", str(described["teacher"]["seed"])]
    if described["labelled"] < described["data"]["images"]:
        words += ["--labelled", str(described["labelled"])]
    return " ".join(shlex.quote(word) for word in words)
