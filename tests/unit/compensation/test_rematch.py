"""Re-matching in a world that needs no bench: maps with a gain and an offset that the backend was not trained for."""

import sys
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from labonn.compensation import Captured, Lecture, Material, answers_of, check_methods, fit_twin, match_kernels, rematch
from labonn.compensation.methods import RECIPES, recipe_of
from labonn.compensation.ridge_map import MOST_FEATURES, can_solve, fit_ridge_map, fold_in, solve_first_layer
from labonn.errors import ConfigError, TrainingError
from labonn.networks import split_backend
from labonn.ntk import Readouts
from labonn.optics import signed_maps
from labonn.training import Teaching, accuracy_percent

METHODS = ("none", "e2e", "kd", "ntkd", "map", "twin+ce", "twin+kd", "twin+ntkd")
CLASSES, SIDE = 3, 6
KERNELS = torch.rand(4, 3, 3, generator=torch.Generator().manual_seed(0))
GAIN = torch.tensor([1.0, 0.3, 0.4, 1.2])[:, None, None]
OFFSET = torch.tensor([0.0, 0.8, 0.5, 0.0])


def pictures(count, seed):
    """A bright row: its height says which class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    images = rng.uniform(0, 0.4, (count, 1, SIDE, SIDE)).astype(np.float32)
    images[np.arange(count), 0, 2 * labels + rng.integers(0, 2, count)] += 0.5
    return torch.from_numpy(images), torch.from_numpy(labels)


def simulated(images):
    return nn.functional.conv2d(images, KERNELS[:, None], padding=1)


class Simulated(nn.Module):
    """The student's frontend: maps without gain and offset."""

    def forward(self, images):
        return signed_maps(simulated(images))


def captured_tiles(images):
    noise = 0.02 * torch.randn(len(images), 4, SIDE, SIDE, generator=torch.Generator().manual_seed(len(images)))
    return nn.functional.conv2d(images, (KERNELS * GAIN)[:, None], OFFSET, padding=1) + noise


def trained(model, inputs, labels, steps=150):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
    return model


@cache
def scene():
    """Backend and teacher are trained without labonn; 24 of 120 training images are captured."""
    images, labels = pictures(120, seed=1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        width = 2 * SIDE * SIDE
        backend = nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(width, 8), nn.ReLU(), nn.Linear(8, CLASSES))
        trained(backend, signed_maps(simulated(images)), labels)
        teacher = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 8), nn.ReLU(), nn.Linear(8, CLASSES))
        trained(teacher, images, labels)
    chosen = torch.arange(0, 120, 5)
    tiles = captured_tiles(images[chosen])
    teaching = Teaching(teacher.eval(), images, labels, batch=16, cache=None)
    lecture = Lecture(images, teaching, SimpleNamespace(frontend=Simulated(), backend=backend))
    return backend, Captured(chosen, signed_maps(tiles)), fit_twin(images[chosen], tiles, KERNELS), lecture, teacher


@pytest.fixture
def brief(monkeypatch):
    """Give methods the steps and rates that this small world needs, or fewer, where the outcome does not matter."""
    methods = sys.modules["labonn.compensation.methods"]

    def rate(recipe):
        return 2e-3 if recipe.twin else 1e-3

    def cut(steps):
        recipes = {
            name: replace(recipe, steps=steps, learning_rate=rate(recipe)) for name, recipe in methods.RECIPES.items()
        }
        monkeypatch.setattr(methods, "RECIPES", recipes)

    return cut


def matched(method, captured, twin, lecture, seed=0, backend=None, **more):
    backend = backend or scene()[0]
    return rematch(backend, method, Material(backend, captured, twin, lecture, seed=seed), seed=seed, **more)


def weights_of(module):
    return b"".join(value.numpy().tobytes() for value in module.state_dict().values())


def accuracy(backend, seed=2):
    images, labels = pictures(300, seed)
    return accuracy_percent(backend, signed_maps(captured_tiles(images)), labels.numpy())


