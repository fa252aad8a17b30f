"""The command that trains: a teacher, or a student in simulation."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labonn.cli.answer import Answer

if TYPE_CHECKING:
    from rich.console import Console

    from labonn.design import Design
    from labonn.protocol.progress import Screen
    from labonn.training.model import Order, Teller


def train_command(
    design: "str | Design",
    lab: Path,
    *,
    method: str | None,
    seed: int,
    teacher_seed: int,
    out: Path | None,
    device: str,
    precision: str,
    labelled: int | None,
    only_teacher: bool,
    fresh: bool,
) -> Answer:
    """Train what a design, or the file or the shipped design of that name, describes, and keep it.

    Raises
    ------
    ConfigError
        If the design, the method or the device is wrong, a checkpoint is of another training, or the folder is taken.
    DataError
        If the data are missing or damaged, or not those that the design is for.
    TrainingError
        If the training diverges.
    RecordError
        If the disk refuses.
    """
    from labonn.data import load
    from labonn.design import load_design
    from labonn.errors import ConfigError
    from labonn.protocol.progress import Screen
    from labonn.training.course import Course
    from labonn.training.device import make_fabric, slow_because
    from labonn.training.lessons import loss_weights
    from labonn.training.model import Order, can_be_built, check_data, teacher_of, train_model
    from labonn.training.student import student_steps
    from labonn.training.teacher import teacher_steps

    order = Order(load_design(design) if isinstance(design, str) else design, method, seed, teacher_seed, labelled)
    weights = loss_weights(order.design.training, order.method)
    if out is not None and out.exists():
        raise ConfigError(f"{out}: exists already, and a model is never overwritten: name another folder with --out")
    fabric = make_fabric(device, precision)
    course = Course(fabric)
    can_be_built(order.design)
    data = load(order.design.task)
    check_data(order.design, data)
    if labelled is not None and labelled > len(data.train):
        raise ConfigError(f"labelled = {labelled}: data set {data.name!r} has {len(data.train)} training images")
    screen = Screen(quiet=not course.first)
    if slow := slow_because(fabric, precision):
        screen.line(slow)
    teacher = None
    if only_teacher or weights.teacher:
        with _told(screen, "preparing the teacher", teacher_steps(order.design, len(data.train)), order) as teller:
            teacher = teacher_of(lab, order, data, course, teller, fresh=fresh)
    if teacher is not None and teacher.reused:
        measure = "of" if order.design.measure == "accuracy" else "mIoU on"
        screen.line(
            f"teacher {teacher.id} is the laboratory's, {teacher.accuracy['test']:.2f} % {measure} the test images"
        )
    if only_teacher:
        if not course.first:
            raise SystemExit(0)
        assert teacher is not None
        content = {
            "design": order.design.name,
            "task": order.design.task,
            "teacher": {
                "id": teacher.id,
                "sha256": teacher.sha256,
                "seed": teacher_seed,
                "reused": teacher.reused,
            },
            order.design.measure: {"validation": teacher.accuracy["validation"], "teacher": teacher.accuracy["test"]},
            "seed": teacher_seed,
            "folder": str((lab / "teachers" / teacher.id).absolute()),
        }
        return Answer(content, lambda console: _show(console, content))
    with _told(screen, "training the student", student_steps(order.design, len(data.train)), order) as teller:
        model = train_model(lab, order, data, teacher=teacher, course=course, teller=teller, out=out, fresh=fresh)
    if model is None:
        raise SystemExit(0)  # the first process answers for all
    known = {key: value for key, value in model.described.items() if key not in ("design", "epochs")}
    content = {
        "model": model.id,
        "folder": str(model.folder.absolute()),
        "report": str(model.folder.absolute() / "report.html"),
        "design": order.design.name,
        "task": order.design.task,
        **known,
    }
    return Answer(content, lambda console: _show(console, content))


@contextmanager
def _told(screen: "Screen", name: str, steps: int, order: "Order") -> "Iterator[Teller]":
    """Show a training on a screen: a bar with the loss and the last figures on a terminal, and a line an epoch."""
    from labonn.training.model import Teller

    with screen.step(name, steps, lambda: None) as step:
        last = ""

        def loss(value: float) -> None:
            step.remark(f"loss {value:.4f}{last}")

        def epoch(number: int, figures: Mapping[str, float]) -> None:
            text = f"loss {figures['loss']:.4f}, validation {figures['validation']:.2f} %"
            if "alignment" in figures:
                text += f", kernels aligned {figures['alignment']:.3f}"
            text += f", {figures['images_per_s']:,.0f} images/s"
            nonlocal last
            last = f" (epoch {number}: {text})"
            screen.line(f"epoch {number}/{order.design.training.epochs}: {text}")

        yield Teller(step.advance, loss, epoch, step.remark)


def _show(console: "Console", content: Mapping[str, Any]) -> None:
    from rich.table import Table

    from labonn.report import flatten
    from labonn.report import show as written

    table = Table("", "", show_header=False, box=None, padding=(0, 2, 0, 0))
    for key, value in flatten({key: value for key, value in content.items() if key != "environment"}).items():
        table.add_row(key, written(value))
    console.print(table)
