"""The page about a design before it is trained: the answer first, then pictures, numbers, how to repeat it."""

import shlex
from typing import TYPE_CHECKING, Any

from labonn.design import TARGETS, lay_out
from labonn.report import Page, figures, flatten, png_of
from labonn.training.estimate.curve import told_apart

if TYPE_CHECKING:
    from labonn.design import Design
    from labonn.training.estimate import Estimate

OTHERS = {
    "ntk_of_all": "the same, as if its parameters could learn from every image",
    "infinite_width": "infinite-width NTK on infinitely many kernels",
    "random_kernels": "random kernels, as many, single layer",
    "short": "a training that has just begun, as it came out",
    "infinite_kernels": "random kernels, infinitely many, single layer",
    "lens": "the same backend behind a lens",
}
"""What an estimate is held against, by its name among the predictors."""

_NOT_FACTS = ("layers", "energy_model", "predictors", "design", "task")


def estimate_page(design: "Design", content: dict[str, Any], found: "Estimate | None", command: list[str]) -> Page:
    """Put what is known of a design onto a page.

    Parameters
    ----------
    design
        What was estimated.
    content
        What the command answers.
    found
        The estimate of its accuracy, where there is one.
    command
        The words that repeat it: ``labonn design estimate DESIGN ...``.
    """
    page = Page(f"{design.name}, before it is trained")
    page.banner("neutral", _answer(content, found))
    page.text(f"Next: {_next_step(shlex.quote(command[3]), found)}")
    page.heading("Pictures")
    if found is not None:
        predictors = found.predictors
        curve = figures.learning_curve(
            predictors.curve.images,
            [100 * error for error in predictors.curve.errors],
            extrapolated=(round(told_apart(predictors.training_images, predictors.parameters)), 100 - predictors.ntk),
            interval=(100 - found.accuracy.high, 100 - found.accuracy.low),
        )
        page.figure(
            png_of(curve),
            "Learning curve",
            "What regression with the student's kernel gets wrong of images that it leaves out; the law that is"
            " extrapolated; and the interval of the estimate.",
        )
    page.figure(png_of(figures.layout(lay_out(design.optic))), "Layout", "The optic to scale, seen by the light.")
    page.heading("Result")
    page.facts(flatten({key: value for key, value in content.items() if key not in _NOT_FACTS}))
    if found is not None:
        page.heading("What foretells the accuracy")
        rows: list[dict[str, Any]] = [{"predictor": "this estimate", "per cent": found.accuracy.value}]
        rows.append({"predictor": "the finite student's NTK", "per cent": found.predictors.ntk})
        rows += [{"predictor": text, "per cent": getattr(found.predictors, name)} for name, text in OTHERS.items()]
        page.table(rows)
    page.heading("Layers of the backend, for one image")
    page.table(content["layers"])
    page.text("Energy is counted by the model below; docs/designing.md says where its figures are from.")
    page.facts(content["energy_model"])
    page.table(
        [{"target": name, "source": target.source} for name, target in TARGETS.items()],
        "Least latencies are bounds, from",
    )
    page.heading("How to repeat it")
    page.command(" ".join(shlex.quote(word) for word in command))
    page.folded("The design", design.model_dump(mode="json", by_alias=True))
    return page


def _answer(content: dict[str, Any], found: "Estimate | None") -> str:
    cost = f"An image costs {content['energy_mj']['total']:.3g} mJ"
    if found is None:
        return f"{cost}; {content['why_not']}."
    said = content["accuracy"]
    return (
        f"{said['estimate']} % of the test images, in simulation; between {said['low']} and {said['high']} % at"
        f" {said['confidence']:.0%}, corrected by {found.earlier} earlier designs. {cost}."
    )


def _next_step(design: str, found: "Estimate | None") -> str:
    lens = None if found is None else found.predictors.lens
    if found is not None and lens is not None and lens >= found.predictors.ntk:
        return (
            "a plain lens before the same backend should do as well: do not have this optic made before you know more."
        )
    return f"train it: labonn train {design}, then try what stands up to fabrication: labonn design sweep."
