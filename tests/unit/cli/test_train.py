"""`labonn train` on a small part of the digits: what it writes, finds again, and refuses."""

import json
import re
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score

from labonn.cli.app import app
from labonn.data import DataSet, Split, digits
from labonn.data.catalogue import READERS
from labonn.design import load_design
from labonn.errors import ConfigError, DataError, TrainingError
from labonn.networks import Student
from labonn.records import load_model
from labonn.training import Teaching, train_student, train_teacher

DESIGN = """
schema = 1
name = "small"
task = "digits"

[optic]
aperture_mm = [8.64, 8.64]
kernel_mm = 2.048
spacing_mm = 0.064
kernels = 8

[backend]
hidden = 12

[teacher]
epochs = 1

[training]
method = "ntkd"
epochs = 2
batch = 32
"""


@pytest.fixture(scope="module")
def small():
    whole = digits.read()
    return DataSet("digits", whole.classes, whole.train.first(96), whole.validation.first(70), whole.test.first(50))


@pytest.fixture
def design(tmp_path, small, monkeypatch):
    monkeypatch.setitem(READERS, "digits", lambda: small)
    file = tmp_path / "small.design.toml"
    file.write_text(DESIGN, encoding="utf-8")
    return file


def train(capfd, *arguments):
    """What the command answers, and what it says meanwhile."""
    answer = app(args=["train", *map(str, arguments)], prog_name="labonn", standalone_mode=False)
    assert answer.exit_code == 0
    json.dumps(answer.content, allow_nan=False)
    return answer.content, capfd.readouterr().err


def test_a_model_is_what_the_protocol_would_train_and_says_how_it_was_made(design, small, tmp_path, capfd):
    lab = tmp_path / "lab"
    answer, said = train(capfd, design, "--lab", lab, "--device", "cpu", "--seed", 1)
    assert "epoch 2/2: loss " in said
    assert "images/s" in said
    model = load_model(lab, answer["model"])
    teacher = train_teacher(load_design(design), small.train, 10, seed=0)
    teaching = Teaching(
        teacher, torch.from_numpy(small.train.images), torch.from_numpy(small.train.labels), batch=32, cache=None
    )
    student = train_student(load_design(design), small.train, 10, teaching, seed=1).student
    for part, network in (("teacher", teacher), ("student", student)):
        assert set(model.weights[part]) == set(network.state_dict())
        for name, value in network.state_dict().items():
            np.testing.assert_array_equal(model.weights[part][name], value.numpy(), err_msg=f"{part} {name}")
    np.testing.assert_array_equal(model.arrays["kernels"], student.frontend.kernels().detach().numpy())
    np.testing.assert_allclose(model.arrays["psf_target"].sum(axis=(1, 2)), 1, rtol=1e-5)
    page = (model.folder / "report.html").read_text(encoding="utf-8")
    assert "small, trained by ntkd, seed 1" in page
    assert page.count("<img") == 7
    for picture in ("loss.png", "validation.png", "alignment.png", "confusions.png", "kernels.png", "embedding.png"):
        assert (model.folder / picture).read_bytes()[:4] == b"\x89PNG"
    described = model.description
    assert described["teacher"]["sha256"] == answer["teacher"]["sha256"]
    assert described["parameters"] == answer["parameters"] == 16 * 49 + (392 + 1) * 12 + 13 * 10
    assert len(described["epochs"]["alignment"]) == len(described["epochs"]["validation"]) == 2
    assert set(answer["accuracy"]) == {"teacher", "validation", "simulated"}
    assert answer["images_per_s"] > 0
    assert described["environment"]["device"] == "cpu"
    assert not list((lab / "trainings").glob("*"))  # what was needed to go on is needed no more


def test_a_teacher_is_trained_once_and_found_again_unless_it_would_be_another(design, tmp_path, capfd):
    lab = ("--lab", tmp_path / "lab", "--device", "cpu")
    first, _ = train(capfd, design, "--teacher", *lab)
    assert first["teacher"]["reused"] is False
    assert list(Path(first["folder"]).glob("*.safetensors"))
    again, _ = train(capfd, design, "--method", "kd", "--out", tmp_path / "model", *lab)
    assert again["teacher"] == first["teacher"] | {"reused": True}
    assert (tmp_path / "model" / "student.safetensors").is_file()
    other, _ = train(capfd, design, "--teacher", "--teacher-seed", 1, *lab)
    assert other["teacher"]["reused"] is False
    assert other["teacher"]["id"] != first["teacher"]["id"]
    alone, _ = train(capfd, design, "--method", "none", *lab)
    assert alone["teacher"] is None
    assert "teacher" not in alone["accuracy"]


