"""Where each pixel has a class: losses against closed forms, and every method on squares that are brighter."""

from typing import get_args

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score
from torch import nn

from labonn.data import Split
from labonn.design import Backend, Design, Optic, Sensor, Teacher, Training
from labonn.design.design import Method
from labonn.networks import make_teacher
from labonn.training import Lesson, LossWeights, Teaching, distillation_loss, train_student, train_teacher
from labonn.training.accuracy import miou_percent, score_percent
from labonn.training.labels import UNLABELLED, some_labels
from labonn.training.lessons import READOUTS, kernel_outputs
from labonn.training.methods import Distillation, Hints
from labonn.training.overlap import intersection_over_union, overlap_loss


def squares(count, seed):
    """Images of 16x16 with a bright square, and where it is."""
    rng = np.random.default_rng(seed)
    images = rng.uniform(0.2, 0.4, (count, 3, 16, 16)).astype(np.float32)
    masks = np.zeros((count, 16, 16), np.int64)
    for image, mask in zip(images, masks, strict=True):
        row, column = rng.integers(0, 8, 2)
        image[:, row : row + 8, column : column + 8] += 0.5
        mask[row : row + 8, column : column + 8] = 1
    return Split(images, masks)


DESIGN = Design(
    schema=1,
    name="tiny",
    task="carvana",
    optic=Optic(aperture_mm=(8, 8), kernel_mm=1, taps=3, kernels=6, wavelengths_nm=(620, 532, 460), pairs="free"),
    sensor=Sensor(full_well_e=2000, pixels_per_tap=20),
    backend=Backend(kind="upconv", pool=1, hidden=(6, 8), scales=(2, 4)),
    teacher=Teacher(kind="unet", width=4, epochs=10, batch=8, learning_rate=1e-2, flips=True),
    training=Training(epochs=12, batch=8, learning_rate=5e-3, overlap_weight=1.0, flips=True, teacher_sees="images"),
)


def with_training(**changed):
    return DESIGN.model_copy(update={"training": DESIGN.training.model_copy(update=changed)})


@pytest.fixture(scope="module")
def teacher():
    return train_teacher(DESIGN, squares(64, seed=5), 2, seed=0)


def train(method, teacher, design=DESIGN, labels=None):
    split = squares(48, seed=0)
    known = torch.from_numpy(split.labels) if labels is None else labels
    teaching = Teaching(
        None if method == "none" else teacher,
        torch.from_numpy(split.images), known, batch=8, cache=None,
        outputs=kernel_outputs(design.training, (2, 16, 16)), live=design.training.live,
    )  # fmt: skip
    return train_student(design, split, 2, teaching, seed=0, method=method)


def test_the_unet_finds_squares(teacher):
    unseen = squares(32, seed=1)
    assert score_percent(teacher, torch.from_numpy(unseen.images), unseen.labels) > 90


@pytest.mark.parametrize("method", get_args(Method))
def test_every_method_finds_most_of_a_square(method, teacher):
    unseen = squares(32, seed=1)
    student = train(method, teacher).student
    assert score_percent(student, torch.from_numpy(unseen.images), unseen.labels) > 60


@pytest.mark.parametrize("method", ["none", "kd"])
def test_a_few_masks_are_enough_to_begin_with(method, teacher):
    some = some_labels(torch.from_numpy(squares(48, seed=0).labels), 12, seed=0)
    losses = train(method, teacher, labels=some).losses
    assert len(losses) == 12 * 6
    assert np.mean(losses[-6:]) < 0.8 * np.mean(losses[:6])


def test_views_may_be_shifted_where_the_teacher_is_asked_about_them(teacher):
    design = with_training(shift_px=2, teacher_sees="views", epochs=1)
    losses = train("kd", teacher, design).losses
    assert np.isfinite(losses).all()
    with pytest.raises(ValueError, match='teacher_sees = "views"'):
        Design.model_validate(with_training(shift_px=2).model_dump(by_alias=True))


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


MASKS = (draw(3, 4, 5, seed=2) > 0.3).long()


