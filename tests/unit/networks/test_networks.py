"""What the networks compute, and the shapes that they refuse."""

from importlib import resources

import numpy as np
import pytest
import torch

from labonn.design import Backend, Teacher, load_design, operations, parameters
from labonn.errors import ConfigError
from labonn.networks import Student, hidden_and_logits, make_backend, make_teacher
from labonn.ntk import Readouts, empirical_ntk
from labonn.training.lessons import probabilities

SHIPPED = [
    path.name.removesuffix(".design.toml") for path in (resources.files("labonn.design") / "catalogue").iterdir()
]


def test_the_backend_rectifies_pools_and_has_two_layers():
    backend = make_backend(Backend(pool=2, hidden=5), (3, 4, 6), 7)
    maps = torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    pooled = np.maximum(maps.numpy(), 0).reshape(2, 3, 2, 2, 3, 2).mean(axis=(3, 5)).reshape(2, -1)
    first, second = (layer for layer in backend if isinstance(layer, torch.nn.Linear))
    hidden = np.maximum(pooled @ first.weight.detach().numpy().T + first.bias.detach().numpy(), 0)
    expected = hidden @ second.weight.detach().numpy().T + second.bias.detach().numpy()
    assert hidden.shape == (2, 5)
    np.testing.assert_allclose(backend(maps).detach(), expected, rtol=1e-4, atol=1e-5)


def test_a_backend_has_as_many_layers_as_the_design_names():
    for hidden, shapes in (((5, 3), [(5, 6), (3, 5), (7, 3)]), ((), [(7, 6)])):
        backend = make_backend(Backend(pool=2, hidden=hidden), (1, 4, 6), 7)
        assert [tuple(layer.weight.shape) for layer in backend if isinstance(layer, torch.nn.Linear)] == shapes


def test_the_hidden_features_are_what_the_last_layer_reads():
    network = make_teacher(Teacher(), (1, 28, 28), 10)
    images = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    hidden, logits = hidden_and_logits(network, images)
    assert hidden.shape == (3, 120)
    torch.testing.assert_close(logits, network(images))
    torch.testing.assert_close(network[-1](hidden), logits)
    with pytest.raises(TypeError, match="Linear is not a row of layers"):
        hidden_and_logits(torch.nn.Linear(2, 2), torch.zeros(1, 2))


