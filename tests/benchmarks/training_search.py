"""Settings of every method of training: ``python -m tests.benchmarks.training_search TASK --work DIR``.

TASK is ``mnist``, ``cifar10`` or ``carvana``. Each method has the same budget: as many trials, each a short training of
the task's student on as many images, judged on the validation images; the test images are not looked at. The first
trial is the design as it is shipped, the next ones are drawn by Optuna's tree-structured Parzen estimator. Trials are
kept in docs/results/training-search.json and not made again. Once a method's trials are all made, the benchmark
`tests.benchmarks.training` makes its cells with the best settings: a cell that was made with others is made again.
"""

import argparse
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.distributions import BaseDistribution, FloatDistribution

from labonn.cli.entry import WAIT_WITHOUT_SPINNING
from labonn.data import DataSet, load
from labonn.design import load_design
from labonn.errors import TrainingError
from labonn.training import Teaching, train_student
from labonn.training.accuracy import score_percent
from labonn.training.course import Course
from labonn.training.device import make_fabric
from labonn.training.lessons import loss_weights
from labonn.training.model import images_at_once, kernel_outputs_of
from labonn.training.teachers import KnownTeacher, teacher_for
from tests.benchmarks.results import write_section
from tests.benchmarks.training_settings import (
    BUDGETS,
    METHODS,
    best_settings,
    keep_trial,
    read_trials,
    with_settings,
)

EVERY_METHOD = {
    "learning_rate": FloatDistribution(5e-4, 1e-2, log=True),
    "optics_learning_rate": FloatDistribution(1e-3, 3e-2, log=True),
    "weight_decay": FloatDistribution(1e-5, 0.2, log=True),
}
OF_A_PART = {
    "kd": {"kd_weight": FloatDistribution(0.1, 10, log=True)},
    "fitnet": {"kd_weight": FloatDistribution(0.1, 10, log=True), "hint_share": FloatDistribution(0.05, 0.5)},
    "rkd": {"rkd_weight": FloatDistribution(2, 200, log=True)},
    "ntkd": {"ntkd_weight": FloatDistribution(0.1, 30, log=True)},
}


def space(method: str) -> dict[str, BaseDistribution]:
    """What is searched for a method: the rates and the decay, and the weights of its own losses."""
    own = [OF_A_PART.get(part, {}) for part in method.split("+")]
    return dict(EVERY_METHOD) | {key: found for part in own for key, found in part.items()}


def next_settings(task: str, method: str, made: list[dict[str, Any]]) -> dict[str, float]:
    """Of the next trial: the shipped ones first, then what Optuna proposes after those that are made."""
    searched = space(method)
    if not made:
        training = load_design(BUDGETS[task].design).training
        return {
            key: min(max(float(getattr(training, key)), distribution.low), distribution.high)
            for key, distribution in searched.items()
            if isinstance(distribution, FloatDistribution)
        }
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=len(made), n_startup_trials=4)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for trial in made:
        study.add_trial(
            optuna.trial.create_trial(params=trial["settings"], distributions=searched, value=trial["value"])
        )
    return dict(study.ask(searched).params)


def judge(
    task: str,
    method: str,
    settings: Mapping[str, Any],
    data: DataSet,
    teacher: KnownTeacher | None,
    work: Path,
    course: Course,
) -> float:
    """What a short training with these settings comes to on the validation images, per cent; 0 if it diverges."""
    budget = BUDGETS[task]
    design = with_settings(budget.design, {**settings, "epochs": budget.epochs, "method": method})
    train = data.train.first(budget.images)
    images, labels = (torch.from_numpy(array).to(course.device) for array in (train.images, train.labels))
    teaching = Teaching(
        None if teacher is None else teacher.network,
        images,
        labels,
        batch=design.training.batch,
        cache=work / "lab" / "cache",
        outputs=kernel_outputs_of(design),
        live=design.training.live,
    )
    try:
        student = train_student(design, train, len(data.classes), teaching, seed=budget.seed, course=course).student
    except TrainingError as error:
        print(f"{task}/{method}: {error}")
        return 0.0
    validation = torch.from_numpy(data.validation.images).to(course.device)
    return score_percent(student, validation, data.validation.labels, chunk=images_at_once(design))


def main() -> None:
    """Make the trials that are not made yet, and write the section after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=tuple(BUDGETS))
    parser.add_argument("--work", type=Path, required=True, help="folder for teachers, as of the table's benchmark")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no trial later than that")
    arguments = parser.parse_args()
    os.environ.update(WAIT_WITHOUT_SPINNING)
    began_s, task, work = time.monotonic(), arguments.task, arguments.work.absolute()
    budget, course, data = BUDGETS[task], Course(make_fabric(arguments.device)), load(task)
    design = load_design(budget.design)
    teacher = None
    for number in range(budget.trials):  # every method has its first trial before any has its second
        for method in arguments.methods:
            made = read_trials().get(f"{task}/{method}", [])
            if len(made) > number:
                continue
            if time.monotonic() - began_s > 60 * arguments.minutes:
                return
            if teacher is None and loss_weights(design.training, method).teacher:
                teacher = teacher_for(work / "lab", design, data, seed=0, course=course)
            settings, trial_s = next_settings(task, method, made), time.monotonic()
            known = teacher if loss_weights(design.training, method).teacher else None
            value = judge(task, method, settings, data, known, work, course)
            trial = {
                "settings": settings,
                "value": value,
                "seconds": round(time.monotonic() - trial_s, 1),
                "device": str(course.device),
                "date": f"{datetime.now(UTC):%Y-%m-%d}",
            }
            print(f"{task}/{method} {number + 1}/{budget.trials}: {value:.2f} {settings}", flush=True)
            write_section("training-search", section(keep_trial(task, method, trial)))
    write_section("training-search", section(read_trials()))


def section(trials: Mapping[str, list[dict[str, Any]]]) -> str:
    """Write what was searched, and what was found."""
    lines = ["## Search of the training's settings", ""]
    for task in dict.fromkeys(name.split("/")[0] for name in trials):
        budget = BUDGETS[task]
        own = {name.split("/")[1]: made for name, made in trials.items() if name.startswith(f"{task}/")}
        dates = sorted(trial["date"] for made in own.values() for trial in made)
        lines += [
            f"### {task}",
            "",
            f"`python -m tests.benchmarks.training_search {task} --work DIR`, {dates[0]} to {dates[-1]}. Every method"
            f" has {budget.trials} trials: {budget.design}, the first {budget.images:,} training images,"
            f" {budget.epochs} epochs, seed {budget.seed}, judged on the validation images in per cent. The first trial"
            " has the shipped settings (within the bounds of the search); the others are drawn by Optuna (TPE).",
            "",
            "| method | trials | shipped | best | its settings | s in all |",
            "|---|---|---|---|---|---|",
        ]
        for method, made in own.items():
            best = max(made, key=lambda trial: trial["value"])
            settings = ", ".join(f"{key} {value:.3g}" for key, value in best["settings"].items())
            used = "" if best_settings(task, method) else " (not at its end)"
            lines.append(
                f"| {method} | {len(made)}{used} | {made[0]['value']:.2f} | {best['value']:.2f} | {settings} |"
                f" {sum(trial['seconds'] for trial in made):.0f} |"
            )
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