def test_what_is_wrong_is_said_before_anything_is_trained(design, tmp_path, capfd, monkeypatch, small):
    lab = ("--lab", tmp_path / "lab", "--device", "cpu")
    (tmp_path / "taken").mkdir()
    wide = tmp_path / "wide.design.toml"
    wide.write_text(DESIGN.replace("schema = 1", "schema = 1\nmax_parameters = 5000"), encoding="utf-8")
    apart = tmp_path / "apart.design.toml"
    apart.write_text(DESIGN.replace("hidden = 12", 'kind = "upconv"\npool = 1'), encoding="utf-8")
    for arguments, said in [
        ((design, "--method", "kdd"), "no training method 'kdd'"),
        ((design, "--out", tmp_path / "taken"), "taken: exists already"),
        ((design, "--device", "tpu"), "device = 'tpu'"),
        ((design, "--precision", "8"), "precision = '8'"),
        ((apart,), 'task = "digits" needs [backend] kind = "mlp", not "upconv"'),
        ((wide,), "the student has 5,630 parameters, and max_parameters = 5,000"),
        ((tmp_path / "none.toml",), "cannot be read"),
    ]:
        with pytest.raises(ConfigError, match=re.escape(said)):
            train(capfd, *lab, *arguments)
    dark = small.train.images.copy()
    dark[3, 0, 4, 4] = np.nan
    damaged = DataSet("digits", small.classes, Split(dark, small.train.labels), small.validation, small.test)
    fewer = DataSet("digits", small.classes[:9], small.train, small.validation, small.test)
    masked = Split(small.train.images, np.zeros((len(small.train), 28, 28), np.int64))
    masks = DataSet("digits", small.classes, masked, small.validation, small.test)
    for data, said in (
        (damaged, "brightness from nan"), (fewer, "has 9 classes"), (masks, r"with labels of \(28, 28\), and")
    ):  # fmt: skip
        monkeypatch.setitem(READERS, "digits", lambda data=data: data)
        with pytest.raises(DataError, match=said):
            train(capfd, design, *lab)
    assert not (tmp_path / "lab").exists()


def test_a_loss_that_is_no_number_ends_with_a_reason(design, tmp_path, capfd):
    design.write_text(DESIGN.replace('method = "ntkd"', 'method = "none"\nlearning_rate = 1e30'), encoding="utf-8")
    with pytest.raises(TrainingError, match=r"the loss became .* lower the learning rate"):
        train(capfd, design, "--lab", tmp_path / "lab", "--device", "cpu")


def squares(count, seed):
    """Images of 64x96 with a bright rectangle, and its mask."""
    rng = np.random.default_rng(seed)
    images, masks = rng.uniform(0, 0.3, (count, 3, 64, 96)).astype(np.float32), np.zeros((count, 64, 96), np.int64)
    for image, mask, row, column in zip(images, masks, *rng.integers(0, 30, (2, count)), strict=True):
        image[:, row : row + 30, column : column + 50] += 0.6
        mask[row : row + 30, column : column + 50] = 1
    return Split(images, masks)


def test_masks_are_learnt_judged_by_their_overlap_and_drawn(tmp_path, capfd, monkeypatch):
    parts = (squares(count, seed) for seed, count in enumerate((24, 17, 6)))
    data = DataSet("carvana", ("background", "car"), *parts)
    monkeypatch.setitem(READERS, "carvana", lambda: data)
    shipped = resources.files("labonn.design") / "catalogue" / "carvana-poly.design.toml"
    content = shipped.read_text(encoding="utf-8")
    for old, new in (
        ("width = 16\nepochs = 12\nbatch = 16", "width = 2\nepochs = 1\nbatch = 8"),
        ("epochs = 12", "epochs = 2"),
        ("hidden = [24, 48, 96, 192]\nscales = [8, 16, 32]", "hidden = [4, 6, 8]\nscales = [1, 2, 3]"),
        ("kernels = 56", "kernels = 6"),
    ):
        assert content.count(old) == 1
        content = content.replace(old, new)
    file = tmp_path / "masks.design.toml"
    file.write_text(content, encoding="utf-8")
    train_it = (file, "--lab", tmp_path / "lab", "--device", "cpu", "--method", "ntkd+kd", "--labelled", 20)
    answer, said = train(capfd, *train_it)
    assert "kernels aligned" in said
    model = load_model(tmp_path / "lab", answer["model"])
    student = Student(load_design(file), (3, 64, 96), 2).eval()
    student.load_state_dict({name: torch.from_numpy(array) for name, array in model.weights["student"].items()})
    with torch.no_grad():
        answers = student(torch.from_numpy(data.test.images)).argmax(dim=1).numpy()
    each = [
        [jaccard_score(mask.ravel() == number, found.ravel() == number, zero_division=1) for number in (0, 1)]
        for found, mask in zip(answers, data.test.labels, strict=True)
    ]
    assert answer["miou"]["simulated"] == pytest.approx(100 * np.mean(each, axis=0)[1])
    assert answer["miou_of_all_classes"] == pytest.approx(100 * np.mean(each))
    assert set(answer["miou"]) == {"teacher", "validation", "simulated"}
    page = (model.folder / "report.html").read_text(encoding="utf-8")
    assert page.count("<img") == 8
    assert "mean overlap of the test images" in page
    for picture in ("best.png", "worst.png", "embedding.png", "confusions.png"):
        assert (model.folder / picture).read_bytes()[:4] == b"\x89PNG"
