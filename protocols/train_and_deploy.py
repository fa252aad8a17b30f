"""Train a network in simulation, put it on the bench, and measure how much of it arrives there."""

from typing import Literal, Self

import torch
from pydantic import BaseModel, Field, PositiveInt, model_validator

from labonn.data import DataSet, load
from labonn.design import Design, load_design
from labonn.design.design import Method
from labonn.protocol import Lab, Result
from labonn.protocol.choices import DesignName
from labonn.protocol.deployment import cache_of, describe, load_deployment, trained_before
from labonn.protocol.realising import realise, require_made_for
from labonn.protocol.trained import Trained, trained_already
from labonn.report import figures
from labonn.training import Teaching, score_percent, train_student, train_teacher
from labonn.training.model import kernel_outputs_of
from labonn.training.student import student_steps
from labonn.training.teacher import teacher_steps

EXAMPLES = 4  # test images whose raw frames are kept


class Parameters(BaseModel):
    """What can be set."""

    design: DesignName = Field("digits-mono", description="a design file, or the name of a shipped design")
    model: str | None = Field(None, description="a model of labonn train, its id or folder; nothing is trained then")
    method: Method | None = Field(None, description="how the student is trained; the design's own method if not set")
    evaluation_images: PositiveInt | Literal["all"] = Field("all", description="test images to capture and report on")
    pattern_steps: int = Field(150, ge=1, description="steps of the search for the phase pattern")
    seed: int = Field(0, ge=0, description="of everything random in the training")

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Self:
        if self.model is not None and self.method is not None:
            raise ValueError("method: nothing is trained where a model is named; leave one of them out")
        return self


def run(lab: Lab, parameters: Parameters) -> Result:
    """Design -> teacher -> student -> phase pattern, or the optic that was made for the student -> bench."""
    trained = found(lab, parameters)
    design = load_design(parameters.design) if trained is None else trained.design
    data = load(design.task)
    lab.bench.settings()  # opened first: whoever trains for an hour wants to know before that the bench is there
    if not lab.bench.has_slm:
        require_made_for(lab, {} if trained is None else trained.origin)
    model = trained_before(lab, design, None if trained is None else trained.origin)
    if model is None:
        trained = trained or train(lab, parameters, design, data)
        model = realise(lab, trained, steps=parameters.pattern_steps, seed=parameters.seed)
    lab.note("model", model)
    network, known = load_deployment(lab.folder, model), describe(lab, model)
    measure, test = design.measure, data.test.spread(parameters.evaluation_images)
    with lab.step("preparing the teacher's answers") as step:  # for the recalibrations to come, which find them kept
        network.lecture(cache_of(lab), step.say).teaching.kernel()

    calibration = network.calibrate(lab)
    examples = network.capture(lab, "examples", test.images[:EXAMPLES], calibration)
    tiles = network.capture(lab, "test", test.images, calibration, keep_frames=False)
    backend = network.student.backend
    reached = known[measure] | {"deployed": score_percent(backend, network.maps_of(tiles), test.labels)}
    maps = {
        "simulated": network.maps_of(network.ideal_tiles(torch.from_numpy(test.images[:1])))[0].numpy(),
        "captured": network.maps_of(examples)[0].numpy(),
    }
    network.draw(lab, calibration, "examples")
    lab.figure("feature maps", figures.feature_maps(maps), "The first test image, as simulated and as captured.")
    release = network.release(lab, backend, calibration, {measure: reached})
    return Result(model=model, release=release, **{measure: reached}, **known["pattern"], test_images=len(test))


def found(lab: Lab, parameters: Parameters) -> Trained | None:
    """The model that is named, if one is; built as the design says, if that is named, too."""
    if parameters.model is None:
        return None
    wanted = load_design(parameters.design) if "design" in parameters.model_fields_set else None
    return trained_already(lab.folder, parameters.model, wanted)


def train(lab: Lab, parameters: Parameters, design: Design, data: DataSet) -> Trained:
    """Train teacher and student in simulation."""
    images, labels = torch.from_numpy(data.train.images), torch.from_numpy(data.train.labels)
    classes = len(data.classes)
    with lab.step("training the teacher", total=teacher_steps(design, len(data.train))) as step:
        teacher = train_teacher(design, data.train, classes, seed=parameters.seed, on_step=step.advance)
    with lab.step("training the student", total=student_steps(design, len(data.train))) as step:
        batch, cache, outputs = design.training.batch, cache_of(lab), kernel_outputs_of(design)
        teaching = Teaching(teacher, images, labels, batch=batch, cache=cache, say=step.say, outputs=outputs)
        trained = train_student(
            design, data.train, classes, teaching, seed=parameters.seed, method=parameters.method, on_step=step.advance
        )
    lab.figure("training", figures.training_curves({"student": trained.losses}), "The student's loss in simulation.")
    test = torch.from_numpy(data.test.images)
    networks = {"teacher": teacher, "simulated": trained.student}
    reached = {name: score_percent(network, test, data.test.labels) for name, network in networks.items()}
    return Trained(design, teacher, trained.student, reached)
