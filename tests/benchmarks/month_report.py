"""The section and the picture of `tests.benchmarks.month`."""

import argparse
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from labonn.report.style import BLUE, GREY, VERMILLION

Lines = Sequence[dict[str, Any]]
COLOURS = {"none": GREY, "nightly": VERMILLION, "drift": BLUE}
SAID = {"none": "no recalibration", "nightly": "every night", "drift": "when the watch says so"}


def of(lines: Lines, kind: str, policy: str | None = None) -> list[dict[str, Any]]:
    """Lines of a kind, and of a policy, in the order of their hours."""
    found = [line for line in lines if line["kind"] == kind and policy in (None, line.get("policy"))]
    return sorted(found, key=lambda line: int(line["hour"]))


def pairs(lines: Lines) -> list[tuple[str, float, float]]:
    """Policy, predicted loss and true loss, wherever there are both: since the policy's release was made, in points.

    What a release could do when it was made is taken from the first look at the truth with it.
    """
    truth = {line["hour"]: line["accuracy"] for line in of(lines, "truth")}
    best: dict[str, float] = {}
    found = []
    for line in of(lines, "watch"):
        if line["hour"] not in truth:
            continue
        accuracy = truth[line["hour"]][line["policy"]]
        if line["release"] not in best:
            best[line["release"]] = accuracy + line["predicted"] * (line["predicted"] > line["limit"])
        found.append((line["policy"], line["predicted"], best[line["release"]] - accuracy))
    return found


def table(lines: Lines, arguments: argparse.Namespace, date: str) -> str:
    """Write the section."""
    truth, watches = of(lines, "truth"), of(lines, "watch", "drift")
    start = truth[0]["accuracy"]["none"] if truth else float("nan")
    rows = []
    for policy in COLOURS:
        accuracy = [line["accuracy"][policy] for line in truth]
        made = of(lines, "recalibration", policy)
        rows.append(
            f"| {SAID[policy]} | {np.mean(accuracy):.2f} | {min(accuracy, default=0):.2f} |"
            f" {start - min(accuracy, default=0):.2f} | {len(made)} | {sum(one['released'] for one in made)} |"
            f" {sum(one['captures'] for one in made)} |"
        )
    both = pairs(lines)
    apart = np.array([predicted - lost for _, predicted, lost in both])
    seen = [_after_knock(lines, at) for at in arguments.knocks if watches and watches[-1]["hour"] > at + 2]
    alarms = [line["hour"] for line in watches if line["alarm"]]
    return "\n".join(
        [
            f"## A month of drift and knocks, bench `mono`: {arguments.days} days, watched hourly",
            "",
            f"`python -m tests.benchmarks.month --work DIR --days {arguments.days} --truth-every"
            f" {arguments.truth_every} --images {arguments.images} --knocks {' '.join(map(str, arguments.knocks))}"
            f" --seed {arguments.seed}`, {date}; MNIST, virtual"
            f" time; the world's thermal drift on; knocks after {', '.join(f'{at:g} h' for at in arguments.knocks)}."
            f" Every {arguments.truth_every} hours, and whenever a recalibration is due, the truth:"
            f" {arguments.images:,} test images, of which each frame is read for all three policies.",
            "",
            "| recalibration | accuracy, mean | worst | the worst below the beginning, points | made | released"
            " | captures |",
            "|---|---|---|---|---|---|---|",
            *rows,
            "",
            "The worst includes the hour of the watch that sees a knock. A recalibration whose backend is not released"
            " renews the calibration all the same.",
            "",
            _between_knocks(lines, arguments.knocks),
            f"* watches: {len(watches)}, of 8 images each; alarms at hours: {', '.join(map(str, alarms)) or 'none'}",
            *seen,
            f"* predicted less true loss, {len(both)} pairs: mean {apart.mean():+.2f}, standard deviation"
            f" {apart.std():.2f}, largest {np.abs(apart).max():.2f} points"
            if len(both)
            else "* no pair of predicted and true loss yet",
        ]
    )


def _between_knocks(lines: Lines, knocks_h: Sequence[float]) -> str:
    """Say what slow drift alone cost where the watch says when to recalibrate."""
    truth = of(lines, "truth")
    knocked = {ceil(at) for at in knocks_h}
    rest = [line["accuracy"]["drift"] for line in truth if line["hour"] not in knocked]
    lost = truth[0]["accuracy"]["drift"] - min(rest)
    return f"* slow drift, when the watch says so: {lost:.2f} points lost at worst, in {len(rest)} looks at the truth"


