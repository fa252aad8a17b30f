"""The release gate: nothing is released that may be worse."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from labonn.compensation.evidence import evidence, lower_bound

FEWEST_VALIDATION_CAPTURES = 30
_ONE_SIDED_95 = 1.645  # standard errors


@dataclass(frozen=True)
class Gate:
    """What a new backend has to prove.

    Attributes
    ----------
    margin_points
        A loss of accuracy, or of mean IoU, that would be tolerated, in points.
    confidence
        Of not releasing what loses more than the margin: over all looks, and over all candidates together.
    """

    margin_points: float = 0.5
    confidence: float = 0.95


@dataclass(frozen=True)
class Answers:
    """How one backend did on n validation captures.

    Attributes
    ----------
    score
        (n,) from 0 to 1, how well each is answered: 1 or 0 where an image has a class, of masks their overlap (IoU).
    loss
        (n,) cross-entropy of each, in nats; of masks in the mean over their pixels.
    """

    score: NDArray[np.bool_] | NDArray[np.float64]
    loss: NDArray[np.float64]

    @property
    def percent(self) -> float:
        """Accuracy, or mean IoU, in per cent."""
        return 100 * float(self.score.mean())

    @property
    def right(self) -> NDArray[np.bool_]:
        """(n,) whether each is answered exactly as labelled."""
        return np.asarray(self.score == 1)

    def followed_by(self, later: "Answers") -> "Answers":
        """How it did on these captures and on later ones."""
        return Answers(np.concatenate([self.score, later.score]), np.concatenate([self.loss, later.loss]))


@dataclass(frozen=True)
class Verdict:
    """What the validation captures say of one candidate against the current backend.

    Attributes
    ----------
    passes
        Whether it may be released.
    worse
        Whether it is shown to be worse, so that more captures would be wasted.
    gained, lost
        Captures that the candidate, that the current one, answers better.
    gain_points
        Mean paired gain in accuracy or IoU, in points.
    lower_bound_points
        The gain is at least this, at the gate's confidence.
    loss_change, loss_error
        Mean paired change of the cross-entropy, and its standard error, in nats; negative is better.
    """

    passes: bool
    worse: bool
    gained: int
    lost: int
    gain_points: float
    lower_bound_points: float
    loss_change: float
    loss_error: float


@dataclass(frozen=True)
class Decision:
    """What the gate says of all candidates after a look.

    Attributes
    ----------
    released
        The name of the candidate that is released; None if none is.
    preferred
        The one that the captures prefer, released or not.
    settled
        Whether more captures would change nothing: one passed, or all are shown to be worse.
    captures
        How many were compared.
    verdicts
        By the candidates' names.
    reason
        A sentence for the operator.
    """

    released: str | None
    preferred: str
    settled: bool
    captures: int
    verdicts: Mapping[str, Verdict]
    reason: str


def decide(current: Answers, candidates: Mapping[str, Answers], gate: Gate | None = None) -> Decision:
    """Compare candidates with the current backend on the same captures, image by image.

    A candidate passes if its gain is above minus the margin at the gate's confidence, and it is better in the mean: its
    captures are answered better, or as well with a smaller loss. A loss that is larger at 95 % confidence forbids it.
    Of those that pass, the one that gains most is released; on a tie, the one that is named first. The error rate is
    shared out evenly among the candidates (Bonferroni), and holds however often this is called on a growing
    sample (see `labonn.compensation.evidence`).

    Parameters
    ----------
    current
        How the backend in use did.
    candidates
        How each new one did on the same captures.
    gate
        What has to be proven.
    """
    gate = gate or Gate()
    error_rate = (1 - gate.confidence) / len(candidates)
    verdicts = {name: _judge(current, answers, gate.margin_points, error_rate) for name, answers in candidates.items()}
    captures = len(current.score)
    passing = [name for name, verdict in verdicts.items() if verdict.passes]
    preferred = max(passing or verdicts, key=lambda name: (verdicts[name].gain_points, -_rank(name, verdicts)))
    if captures < FEWEST_VALIDATION_CAPTURES:
        few = (
            f"{captures} validation captures are too few to judge by; at least {FEWEST_VALIDATION_CAPTURES} are needed"
        )
        return Decision(None, preferred, False, captures, verdicts, few)
    settled = bool(passing) or all(verdict.worse for verdict in verdicts.values())
    reason = f"{preferred}: {_sentence(verdicts[preferred], captures)}; {_wanted(gate, len(candidates))}"
    return Decision(preferred if passing else None, preferred, settled, captures, verdicts, reason)


def _judge(current: Answers, new: Answers, margin_points: float, error_rate: float) -> Verdict:
    captures = len(current.score)
    gain = new.score.astype(np.float64) - current.score
    mean = float(gain.mean())
    change = new.loss - current.loss
    loss_change, loss_error = float(change.mean()), float(change.std(ddof=1)) / sqrt(captures) if captures > 1 else 0.0
    not_worse = evidence(gain, -margin_points / 100) >= 1 / error_rate
    better = mean > 0 or (mean == 0 and loss_change < 0)
    loses = loss_change > _ONE_SIDED_95 * loss_error
    return Verdict(
        passes=not_worse and better and not loses and captures >= FEWEST_VALIDATION_CAPTURES,
        worse=evidence(-gain, 0.0) >= 1 / error_rate,
        gained=int((gain > 0).sum()),
        lost=int((gain < 0).sum()),
        gain_points=100 * mean,
        lower_bound_points=100 * lower_bound(gain, error_rate),
        loss_change=loss_change,
        loss_error=loss_error,
    )


def _rank(name: str, verdicts: Mapping[str, Verdict]) -> int:
    return list(verdicts).index(name)


def _sentence(verdict: Verdict, captures: int) -> str:
    said = (
        f"{verdict.gained} of {captures} captures gained, {verdict.lost} lost: {verdict.gain_points:+.1f} points, "
        f"at least {verdict.lower_bound_points:+.1f}; loss {verdict.loss_change:+.3f} +- {verdict.loss_error:.3f}"
    )
    return f"{said}; it is worse" if verdict.worse else said


def _wanted(gate: Gate, candidates: int) -> str:
    both = "" if candidates == 1 else f", over {candidates} candidates"
    return (
        f"asked for a gain, and no loss beyond {gate.margin_points:g} points at {gate.confidence:.0%} confidence over "
        f"all looks{both}"
    )
