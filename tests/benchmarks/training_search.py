"""Settings of every method of training: ``python -m tests.benchmarks.training_search TASK --work DIR``.

TASK is ``mnist``, ``cifar10`` or ``carvana``. On each of its kinds of optics every method has the same budget: as many
trials, each a short training of the design's student on as many images, judged on the validation images; the test
images are not looked at. The first trial is the design as it is shipped, the next ones are drawn by Optuna's
tree-structured Parzen estimator. Trials are kept in docs/results/training-search.json and not made again. Once a
method's trials on a design are all made, the benchmark `tests.benchmarks.training` makes its cells with the best
settings: a cell that was made with others is made again.
"""

import argparse
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.distributions import BaseDistribution, FloatDistribution

from labonn.data import DataSet, load
from labonn.design import Design, load_design
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
    DESIGNS,
    METHODS,
    best_settings,
    keep_trial,
    methods_of,
    read_trials,
    with_settings,
)

EVERY_METHOD = {
    "learning_rate": FloatDistribution(5e-4, 1e-2, log=True),
    "weight_decay": FloatDistribution(1e-5, 0.2, log=True),
}
OF_OPTICS = {"optics_learning_rate": FloatDistribution(1e-3, 3e-2, log=True)}
OF_A_PART = {
    "kd": {"kd_weight": FloatDistribution(0.1, 10, log=True)},
    "fitnet": {"kd_weight": FloatDistribution(0.1, 10, log=True), "hint_share": FloatDistribution(0.05, 0.5)},
    "rkd": {"rkd_weight": FloatDistribution(2, 200, log=True)},
    "ntkd": {"ntkd_weight": FloatDistribution(0.1, 30, log=True)},
}


def space(design: Design, method: str) -> dict[str, BaseDistribution]:
    """What is searched for a method: the rates and the decay, and the weights of its own losses."""
    own = [OF_A_PART.get(part, {}) for part in method.split("+")]
    of_optics = OF_OPTICS if design.optic.kind == "trained" else {}
    return {key: found for part in (EVERY_METHOD, of_optics, *own) for key, found in part.items()}


def next_settings(design: Design, method: str, made: list[dict[str, Any]]) -> dict[str, float]:
    """Of the next trial: the shipped ones first, then what Optuna proposes after those that are made."""
    searched = space(design, method)
    if not made:
        return {
            key: min(max(float(getattr(design.training, key)), distribution.low), distribution.high)
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
    shipped: Design,
    method: str,
    settings: Mapping[str, Any],
    data: DataSet,
    teacher: KnownTeacher | None,
    work: Path,
    course: Course,
) -> float:
    """What a short training with these settings comes to on the validation images, per cent; 0 if it diverges."""
    budget = BUDGETS[shipped.name]
    design = with_settings(shipped, {**settings, "epochs": budget.epochs, "method": method})
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
        print(f"{design.name}/{method}: {error}")
        return 0.0
    validation = torch.from_numpy(data.validation.images).to(course.device)
    return score_percent(student, validation, data.validation.labels, chunk=images_at_once(design))


def main() -> None:
    """Make the trials that are not made yet, and write the section after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=tuple(DESIGNS))
    parser.add_argument("--work", type=Path, required=True, help="folder for teachers, as of the table's benchmark")
    parser.add_argument("--designs", nargs="+", choices=tuple(BUDGETS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no trial later than that")
    arguments = parser.parse_args()
    began_s, work = time.monotonic(), arguments.work.absolute()
    course, data = Course(make_fabric(arguments.device)), load(arguments.task)
    teachers: dict[str, KnownTeacher] = {}
    chosen = [name for name in DESIGNS[arguments.task] if name in (arguments.designs or BUDGETS)]
    wanted = [(name, method) for name in chosen for method in methods_of(name) if method in arguments.methods]
    for number, (name, method) in product(
        range(max(budget.trials for budget in BUDGETS.values())), wanted
    ):  # all have their first before any its second
        made = read_trials().get(f"{name}/{method}", [])
        if number >= BUDGETS[name].trials or len(made) > number:
            continue
        if time.monotonic() - began_s > 60 * arguments.minutes:
            break
        design, teacher = load_design(name), None
        if loss_weights(design.training, method).teacher:
            teacher = teachers.get(name) or teacher_for(work / "lab", design, data, seed=0, course=course)
            teachers[name] = teacher
        settings, trial_s = next_settings(design, method, made), time.monotonic()
        value = judge(design, method, settings, data, teacher, work, course)
        trial = {
            "settings": settings,
            "value": value,
            "seconds": round(time.monotonic() - trial_s, 1),
            "device": str(course.device),
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
        }
        print(f"{name}/{method} {number + 1}/{BUDGETS[name].trials}: {value:.2f} {settings}", flush=True)
        write_section("training-search", section(keep_trial(name, method, trial)))
    write_section("training-search", section(read_trials()))


def section(trials: Mapping[str, list[dict[str, Any]]]) -> str:
    """Write what was searched, and what was found."""
    lines = ["## Search of the training's settings", ""]
    for design in dict.fromkeys(name.split("/")[0] for name in trials):
        budget, task = BUDGETS[design], load_design(design).task
        own = {name.split("/")[1]: made for name, made in trials.items() if name.startswith(f"{design}/")}
        dates = sorted(trial["date"] for made in own.values() for trial in made)
        lines += [
            f"### {design}",
            "",
            f"`python -m tests.benchmarks.training_search {task} --work DIR --designs {design}`, {dates[0]} to"
            f" {dates[-1]}. Every method has {budget.trials} trials: the first {budget.images:,} training images,"
            f" {budget.epochs} epochs, seed {budget.seed}, judged on the validation images in per cent. The first trial"
            " has the shipped settings (within the bounds of the search); the others are drawn by Optuna (TPE).",
            "",
            "| method | trials | shipped | best | its settings | s in all |",
            "|---|---|---|---|---|---|",
        ]
        for method, made in own.items():
            best = max(made, key=lambda trial: trial["value"])
            settings = ", ".join(f"{key} {value:.3g}" for key, value in best["settings"].items())
            used = "" if best_settings(design, method) else " (not at its end)"
            lines.append(
                f"| {method} | {len(made)}{used} | {made[0]['value']:.2f} | {best['value']:.2f} | {settings} |"
                f" {sum(trial['seconds'] for trial in made):.0f} |"
            )
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
