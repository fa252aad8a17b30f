"""Doing a trial, in whichever process; the same figures for the same order."""

import time
from functools import lru_cache
from pathlib import Path

import torch

from labonn.data import DataSet, load
from labonn.design import Design, energy, operations, parameters
from labonn.errors import ConfigError, LabonnError
from labonn.sweeps.sweep import Sweep
from labonn.sweeps.trial import Order, Outcome, Status
from labonn.sweeps.varying import SEED, vary
from labonn.training import Teaching, train_student
from labonn.training.accuracy import score_percent
from labonn.training.estimate import Settings, estimate_design
from labonn.training.lessons import loss_weights
from labonn.training.model import can_be_built, check_data, images_at_once, kernel_outputs_of


def perform(order: Order) -> Outcome:
    """Do a trial and say what came of it. Nothing that goes wrong in it is raised: it fails alone."""
    began_s = time.perf_counter()
    figures: dict[str, float] = {}
    status: Status = "done"
    error = None
    try:
        figures = _figures(order)
    except ConfigError as refused:
        status, error = "refused", str(refused)
    except LabonnError as failed:
        status, error = "failed", str(failed)
    except (MemoryError, RuntimeError, ValueError, ArithmeticError, OSError) as failed:
        # torch says RuntimeError for what does not fit into memory; a sweep goes on whatever one of its trials met.
        status, error = "failed", f"{type(failed).__name__}: {failed}"
    return Outcome(order.number, order.settings, status, figures, error, time.perf_counter() - began_s)


def _figures(order: Order) -> dict[str, float]:
    sweep, base = Sweep.model_validate(order.sweep), Design.model_validate(order.design)
    torch.set_num_threads(sweep.trial.cpus)
    design = variant(sweep, base, order)
    can_be_built(design)
    seed = int(order.settings.get(SEED, sweep.seed))
    figures = known_at_once(design)
    if sweep.does == "fabricate":
        from labonn.sweeps.fabricating import fabricate

        return figures | fabricate(sweep, design, order, seed)
    data = _data(design.task, sweep.images)
    check_data(design, data)
    if sweep.does == "train":
        return figures | _trained(design, data, seed)
    settings = Settings(seed=seed, references=False)
    found = estimate_design(Path(order.lab), design, data, settings)
    said = found.accuracy
    return figures | {"accuracy": said.value, "accuracy_low": said.low, "accuracy_high": said.high}


def variant(sweep: Sweep, base: Design, order: Order) -> Design:
    """The design of a trial."""
    return vary(base, order.settings, name=f"{sweep.name}-{order.number}", fit_optic=sweep.fit_optic)


def known_at_once(design: Design) -> dict[str, float]:
    """What needs no computing: energy, size, counts."""
    height_mm, width_mm = design.optic.aperture_mm
    cost = energy(design)
    return {
        "energy_mj": cost.total_mj,
        "capture_mj": cost.capture_mj,
        "optic_mm2": height_mm * width_mm,
        "parameters": float(parameters(design)),
        "digital_macs": float(operations(design).digital),
    }


@lru_cache(maxsize=2)
def _data(task: str, images: int | None) -> DataSet:
    """A task's data, read once in a process."""
    data = load(task)
    train = data.train if images is None else data.train.first(images)
    return DataSet(data.name, data.classes, train, data.validation, data.test)


def _trained(design: Design, data: DataSet, seed: int) -> dict[str, float]:
    if loss_weights(design.training).teacher:
        raise ConfigError(
            f'[training] method = "{design.training.method}": the trials of a sweep are trained without a teacher;'
            ' add design.training.method = ["none"] to [keys]'
        )
    images, labels = torch.from_numpy(data.train.images), torch.from_numpy(data.train.labels)
    teaching = Teaching(
        None, images, labels, batch=design.training.batch, cache=None, outputs=kernel_outputs_of(design)
    )
    began_s = time.perf_counter()
    student = train_student(design, data.train, len(data.classes), teaching, seed=seed).student
    seconds = time.perf_counter() - began_s
    # What is chosen by it is measured on the validation images; the test images say what it was worth.
    scores = {
        name: score_percent(student, torch.from_numpy(split.images), split.labels, chunk=images_at_once(design))
        for name, split in (("accuracy", data.validation), ("test_accuracy", data.test))
    }
    return {**scores, "training_s": seconds}