def everything():
    """All that re-matching is given, as bytes."""
    backend, captured, twin, lecture, teacher = scene()
    tensors = [captured.indices, captured.maps, twin.kernels, twin.offset, twin.map_noise, lecture.images]
    return weights_of(backend), weights_of(teacher), *(tensor.numpy().tobytes() for tensor in tensors)


@pytest.mark.parametrize("method", METHODS)
def test_only_a_copy_of_the_backend_moves(method, brief):
    brief(steps=20)
    backend, captured, twin, lecture, _ = scene()
    before, told = everything(), []
    material = Material(backend, captured, twin, lecture, seed=0)
    new = rematch(backend, method, material, seed=0, on_step=lambda: told.append(1))
    assert everything() == before
    assert not {id(p) for p in new.parameters()} & {id(p) for p in backend.parameters()}
    assert (weights_of(new) == weights_of(backend)) is (method == "none")
    assert not new.training
    assert len(told) == material.steps_of(method) == (0 if method in ("none", "map") else 20)


def test_every_method_reads_the_real_maps_better_and_the_twin_s_best(brief):
    """On images that nothing was fitted to. In simulation the backend is always right here."""
    brief(steps=300)
    _, captured, twin, lecture, _ = scene()
    found = {method: accuracy(matched(method, captured, twin, lecture)) for method in METHODS}
    assert found["none"] < 60
    assert min(found["e2e"], found["kd"], found["ntkd"], found["map"]) > found["none"] + 15
    assert min(found["twin+ce"], found["twin+kd"], found["twin+ntkd"]) > 90


@pytest.mark.parametrize("method", ["ntkd", "twin+ntkd"])
def test_the_same_seed_gives_the_same_backend_whatever_happened_before(method, brief):
    brief(steps=20)
    _, captured, twin, lecture, _ = scene()
    first, same, other = (weights_of(matched(method, captured, twin, lecture, seed=s)) for s in (0, 0, 1))
    assert first == same
    assert first != other


def test_re_matching_leaves_the_world_s_randomness_alone(brief):
    brief(steps=3)
    _, captured, twin, lecture, _ = scene()
    before = torch.get_rng_state()
    matched("twin+kd", captured, twin, lecture)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("method", ["e2e", "kd", "ntkd", "map"])
def test_the_methods_on_captures_alone_look_at_nothing_else(method, brief):
    """No twin, and other images and labels where nothing was captured: the same backend."""
    brief(steps=20)
    _, captured, twin, lecture, teacher = scene()
    images, labels = pictures(120, seed=1)
    strange, strange_labels = pictures(120, seed=8)
    strange[captured.indices], strange_labels[captured.indices] = images[captured.indices], labels[captured.indices]
    teaching = Teaching(teacher, strange, strange_labels, batch=16, cache=None)
    first = matched(method, captured, twin, lecture)
    second = matched(method, captured, None, Lecture(strange, teaching, lecture.student))
    assert weights_of(first) == weights_of(second)


def test_what_was_captured_stands_for_itself(brief):
    """With every image captured, the twin has nothing to say: not even a wrong one changes the backend."""
    brief(steps=20)
    _, _, twin, lecture, _ = scene()
    maps = signed_maps(captured_tiles(lecture.images))
    captured = Captured(torch.arange(len(maps)), maps)
    wrong = replace(twin, weights=-5 * twin.weights, map_noise=twin.map_noise + 3)
    first, second = (matched("twin+kd", captured, t, lecture) for t in (twin, wrong))
    assert weights_of(first) == weights_of(second)


def test_a_method_on_the_twin_needs_one():
    _, captured, _, lecture, _ = scene()
    with pytest.raises(ValueError, match="needs a twin"):
        matched("twin+kd", captured, None, lecture)


def test_a_backend_whose_kernel_cannot_be_trained_is_refused():
    """One linear layer: its kernel does not contain its weights."""
    _, captured, twin, lecture, _ = scene()
    single = nn.Sequential(nn.Flatten(), nn.Linear(2 * SIDE * SIDE, CLASSES))
    with pytest.raises(TrainingError, match="does not depend on the parameters"):
        matched("ntkd", captured, twin, lecture, backend=single)


