"""Captures of an earlier run, replayed without its bench; and captures that say nothing about a backend."""

import io

import numpy as np
import pytest
import torch
from rich.console import Console

from labonn.cli.compensating import compensate_command
from labonn.cli.releasing import list_command, show_command
from labonn.data import load
from labonn.design import load_design
from labonn.errors import ConfigError, RecordError
from labonn.networks import Student, make_teacher
from labonn.optics import PhaseSolution
from labonn.protocol import replaying
from labonn.protocol.deployment import load_deployment, store
from labonn.protocol.progress import Screen
from labonn.protocol.replaying import replay
from labonn.records import FrameFile, Run, make_release
from labonn.records.runs import CapturedWith

FIT, VALIDATION = 12, 40


class Lab:
    """What a deployment asks of a laboratory when nothing is shown or captured."""

    def __init__(self, folder):
        self.folder = folder
        self.bench_config = type("Bench", (), {"name": "mono"})
        self.run_record = type("Record", (), {"id": "20261123T100000Z-train-abcd"})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A laboratory with an untrained network, its release, and a run with captures of twice the light."""
    folder = tmp_path_factory.mktemp("lab")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        design = load_design("digits-mono")
        teacher, student = make_teacher(design.teacher, (1, 28, 28), 10), Student(design, (1, 28, 28), 10)
    psf, one = torch.full((16, 7, 7), 1 / 49), torch.ones(16)
    solution = PhaseSolution(torch.rand(20, 30), psf, psf, correlation=one, relative_error=0 * one, efficiency=one)
    model = store(Lab(folder), design, teacher, student, solution, {"seed": 0})
    release = make_release(
        folder, bench="mono", run="r", optic={"serial_number": "A-1"}, model=model, figures={},
        backend=student.backend.state_dict(),
    )  # fmt: skip
    network, data = load_deployment(folder, model), load("digits")
    images = {"fit": data.train.images[50 : 50 + FIT], "validation": data.validation.images[20 : 20 + VALIDATION]}
    tiles = {group: 2 * network.ideal_tiles(torch.from_numpy(shown)) for group, shown in images.items()}
    return folder, release, network, images, tiles


def recorded(made, *, bench="mono", serial="A-1", optics=None, images=None, tiles=None):
    """A run with these captures."""
    folder, release, network, shown, captured = made
    run = Run.start(folder, "recalibrate", bench=bench, optic={"serial_number": serial})
    run.note("in use", {"release": release.id, "model": release.model})
    told = CapturedWith(optics=optics or network.optics, calibration="c.h5", calibration_sha256="", groups=["fit"])
    run.change(captured_with=told)
    generator = np.random.default_rng(0)
    with FrameFile(run.folder / "frames.h5") as file:
        for group in shown:
            rows = (tiles or captured)[group].numpy()
            noisy = rows + 0.01 * generator.normal(size=rows.shape).astype(np.float32)
            file.extend(group, shown=(images or shown)[group][:, 0], tiles=noisy)
    run.finish("done", exit_code=0)
    return run.folder


def steps(name, total):
    return Screen(quiet=True).step(name, total, lambda: None)


@pytest.fixture(scope="module")
def done(made):
    """The one replay of this module that is good."""
    return replay(recorded(made), made[0], ("map",), steps)


def test_a_replay_finds_images_labels_and_backend_again(made, done):
    """The ridge map undoes twice the light: the backend answers as it does on simulated maps."""
    _, _, network, images, _ = made
    assert list(done.answers) == ["none", "map"]
    assert (done.captures, done.validation_captures) == (FIT, VALIDATION)
    assert done.fitted.captured.indices.tolist() == list(range(50, 50 + FIT))
    assert done.fitted.twin.gain.median() == pytest.approx(2, rel=0.02)
    labels = network.data.validation.labels[20 : 20 + VALIDATION]
    with torch.no_grad():
        said = network.student(torch.from_numpy(images["validation"])).argmax(dim=1).numpy()
    assert done.answers["map"].percent == pytest.approx(100 * (said == labels).mean(), abs=15)


def test_the_command_answers_with_the_methods(made, done, monkeypatch):
    asked = []
    monkeypatch.setattr(replaying, "replay", lambda *given, seed: asked.append((*given[:3], seed)) or done)
    folder = recorded(made)
    answer = compensate_command(folder.name, made[0], "none, map", seed=3)
    assert asked == [(folder, made[0], ("none", "map"), 3)]
    assert answer.exit_code == 0
    assert answer.content["methods"].keys() == {"none", "map"}
    assert (answer.content["captures"], answer.content["validation_captures"]) == (FIT, VALIDATION)
    assert "points gained" in said_by(answer)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bench": "hostile"}, "bench 'hostile'; the release was made for 'mono'"),
        ({"serial": "B-2"}, "the optic 'B-2'; the release was made for 'A-1'"),
        ({"optics": "0" * 64}, "another phase pattern or kernels"),
    ],
)
def test_captures_of_another_bench_optic_or_network_are_refused(made, changes, message):
    with pytest.raises(RecordError, match=message):
        replay(recorded(made, **changes), made[0], ("map",), steps)


def test_captures_of_another_design_are_refused(made):
    fewer = {group: tiles[:, :8] for group, tiles in made[4].items()}
    with pytest.raises(RecordError, match=r"12 captures of \(8, 28, 28\).*has \(16, 28, 28\)"):
        replay(recorded(made, tiles=fewer), made[0], ("map",), steps)


def test_captures_of_images_that_are_not_in_the_data_set_are_refused(made):
    strange = {group: images * np.float32(0.5) for group, images in made[3].items()}
    with pytest.raises(RecordError, match="images that its data set does not have"):
        replay(recorded(made, images=strange), made[0], ("map",), steps)


def test_a_run_without_captures_is_refused(made):
    run = Run.start(made[0], "check_bench")
    with pytest.raises(RecordError, match="no captures to compensate from"):
        replay(run.folder, made[0], ("map",), steps)


def test_an_unknown_method_is_a_wrong_argument(made):
    with pytest.raises(ConfigError, match="no compensation method 'magic'"):
        compensate_command("any", made[0], "magic", seed=0)


def test_releases_are_listed_and_shown_with_their_state(made):
    folder, release = made[0], made[1]
    listed = list_command(folder, None)
    (row,) = listed.content["releases"]
    assert (row["release"], row["bench"], row["current"], row["damage"]) == (release.id, "mono", False, None)
    assert release.id in said_by(listed)
    assert list_command(folder, "hostile").content["releases"] == []
    shown = show_command(folder, release.id)
    assert [shown.content[key] for key in ("id", "model", "intact")] == [release.id, release.model, True]
    assert release.id in said_by(shown)


def said_by(answer):
    if isinstance(answer.show, str):
        return answer.show
    text = io.StringIO()
    answer.show(Console(file=text, width=200))
    return text.getvalue()