def test_overlap_is_scikit_learn_s_jaccard_score_of_each_image():
    answers = (draw(3, 4, 5, seed=3) > 0).long().numpy()
    found = intersection_over_union(answers, MASKS.numpy(), 2)
    expected = [
        [jaccard_score(mask.ravel() == number, answer.ravel() == number) for number in range(2)]
        for answer, mask in zip(answers, MASKS.numpy(), strict=True)
    ]
    np.testing.assert_allclose(found, expected)
    nothing = np.zeros((1, 4, 5), int)
    assert intersection_over_union(nothing, nothing, 2).tolist() == [[1.0, 1.0]]
    logits = nn.functional.one_hot(torch.from_numpy(answers), 2).movedim(-1, 1).double()
    assert miou_percent(nn.Identity(), logits, MASKS.numpy(), chunk=2) == pytest.approx(
        (100 * np.mean(expected, axis=0)[1], 100 * np.mean(expected))
    )


def test_the_loss_of_certain_answers_is_what_their_overlap_lacks():
    answers = (draw(3, 4, 5, seed=3) > 0).long()
    logits = (200 * nn.functional.one_hot(answers, 2).movedim(-1, 1) - 100).double()
    expected = 1 - intersection_over_union(answers.numpy(), MASKS.numpy(), 2)[:, 1].mean()
    assert overlap_loss(logits, MASKS).item() == pytest.approx(expected, abs=1e-6)
    hidden = MASKS.clone()
    hidden[1] = UNLABELLED
    hidden[2, :2] = UNLABELLED
    cut = [
        intersection_over_union(answers[[n], at:].numpy(), MASKS[[n], at:].numpy(), 2)[0, 1]
        for n, at in ((0, 0), (2, 2))
    ]
    assert overlap_loss(logits, hidden).item() == pytest.approx(1 - np.mean(cut), abs=1e-6)
    assert torch.autograd.gradcheck(lambda z: overlap_loss(z, hidden), draw(3, 2, 4, 5, seed=8).requires_grad_())


def test_of_pixels_each_part_is_what_it_is_of_as_many_images():
    """Task and distillation of (n, C, H, W) are those of (n H W, C)."""
    logits, told = draw(3, 2, 4, 5), 3 * draw(3, 2, 4, 5, seed=1)

    def apart(maps):
        return maps.movedim(1, -1).flatten(0, 2)

    for weights in (LossWeights(), LossWeights(task=0.0, kd=0.7)):
        found = distillation_loss(nn.Identity(), logits, Lesson(MASKS, told), weights)
        expected = distillation_loss(nn.Identity(), apart(logits), Lesson(MASKS.flatten(), apart(told)), weights)
        assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    overlapping = distillation_loss(nn.Identity(), logits, Lesson(MASKS, None), LossWeights(overlap=0.5))
    alone = distillation_loss(nn.Identity(), logits, Lesson(MASKS, None), LossWeights())
    assert (overlapping - alone).item() == pytest.approx(0.5 * overlap_loss(logits, MASKS).item(), rel=1e-12)


def test_a_hint_is_given_for_each_pixel():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        hints = Hints(LossWeights(hint=1.0), Training(), 3, 5).double()
    network = nn.Sequential(nn.Identity(), nn.Conv2d(3, 2, 1)).double()
    features, teacher = draw(2, 3, 4, 4), draw(2, 5, 4, 4, seed=1)
    weight, bias = (parameter.detach() for parameter in hints.regressor.parameters())
    apart = torch.einsum("nfhw,gf->nghw", features, weight) + bias[:, None, None] - teacher
    found = hints.loss(network, features, Lesson(MASKS, None, None, teacher), hints.weights, progress=0.0)
    assert found.item() == pytest.approx(apart.square().sum(dim=1).mean().item() / 2, rel=1e-12)


def test_one_set_of_readouts_is_used_by_teacher_and_student():
    method = Distillation(LossWeights(ntkd=1.0), Training(), (2, 16, 16))
    assert method.outputs is kernel_outputs(Training(), (2, 16, 16))
    teacher = make_teacher(DESIGN.teacher, (3, 16, 16), 2).eval()
    images = torch.from_numpy(squares(4, seed=0).images)
    with torch.no_grad():
        assert method.outputs(teacher(images)).shape == (4, READOUTS)
