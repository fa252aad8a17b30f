"""The power of the release gate, simulated: ``python -m tests.benchmarks.gate``, about a minute on one core.

How often a candidate of a true gain is released, and one of a true loss slips through, with the looks that a
recalibration takes, two candidates that share the error rate, and one of them of this truth, the other useless.
"""

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from labonn.compensation import Gate
from labonn.compensation.evidence import evidence
from labonn.protocol.validating import looks_of
from tests.benchmarks.results import write_section

CANDIDATES = 2
OUTCOMES = np.array([1.0, -1.0, 0.0])
"""Gained, lost, neither: what one capture can be."""
GAINS_POINTS = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
EXCHANGED_POINTS = (0.3, 1.0, 3.0)
"""Captures that change sides beyond what the gain needs, in points: lost by a gain, gained by a loss."""
FIRST, MOST = 100, 6400


def outcomes(gained: int, lost: int, captures: int) -> NDArray[np.int64]:
    """How often each of the `OUTCOMES` of a capture was seen."""
    return np.array([gained, lost, captures - gained - lost], np.int64)


def passed(
    gain_points: float, exchanged_points: float, looks: Sequence[int], trials: int, seed: int
) -> NDArray[np.float64]:
    """Share of the trials that were released at or before each look."""
    rng, gate = np.random.default_rng(seed), Gate()
    gained = (exchanged_points + max(gain_points, 0)) / 100
    lost = (exchanged_points + max(-gain_points, 0)) / 100
    counts = rng.multinomial(np.diff([0, *looks]), [gained, lost, 1 - gained - lost], size=(trials, len(looks)))
    counts = counts[..., :2].cumsum(axis=1)
    threshold = CANDIDATES / (1 - gate.confidence)
    passes, given_up = np.zeros((trials, len(looks)), bool), np.zeros(trials, bool)
    for place, captures in enumerate(looks):
        found, back = np.unique(counts[:, place], axis=0, return_inverse=True)
        bound = -gate.margin_points / 100
        proven = [
            up > down and evidence(OUTCOMES, bound, counts=outcomes(up, down, captures)) >= threshold
            for up, down in found
        ]
        worse = [evidence(OUTCOMES, 0.0, counts=outcomes(down, up, captures)) >= threshold for up, down in found]
        # What is shown to be worse is given up, and what has passed is released.
        passes[:, place] = np.array(proven)[back.ravel()] & ~given_up | passes[:, max(0, place - 1)]
        given_up |= np.array(worse)[back.ravel()]
    return passes.mean(axis=0)


def table(trials: int, seed: int) -> str:
    """Write the section."""
    looks = [stop for _, stop in looks_of(FIRST, MOST)]
    gate = Gate()
    lines = [
        "## The power of the release gate",
        "",
        f"`python -m tests.benchmarks.gate --trials {trials} --seed {seed}`, {datetime.now(UTC):%Y-%m-%d}. Per cent of"
        " candidates that are released by the time that so many validation captures were taken, looking after each of"
        f" these numbers; margin {gate.margin_points:g} points, {gate.confidence:.0%} confidence over all looks and two"
        " candidates. A recalibration stops at 800 unless it is told otherwise. What is undecided then is refused.",
        "",
        "That a loss of the margin or more is released once in twenty at most, for both candidates together and however"
        " often one looks, is proven (Ville's inequality, shared out by Bonferroni; `labonn/compensation/evidence.py`)."
        " The rows of losses show that it is much rarer.",
        "",
    ]
    for exchanged in EXCHANGED_POINTS:
        lines += [
            f"Beside the true gain or loss, {exchanged:g} % of the captures are gained and as many lost:",
            "",
            f"| true gain, points | {' | '.join(f'{look:,}' for look in looks)} |",
            "|---" * (len(looks) + 1) + "|",
        ]
        for gain in GAINS_POINTS:
            shares = passed(gain, exchanged, looks, trials, seed)
            lines.append(f"| {gain:+g} | {' | '.join(f'{100 * share:.1f}' for share in shares)} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Simulate, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    section = table(arguments.trials, arguments.seed)
    print(section)
    write_section("gate", section)


if __name__ == "__main__":
    main()
