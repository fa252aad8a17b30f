"""The report of a training: the answer first, what to do next, then pictures, numbers, and what repeats it."""

import re
from html import unescape
from typing import Any

import pytest

from labonn.design import design_hash, load_design
from labonn.training.model_page import model_page
from labonn.training.pictures import Picture

PICTURES = [Picture("loss.png", "Loss", "Of each step.", b"\x89PNG"), Picture("kernels.png", "Kernels", "", b"\x89PNG")]
TEACHER = {"id": "abc", "sha256": "d" * 64, "seed": 3, "reused": True}


def described(**changes: Any) -> dict[str, Any]:
    design = load_design("digits-mono")
    return {
        "design": design.model_dump(mode="json", by_alias=True),
        "design_sha256": design_hash(design),
        "method": "ntkd",
        "seed": 2,
        "labelled": 1000,
        "teacher": TEACHER,
        "accuracy": {"validation": 97.0, "simulated": 96.5, "teacher": 99.25},
        "parameters": 1234,
        "macs": {"optical": 10, "digital": 20, "elementwise": 30},
        "epochs": {"loss": [1.0, 0.5], "validation": [90.0, 97.0]},
        "data": {"name": "digits", "sha256": "e" * 64, "images": 1000},
        "environment": {"python": "3.11", "torch": "2.13"},
        **changes,
    }


def page_of(**changes: Any) -> str:
    html = model_page(described(**changes), PICTURES).decode("utf-8")
    return unescape(re.sub(r"<[^>]+>", "|", html[html.index("<body>") :]))


def test_it_begins_with_the_answer_and_ends_with_how_to_repeat_it() -> None:
    page = page_of()
    parts = [
        "digits-mono, trained by ntkd, seed 2",
        "\u2713| 96.50 % of the test images, in simulation; its teacher: 99.25 %",
        "Next: put it on a bench: labonn run train_and_deploy BENCH --set model=MODEL",
        "Pictures",
        "Of each step.",
        "Result",
        "1234",
        "Epochs",
        "How to repeat it",
        "|labonn train digits-mono --method ntkd --seed 2 --teacher-seed 3|",
    ]
    places = [page.find(part) for part in parts]
    assert places == sorted(places), dict(zip(parts, places, strict=True))
    assert places[0] >= 0


def test_one_that_has_learnt_nothing_is_said_to_have_failed() -> None:
    page = page_of(accuracy={"validation": 11.0, "simulated": 12.0, "teacher": 99.25})
    assert "\u2717| 12.00 % of the test images, in simulation; its teacher: 99.25 %; that is hardly more than" in page
    assert "train_and_deploy" not in page


def test_one_without_a_teacher_is_not_sent_onto_a_bench() -> None:
    page = page_of(teacher=None, accuracy={"validation": 97.0, "simulated": 96.5}, method="none")
    assert "train it with a teacher" in page
    assert "|labonn train digits-mono --method none --seed 2|" in page


def test_what_is_repeated_is_the_design_that_was_trained() -> None:
    other = load_design("digits-mono").model_dump(mode="json", by_alias=True)
    other["training"]["epochs"] += 1
    assert "labonn train digits-mono.design.toml --method" in page_of(design=other)
    assert "--teacher-seed 3 --labelled 100|" in page_of(labelled=100)


@pytest.mark.parametrize("words", ["mean overlap of the test images: 93.10 %, of all classes 95.20 %"])
def test_masks_are_judged_by_their_overlap(words: str) -> None:
    design = load_design("carvana-poly")
    page = page_of(
        design=design.model_dump(mode="json", by_alias=True),
        miou={"validation": 93.0, "simulated": 93.1, "teacher": 97.0},
        miou_of_all_classes=95.2,
    )
    assert words in page