def _after_knock(lines: Lines, at: float) -> str:
    watches = [line for line in of(lines, "watch", "drift") if line["hour"] > at]
    due = next((line["hour"] for line in watches if line["due"]), None)
    repaired = [line for line in watches if due is not None and line["hour"] > due]
    after = f"; at the watch after that: {repaired[0]['predicted']:+.2f} points" if repaired else ""
    first = watches[0]
    return (
        f"* knock after {at:g} h: the next watch (hour {first['hour']}) predicts {first['predicted']:+.2f} points,"
        f" due: {'yes' if first['due'] else 'no'}{after}"
    )


def stable_table(lines: Lines, arguments: argparse.Namespace, date: str) -> str:
    """Write the section about false alarms."""
    months = sorted((line for line in lines if line["kind"] == "month"), key=lambda line: int(line["month"]))
    alarmed = sum(line["alarms"] > 0 for line in months)
    clear = len(months) - alarmed
    low = stats.beta.ppf(0.025, alarmed, clear + 1) if alarmed else 0.0
    high = stats.beta.ppf(0.975, alarmed + 1, clear) if clear else 1.0
    return "\n".join(
        [
            "## False alarms of the watch, bench `mono`, standing still",
            "",
            f"`python -m tests.benchmarks.month --work DIR --stable {len(months)} --seed {arguments.seed}`, {date};"
            f" months of {arguments.watches} watches, each with reference captures of its own, drawn from a pool of 200"
            " captures of each reference"
            " image. The chart is set for 5 % of months with any alarm.",
            "",
            f"* months with an alarm: **{alarmed} of {len(months)}**, {100 * alarmed / max(1, len(months)):.0f} %"
            f" (95 % interval {100 * low:.0f} to {100 * high:.0f} %, Clopper-Pearson); false alarms in all:"
            f" {sum(line['alarms'] for line in months)}, the most in one month"
            f" {max((line['alarms'] for line in months), default=0)}",
            f"* recalibrations that would have been due: {sum(line['due'] for line in months)}",
            f"* predicted loss of a watch: mean {np.mean([line['mean'] for line in months]):+.3f}, standard deviation"
            f" {np.mean([line['sigma'] for line in months]):.3f}, highest {max(line['highest'] for line in months):.2f}"
            f" points; control limit {np.mean([line['limit'] for line in months]):.2f}",
        ]
    )


def draw(lines: Lines, knocks_h: Sequence[float], path: Path) -> None:
    """Draw the month: true accuracy of each policy, predicted loss of the watch, and one against the other."""
    figure = Figure(figsize=(10, 5.2), layout="constrained", facecolor="white")
    grid = figure.add_gridspec(2, 2, width_ratios=(2.2, 1))
    upper, lower = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[1, 0])
    scatter = figure.add_subplot(grid[:, 1])
    truth, watches = of(lines, "truth"), of(lines, "watch", "drift")
    days = [line["hour"] / 24 for line in truth]
    for policy, colour in COLOURS.items():
        upper.plot(days, [line["accuracy"][policy] for line in truth], ".-", color=colour, lw=1.2, label=SAID[policy])
    upper.set_ylabel("accuracy (%)")
    upper.legend(frameon=False, fontsize=8)
    hours = [line["hour"] / 24 for line in watches]
    lower.plot(hours, [line["predicted"] for line in watches], color=BLUE, lw=0.9)
    lower.plot(hours, [line["limit"] for line in watches], color=GREY, lw=0.8, ls="--")
    for line in of(lines, "recalibration", "drift"):
        lower.axvline(line["hour"] / 24, color=BLUE, lw=0.8, ls=":")
    lower.set_ylabel("predicted loss (points)")
    lower.set_xlabel("day")
    for axes in (upper, lower):
        for at in knocks_h:
            axes.axvline(at / 24, color="black", lw=0.8, ls="--")
        axes.set_xlim(0, max(hours, default=1))
    for policy, predicted, lost in pairs(lines):
        scatter.plot(predicted, lost, "o", color=COLOURS[policy], ms=4, alpha=0.7)
    most = max([1.0, *(value for _, predicted, lost in pairs(lines) for value in (predicted, lost))])
    scatter.plot([0, most], [0, most], color=GREY, lw=0.8)
    scatter.set_xlabel("predicted loss (points)")
    scatter.set_ylabel("true loss (points)")
    for axes in (upper, lower, scatter):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#e3e6ea", lw=0.6)
    figure.savefig(path, dpi=110)