def test_what_precedes_the_first_layer_is_done_once_and_changes_nothing():
    backend, captured, twin, lecture, _ = scene()
    fixed, trained = split_backend(backend)
    material = Material(backend, captured, twin, lecture, seed=0)
    assert not list(fixed.parameters())
    torch.testing.assert_close(trained(material.features), backend(captured.maps))
    assert material.predicted.shape == (len(lecture.images), material.features.shape[1])


def test_without_noise_the_material_is_what_the_twin_predicts():
    backend, captured, twin, lecture, _ = scene()
    noise = replace(twin.noise, dark=torch.zeros_like(twin.noise.dark), slope=torch.zeros_like(twin.noise.slope))
    clean = replace(twin, noise=noise, level_rms=0.0, spread_scale=torch.zeros_like(twin.spread_scale))
    material = Material(backend, captured, clean, lecture, seed=0)
    expected = torch.relu(clean.maps(lecture.images)).flatten(1)
    others = torch.ones(len(expected), dtype=torch.bool)
    others[captured.indices] = False
    torch.testing.assert_close(material.predicted[others], expected[others])
    torch.testing.assert_close(material.predicted[captured.indices], material.features)


def test_a_ridge_map_finds_a_linear_change_of_the_features():
    generator = torch.Generator().manual_seed(3)
    simulated_features = torch.randn(400, 6, generator=generator)
    mixing, shift = torch.eye(6) + 0.3 * torch.randn(6, 6, generator=generator), torch.randn(6, generator=generator)
    found = fit_ridge_map(simulated_features @ mixing + shift, simulated_features)
    np.testing.assert_allclose(found.matrix, torch.linalg.inv(mixing), atol=0.02)
    layers = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    before = layers(simulated_features).detach()
    fold_in(found, layers)
    np.testing.assert_allclose(layers(simulated_features @ mixing + shift).detach(), before, atol=0.05)


def test_a_ridge_map_of_few_captures_leaves_alone_what_they_say_nothing_of():
    """Directions in which no capture differs from the others stay as they are."""
    captured_features = torch.zeros(5, 4)
    captured_features[:, 0] = torch.arange(5.0)
    found = fit_ridge_map(captured_features, captured_features * torch.tensor([2.0, 1, 1, 1]))
    np.testing.assert_allclose(found.matrix[1:], torch.eye(4)[1:], atol=1e-6)
    assert 1.5 < found.matrix[0, 0] < 2.05


def test_a_layer_that_is_solved_for_makes_of_new_features_what_it_made_of_the_old():
    generator = torch.Generator().manual_seed(1)
    old, mixing = torch.randn(400, 6, generator=generator), torch.eye(6) + 0.3 * torch.rand(6, 6, generator=generator)
    new = old @ mixing + 3.0
    layers = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    before, last = layers(old).detach(), layers[2].weight.clone()
    solve_first_layer(layers, zip(torch.split(new, 150), torch.split(old, 150), strict=True))
    np.testing.assert_allclose(layers(new).detach(), before, atol=0.02)
    assert torch.equal(layers[2].weight, last)
    assert can_solve(layers)
    assert not can_solve(nn.Sequential(nn.Linear(MOST_FEATURES + 1, 1, device="meta")))
    assert not can_solve(nn.Sequential(nn.Conv2d(1, 1, 1)))


def test_students_of_flipped_or_moved_images_begin_as_trained_with_a_first_layer_that_is_solved_for():
    """Whatever backend is in use: one that was spoilt does not matter. On few captures nothing is solved for."""
    backend, captured, twin, lecture, _ = scene()
    taught = replace(lecture, augmented=True)
    spoilt = nn.Sequential(*backend[:2], nn.Linear(2 * SIDE * SIDE, 8), *backend[3:])
    told = []
    new = matched("twin+kd", captured, twin, taught, backend=spoilt, on_part=lambda: told.append(1))
    assert told  # long solving says that it goes on
    assert accuracy(new) > accuracy(backend) + 10
    assert (new[4].weight - backend[4].weight).abs().max() < 0.2
    on_captures, on_pixels = recipe_of("kd", solved=True), recipe_of("ceiling", of_pixels=True)
    assert not on_captures.solved
    assert not on_pixels.solved
    assert recipe_of("ceiling", solved=True).solved


