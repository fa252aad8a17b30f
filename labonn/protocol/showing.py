"""What the report of a recalibration shows: maps, the twin, the methods side by side, the gate's evidence."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from labonn.capture import Calibration
from labonn.compensation import Verdict, attribute
from labonn.protocol.compensating import Compensated
from labonn.protocol.deployment import Deployment
from labonn.protocol.focusing import focus_series
from labonn.protocol.validating import Validation
from labonn.report import figures
from labonn.training import logits_of, scores_of

if TYPE_CHECKING:
    from labonn.protocol.lab import Lab

OVERLAYS = 4
CAPTURING = ("calibrating", "capturing")
FITTING = ("preparing", "refitting", "predicting", "re-matching")
TRAINED_ON = {
    "none": "-",
    "e2e": "captures, their labels",
    "kd": "captures, their labels, the teacher's answers",
    "ntkd": "captures, their labels, the teacher's kernel",
    "map": "captures, what the student expected of them",
    "twin+ce": "the twin's maps of the training set, labels",
    "twin+kd": "the twin's maps of the training set, labels, the teacher's answers",
    "twin+ntkd": "the twin's maps of the training set, labels, the teacher's answers and kernel",
}


def show_compensation(lab: "Lab", network: Deployment, calibration: Calibration, fitted: Compensated) -> None:
    """Put the optics, one image's maps, and what the twin explains into the report."""
    network.draw(lab, calibration, "fit")
    first = fitted.captured.indices[:1]
    images = network.training_images()[first]
    rows = {
        "simulated": network.maps_of(network.ideal_tiles(images)),
        "captured": fitted.captured.maps[:1],
        "twin": fitted.twin.maps(images),
    }
    lab.figure(
        "feature maps",
        figures.feature_maps({name: maps[0].numpy() for name, maps in rows.items()}),
        "One image, as simulated, captured, and predicted by the twin.",
    )
    with lab.step("attributing the loss") as step:
        blame = attribute(
            fitted.twin,
            network.student.frontend.kernels().detach(),
            network.student.backend,
            torch.from_numpy(network.data.validation.images),
            torch.from_numpy(network.data.validation.labels),
            series=focus_series(network, lab.bench_config, lab.bench.slm.pitch_um) if lab.bench.has_slm else None,
            on_score=step.advance,
        )
    lab.figure(
        "the twin's residuals",
        figures.twin_residuals(
            fitted.twin.residual.numpy(),
            fitted.twin.held_out_r2.tolist(),
            colours=network.student.frontend.colours,
        ),
        "What the twin does not predict of captures that it was not fitted to, tile by tile.",
    )
    lab.figure(
        "attribution",
        figures.attribution_bars(
            {cost.fault: (cost.points, cost.alone_points) for cost in blame.costs}, blame.as_it_is, blame.as_designed
        ),
        f"The simulated backend on the twin, with one departure restored at a time; {blame.images} images.",
    )
    lab.table(
        "What each departure from the design costs",
        [{"departure": cost.fault, "points": round(cost.points, 1), "what to do": cost.advice} for cost in blame.costs],
    )
    lab.note("culprit", "none stands out" if blame.culprit is None else blame.culprit.fault)
    lab.note("twin", {"held_out_r2": float(fitted.twin.held_out_r2.mean()), "captures": fitted.twin.captures})
    if fitted.warning is not None:
        lab.note("warning", fitted.warning)


def show_validation(lab: "Lab", network: Deployment, fitted: Compensated, validation: Validation) -> None:
    """Put the methods side by side, and the gate's evidence, into the report."""
    decision = validation.decision
    lab.note("gate", decision.reason)
    if network.data.train.labels.ndim > 1:
        _show_masks(lab, network, fitted, decision.preferred)
    lab.table("Methods, on the validation captures", _methods(network.design.measure, fitted, validation))
    lab.table(
        "The gate's looks",
        [
            {"captures": captures, "candidate": name} | _evidence(verdict) | {"passes": verdict.passes}
            for captures, look in validation.looks.items()
            for name, verdict in look.verdicts.items()
        ],
    )
    lab.figure(
        network.design.measure,
        figures.accuracy_bars(validation.percent),
        f"On {validation.captures} captures that no fit has seen.",
    )
    lab.figure(
        "the gate's evidence",
        figures.gate_evidence(
            {
                name: [
                    (n, look.verdicts[name].gain_points, look.verdicts[name].lower_bound_points) for n, look in looks
                ]
                for looks in [list(validation.looks.items())]
                for name in decision.verdicts
            },
            margin_points=validation.gate.margin_points,
        ),
        "Gain over the backend in use: its mean, and what it is at least, at each look. A candidate passes where its "
        "bound is above the dashed line, and its mean above zero.",
    )


def _show_masks(lab: "Lab", network: Deployment, fitted: Compensated, preferred: str) -> None:
    """Put the masks of the first captures into the report, as the backend in use and the preferred one find them."""
    data, chosen = network.data, fitted.captured.indices[:OVERLAYS].numpy()
    images, masks = data.train.images[chosen], data.train.labels[chosen]
    drawn, titles = [], []
    for when, name in (("before", "none"), ("after", preferred)):
        answers = logits_of(fitted.backends[name], fitted.captured.maps[: len(chosen)]).argmax(dim=1).numpy()
        drawn.append(answers > 0)
        titles += [f"{when}: {100 * score:.1f} %" for score in scores_of(answers, masks, len(data.classes))]
    pictures = np.concatenate([images, images]), np.concatenate(drawn), np.concatenate([masks, masks]) > 0
    lab.figure(
        "masks",
        figures.overlays(*pictures, titles),
        f"Captures for the fit, before and after it ({preferred}). Green: found; red: missed; blue: not there. Overlap"
        f" of the {data.classes[-1]}.",
    )


def seconds_of(lab: "Lab") -> dict[str, float]:
    """How long capturing and fitting took."""
    parts = {"capture": CAPTURING, "fit": FITTING}
    return {part: sum(s for step, s in lab.seconds.items() if step.startswith(begin)) for part, begin in parts.items()}


def _methods(measure: str, fitted: Compensated, validation: Validation) -> list[dict[str, Any]]:
    before = validation.answers["none"]
    return [
        {
            "method": name,
            "trained on": TRAINED_ON[name],
            f"{measure}, %": round(answers.percent, 2),
            "points gained": round(answers.percent - before.percent, 2),
            "loss, nats": round(float(np.mean(answers.loss)), 4),
            "may be released": name in fitted.candidates,
        }
        for name, answers in validation.answers.items()
    ]


def _evidence(verdict: Verdict) -> dict[str, Any]:
    return {
        "gained": verdict.gained,
        "lost": verdict.lost,
        "points": round(verdict.gain_points, 2),
        "at least": round(verdict.lower_bound_points, 2),
        "loss": f"{verdict.loss_change:+.4f} +- {verdict.loss_error:.4f}",
    }