def test_the_residual_teacher_s_kernel_is_that_of_its_jacobian():
    """Normalised, with an addition: what the engine has to know of a teacher, in evaluation mode."""
    torch.manual_seed(0)
    network = make_teacher(Teacher(kind="resnet", width=2), (3, 8, 8), 3).double()
    images = torch.rand(3, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    network.train()
    network(images)  # running means that are not those of the beginning
    network.eval()
    values = dict(network.named_parameters())
    jacobians = torch.func.jacrev(lambda named: torch.func.functional_call(network, named, (images,)))(values)
    flat = torch.cat([jacobian.flatten(2) for jacobian in jacobians.values()], dim=2).flatten(1)
    torch.testing.assert_close(empirical_ntk(network, images, method="exact"), flat @ flat.T, rtol=1e-8, atol=1e-8)
    with pytest.raises(ConfigError, match="multiples of 8"):
        make_teacher(Teacher(kind="resnet"), (3, 30, 32), 10)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_parameters_of_a_shipped_design_are_those_of_its_student(name):
    design = load_design(name)
    student = Student(design, (len(design.optic.wavelengths_nm), *design.image_shape), design.classes)
    assert sum(p.numel() for p in student.parameters() if p.requires_grad) == parameters(design)
    counted = []

    def count(layer, inputs, outputs):
        """Each weight is multiplied once a position: of the outputs, but of an up-convolution of the inputs."""
        places = (inputs[0] if isinstance(layer, torch.nn.ConvTranspose2d) else outputs).shape[2:]
        counted.append(layer.weight.numel() * places.numel())

    for layer in student.backend.modules():
        if isinstance(layer, (torch.nn.Linear, torch.nn.Conv2d, torch.nn.ConvTranspose2d)):
            layer.register_forward_hook(count)
    with torch.no_grad():
        logits = student.backend(torch.zeros(1, design.optic.maps, *design.image_shape))
    assert operations(design).digital == sum(counted)
    each_pixel = design.image_shape if design.measure == "miou" else ()
    assert logits.shape == (1, design.classes, *each_pixel)


def small_upconv():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make_backend(Backend(kind="upconv", pool=1, hidden=(3, 4, 5), scales=(1, 2)), (3, 8, 12), 2).double()


def test_up_convolutions_read_each_kernel_at_its_scale_and_at_coarser_ones():
    """The fine map's pixels can be told apart, the second scale's only as sums over squares of four."""
    backend = small_upconv()
    maps = torch.rand(2, 3, 8, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    swapped = maps.clone()
    swapped[:, 1:, 0, 0], swapped[:, 1:, 1, 1] = maps[:, 1:, 1, 1], maps[:, 1:, 0, 0]
    assert backend(maps).shape == (2, 2, 8, 12)
    torch.testing.assert_close(backend(swapped), backend(maps))
    swapped[:, 0, 0, 0] = maps[:, 0, 1, 1]
    assert (backend(swapped) - backend(maps)).abs().max() > 1e-4
    with pytest.raises(ConfigError, match=r"3 widths, one a scale, but maps of 6 x 12 cannot be halved 2 times"):
        make_backend(Backend(kind="upconv", pool=1, hidden=(3, 4, 5)), (3, 6, 12), 2)


@pytest.mark.parametrize(
    ("make", "channels"),
    [(small_upconv, 3), (lambda: make_teacher(Teacher(kind="unet", width=2), (3, 8, 8), 2).double(), 3)],
)
def test_the_kernel_of_a_network_of_pixels_is_that_of_its_readouts(make, channels):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = make().eval()
    images = torch.rand(3, channels, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    readouts = Readouts(2 * 8 * 8, 3, of=probabilities)
    values = dict(network.named_parameters())
    jacobians = torch.func.jacrev(
        lambda named: readouts(torch.func.functional_call(network, named, (images,)))
    )(values)  # fmt: skip
    flat = torch.cat([jacobian.flatten(2) for jacobian in jacobians.values()], dim=2).flatten(1)
    torch.testing.assert_close(empirical_ntk(network, images, outputs=readouts), flat @ flat.T, rtol=1e-8, atol=1e-10)
    drawn = Readouts(2 * 8 * 8, 3)  # the same combinations of the logits
    torch.testing.assert_close(readouts(network(images)), drawn(network(images).softmax(1)))
    assert readouts.key != drawn.key


def test_a_student_of_another_number_of_colours_is_refused():
    with pytest.raises(ConfigError, match=r"images of 3 colours.*wavelengths_nm has 1"):
        Student(load_design("mnist-mono"), (3, 28, 28), 10)


@pytest.mark.parametrize("shape", [(8, 28, 27), (8, 27, 28)])
def test_maps_that_pooling_would_cut_are_refused(shape):
    with pytest.raises(ConfigError, match=rf"pool = 4 .* {shape[1]} x {shape[2]}"):
        make_backend(Backend(pool=4), shape, 10)


@pytest.mark.parametrize("shape", [(3, 28, 28), (1, 32, 32)])
def test_the_teacher_refuses_other_images_than_its_own(shape):
    with pytest.raises(ConfigError) as caught:
        make_teacher(Teacher(), shape, 10)
    assert str(shape) in str(caught.value)


def test_the_teacher_answers_one_logit_for_each_class():
    assert make_teacher(Teacher(), (1, 28, 28), 7)(torch.zeros(3, 1, 28, 28)).shape == (3, 7)


def test_the_student_of_mnist_has_the_size_of_the_paper_s():
    """0.05 M parameters: 16 kernels of 7x7, then 8 * 7 * 7 -> 120 -> 10."""
    student = Student(load_design("mnist-mono"), (1, 28, 28), 10)
    assert sum(p.numel() for p in student.parameters()) == 16 * 49 + (392 + 1) * 120 + (120 + 1) * 10


def test_the_student_s_optics_feel_its_answers_and_only_they_are_noisy():
    student = Student(load_design("digits-mono"), (1, 28, 28), 10, generator=torch.Generator().manual_seed(0))
    images = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    assert not torch.equal(student(images), student(images))
    student.eval()
    logits = student(images)
    torch.testing.assert_close(logits, student.backend(student.frontend(images)))
    logits.square().sum().backward()
    assert student.frontend.free_taps.grad.abs().sum() > 0


@pytest.mark.parametrize("values", [1, 10**9])
def test_of_fixed_optics_the_layers_that_learn_read_what_the_others_made(values, monkeypatch):
    monkeypatch.setattr("labonn.networks.student.MOST_VALUES", values)  # one image at a time, all at once
    design, images = load_design("mnist-random"), torch.rand(3, 1, 28, 28)
    student = Student(design, (1, 28, 28), 10).eval()
    layers, read = student.taught(images)
    assert read.shape == (3, design.optic.maps * (28 // design.backend.pool) ** 2)
    torch.testing.assert_close(layers(read), student(images), rtol=1e-4, atol=1e-5)
    layers(read).sum().backward()
    assert not read.requires_grad
    assert all(parameter.grad is not None for parameter in student.backend.parameters())


def test_of_optics_that_learn_everything_does():
    student = Student(load_design("mnist-mono"), (1, 28, 28), 10)
    layers, read = student.taught(torch.rand(2, 1, 28, 28))
    assert layers is student.backend
    read.sum().backward()
    assert student.frontend.free_taps.grad is not None