def test_a_backend_that_does_not_begin_fully_connected_cannot_be_mapped():
    with pytest.raises(TrainingError, match="fully connected, and this one is Conv2d"):
        fold_in(fit_ridge_map(torch.rand(4, 2), torch.rand(4, 2)), nn.Sequential(nn.Conv2d(1, 1, 1)))


@pytest.mark.parametrize(
    ("text", "methods"),
    [("all", METHODS), ("kd", ("kd",)), ("e2e,twin+ntkd", ("e2e", "twin+ntkd")), (" kd , none ", ("kd", "none"))],
)
def test_methods_are_named_with_commas(text, methods):
    assert check_methods(text) == methods


@pytest.mark.parametrize("text", ["ntk", "kd,", "kd;e2e", "", "ALL"])
def test_an_unknown_method_is_answered_with_the_known_ones(text):
    with pytest.raises(ConfigError, match=r"none, e2e, kd, ntkd, map, twin\+ce, twin\+kd, twin\+ntkd, or all"):
        check_methods(text)


@pytest.mark.parametrize(
    ("methods", "wanted"),
    [(METHODS, True), (("kd", "ntkd"), True), (("twin+ntkd",), True), (("none", "map", "kd", "twin+kd"), False)],
)
def test_the_teacher_s_kernel_is_asked_for_by_what_matches_it_alone(methods, wanted):
    assert match_kernels(methods) == wanted


def test_images_with_masks_have_shorter_recipes_whose_kernels_are_matched_now_and_then():
    of_images, of_pixels = (recipe_of("twin+ntkd", of_pixels=masks) for masks in (False, True))
    assert of_images == RECIPES["twin+ntkd"]
    assert (of_pixels.steps, of_pixels.kernel_every) == (600, 4)
    assert of_pixels.learning_rate <= 1e-3
    assert recipe_of("e2e", of_pixels=True).steps < of_pixels.steps < recipe_of("ceiling", of_pixels=True).steps


def test_masks_are_relearnt_through_convolutions_and_many_features_are_kept_in_16_bits(monkeypatch):
    """A backend that finds bright pixels, behind optics that turned bright to dark; the teacher knows the truth."""
    images = torch.rand(24, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    masks = (images[:, 0] > 0.5).long()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        teacher = nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1))
        backend = nn.Sequential(nn.ReLU(), nn.Conv2d(1, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    trained(teacher, images, masks)
    outputs = Readouts(2 * SIDE * SIDE, 2)
    teaching = Teaching(teacher.eval(), images, masks, batch=8, cache=None, outputs=outputs)
    assert teaching.of(torch.arange(8)).outputs is outputs
    lecture = Lecture(images, teaching, SimpleNamespace(), overlap=1.0)
    captured = Captured(torch.arange(24), 1.2 - images)
    monkeypatch.setattr(sys.modules["labonn.compensation.material"], "LARGEST_BYTES", 4 * images.numel() - 1)
    turned = SimpleNamespace(
        mapping=lambda count: lambda shown: 1.2 - shown, noisy=lambda maps, images, generator, normals: maps
    )
    turned.sample = lambda generator: turned
    material = Material(backend, captured, turned, lecture, seed=0)
    assert material.predict().dtype == torch.float16
    before = answers_of(backend, captured.maps, masks.numpy())
    monkeypatch.setitem(sys.modules["labonn.compensation.methods"]._STEPS_OF_PIXELS, True, 200)
    after = answers_of(rematch(backend, "twin+ntkd", material, seed=0), captured.maps, masks.numpy())
    assert after.percent > before.percent + 15
    assert after.loss.shape == after.score.shape == (24,)
    assert after.loss.mean() < before.loss.mean()
