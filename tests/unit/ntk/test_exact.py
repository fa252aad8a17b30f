"""The exact kernel against torch.func, layer by layer and composed, in float64 and float32."""

import logging

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from labonn.ntk import empirical_ntk, matching_loss
from tests.unit.ntk.models import (
    IMAGE,
    SEQUENCE,
    VECTOR,
    Apply,
    AroundMixing,
    Leak,
    OpticalFrontend,
    Tied,
    TinyUNet,
    after_convolution,
    backend,
    randomised,
    reference_kernel,
    relative_error,
)


def wide(layer):
    """Return a layer from 16 to 24 channels on 16 x 16 positions, between others."""
    before = nn.Conv2d(1, 16, 1), nn.ReLU(), nn.Upsample(scale_factor=2)
    return nn.Sequential(*before, layer, nn.GELU(), nn.Conv2d(24, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())


LAYERS = {
    "linear": (lambda: nn.Sequential(nn.Linear(6, 3)), VECTOR),
    "linear without bias": (lambda: nn.Sequential(nn.Linear(6, 4, bias=False), nn.Tanh(), nn.Linear(4, 2)), VECTOR),
    "linear on a sequence": (lambda: nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)), SEQUENCE),
    "convolution": (lambda: after_convolution(nn.ReLU()), IMAGE),
    "convolution, strided, dilated": (
        lambda: after_convolution(nn.ReLU(), nn.Conv2d(4, 4, 3, stride=2, padding=3, dilation=2), nn.SiLU()),
        IMAGE,
    ),
    "convolution in groups": (lambda: after_convolution(nn.Conv2d(4, 4, 3, groups=2, padding="same")), IMAGE),
    "convolution, many channels on few positions": (
        lambda: nn.Sequential(nn.Conv2d(1, 24, 4, stride=4), nn.ReLU(), nn.Conv2d(24, 20, 2), nn.Flatten()),
        IMAGE,
    ),
    "convolution of many multiply-adds": (
        lambda: nn.Sequential(nn.Conv2d(1, 20, 3), nn.ReLU(), nn.Conv2d(20, 40, 3), nn.GELU(), nn.Conv2d(40, 2, 4)),
        IMAGE,
    ),
    "convolution of many multiply-adds, of few channels": (
        lambda: wide(nn.Conv2d(16, 24, 3, padding=1)),
        IMAGE,
    ),
    "up-convolution of many multiply-adds": (
        lambda: wide(nn.ConvTranspose2d(16, 24, 3, stride=2, padding=1)),
        IMAGE,
    ),
    "up-convolution": (lambda: after_convolution(nn.ReLU(), nn.ConvTranspose2d(4, 4, 2, stride=2)), IMAGE),
    "up-convolution, overlapping, in groups": (
        lambda: after_convolution(
            nn.ConvTranspose2d(4, 4, 3, stride=2, padding=1, output_padding=1, groups=2), nn.ReLU()
        ),
        IMAGE,
    ),
    "batch norm": (lambda: after_convolution(randomised(nn.BatchNorm2d(4)), nn.ReLU()), IMAGE),
    "batch norm of vectors": (lambda: nn.Sequential(nn.Linear(6, 5), randomised(nn.BatchNorm1d(5))), VECTOR),
    "max pooling": (lambda: after_convolution(nn.ReLU(), nn.MaxPool2d(2)), IMAGE),
    "max pooling of what is left over": (
        lambda: after_convolution(nn.MaxPool2d(3), nn.Upsample(scale_factor=2)),
        IMAGE,
    ),
    "max pooling, overlapping": (lambda: after_convolution(nn.MaxPool2d(3, 2, 1), nn.ReLU()), IMAGE),
    "max pooling above a convolution": (
        lambda: nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 3, 3), nn.ReLU(), nn.MaxPool2d(2)),
        IMAGE,
    ),
    "average pooling": (lambda: after_convolution(nn.ReLU(), nn.AvgPool2d(2)), IMAGE),
    "average pooling, overlapping": (lambda: after_convolution(nn.AvgPool2d(3, 2, 1)), IMAGE),
    "global average": (lambda: nn.Sequential(nn.Conv2d(1, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), IMAGE),
    "relu in place": (lambda: after_convolution(nn.ReLU(inplace=True)), IMAGE),
    "gelu": (lambda: after_convolution(nn.GELU()), IMAGE),
    "abs": (lambda: after_convolution(Apply(torch.abs)), IMAGE),
    "leaky relu": (lambda: after_convolution(nn.LeakyReLU(0.1)), IMAGE),
    "prelu": (lambda: nn.Sequential(nn.Linear(6, 5), Leak(), nn.Linear(5, 2)), VECTOR),
    "sigmoid, square, softplus": (
        lambda: nn.Sequential(nn.Linear(6, 5), nn.Sigmoid(), Apply(torch.square), nn.Softplus(), nn.Linear(5, 2)),
        VECTOR,
    ),
    "softmax": (lambda: nn.Sequential(nn.Linear(6, 5), nn.Softmax(1)), VECTOR),
    "residual sum": (lambda: nn.Sequential(nn.Linear(6, 6), Apply(lambda z: z + z.relu()), nn.Linear(6, 2)), VECTOR),
    "differences and products": (
        lambda: nn.Sequential(nn.Linear(6, 6), Apply(lambda z: (1 - z) * z.tanh() - z / 3), nn.Linear(6, 2)),
        VECTOR,
    ),
    "sum in place": (lambda: nn.Sequential(nn.Linear(6, 6), Apply(lambda z: z.cos().add_(z)), nn.Linear(6, 2)), VECTOR),
    "concatenation": (lambda: after_convolution(Apply(lambda z: torch.cat([z[:, :2].relu(), -z[:, 2:]], 1))), IMAGE),
    "parts": (
        lambda: nn.Sequential(nn.Linear(6, 6), Apply(lambda z: z.chunk(2, 1)[0] * z.split([3, 3], 1)[1])),
        VECTOR,
    ),
    "axes": (
        lambda: after_convolution(Apply(lambda z: z.permute(0, 2, 3, 1).transpose(1, 2).permute(0, 3, 2, 1).relu())),
        IMAGE,
    ),
    "upsampling, padding": (
        lambda: after_convolution(nn.Upsample(scale_factor=2, mode="bilinear"), nn.ReflectionPad2d(1)),
        IMAGE,
    ),
    "layer norm, by torch.func": (lambda: nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.Linear(5, 2)), VECTOR),
    "group norm, by torch.func": (lambda: after_convolution(nn.GroupNorm(2, 4)), IMAGE),
    "reshaping across samples, by torch.func": (lambda: nn.Sequential(AroundMixing(), nn.Linear(9, 2)), VECTOR),
}
NETS = {
    "two-layer backend": (lambda: nn.Sequential(nn.Flatten(), *backend(64, 16, 5)), IMAGE),
    "three-layer backend": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 4)),
        IMAGE,
    ),
    "LeNet": (
        lambda: nn.Sequential(
            *(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(24, 10), nn.ReLU(), nn.Linear(10, 4)),
        ),
        IMAGE,
    ),
    "U-Net": (TinyUNet, (2, 6, 6)),
    "optical student": (
        lambda: nn.Sequential(OpticalFrontend(), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), *backend(48, 6, 3)),
        IMAGE,
    ),
    "tied weights": (Tied, (5,)),
}
ALL = LAYERS | NETS


def build(name, dtype=torch.float64, samples=4):
    torch.manual_seed(0)
    make, shape = ALL[name]
    x = torch.randn(samples, *shape)
    model = make()
    model(x)  # lazy layers take their shape
    return model.to(dtype), x.to(dtype)


@pytest.mark.parametrize("trace", [True, False], ids=["traced", "full"])
@pytest.mark.parametrize("name", ALL)
def test_equals_torch_func(name, trace):
    model, x = build(name)
    x2 = torch.randn_like(x[:3])
    for other in (None, x2):
        kernel = empirical_ntk(model, x, other, trace=trace, method="exact")
        assert relative_error(kernel, reference_kernel(model, x, other, trace=trace)) <= 1e-10


@pytest.mark.parametrize("name", NETS)
def test_equals_torch_func_in_float32(name):
    model, x = build(name, torch.float32)
    assert relative_error(empirical_ntk(model, x, method="exact"), reference_kernel(model, x)) <= 1e-5


@pytest.mark.parametrize("name", ALL)
def test_gradient_of_a_loss_equals_torch_funcs(name):
    model, x = build(name)
    weights = torch.randn(len(x), len(x), dtype=x.dtype)
    gradients = []
    for kernel in (empirical_ntk(model, x, method="exact"), reference_kernel(model, x)):
        loss = (kernel * weights).sum() + kernel.square().sum()
        found = [torch.zeros(1)] * 0
        if loss.requires_grad:
            found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True, materialize_grads=True)
        gradients.append(torch.cat([g.flatten() for g in found]) if found else torch.zeros(1, dtype=x.dtype))
    if gradients[0].numel() != gradients[1].numel() or gradients[1].norm() < 1e-12 * weights.norm():
        assert max(float(gradient.norm()) for gradient in gradients) < 1e-10
    else:
        assert relative_error(*gradients) <= 1e-10


def test_gradient_reaches_what_only_produces_inputs():
    model, x = build("optical student")
    names = {name for name, _ in model.named_parameters() if not name.startswith("0.")}
    target = torch.randn(4, 4, dtype=x.dtype)
    target = target @ target.T
    gradients = []
    for kernel in (empirical_ntk(model, x, parameters=names), reference_kernel(model, x, names=names)):
        (gradient,) = torch.autograd.grad(matching_loss(kernel, target), [model[0].psf])
        gradients.append(gradient)
    assert relative_error(*gradients) <= 1e-9


@pytest.mark.parametrize("outputs", [lambda z: z.softmax(-1), lambda z: z[:, :2], lambda z: F.normalize(z, dim=1)])
def test_of_a_function_of_the_outputs(outputs):
    model, x = build("two-layer backend")
    for trace in (True, False):
        kernel = empirical_ntk(model, x, trace=trace, outputs=outputs)
        assert relative_error(kernel, reference_kernel(model, x, trace=trace, outputs=outputs)) <= 1e-10


@pytest.mark.parametrize("name", ["LeNet", "optical student", "U-Net"])
def test_kernels_of_parameter_groups_add_up(name):
    model, x = build(name)
    groups = [
        [n for n, _ in model.named_parameters() if n.startswith(part)]
        for part in {n.split(".")[0] for n, _ in model.named_parameters()}
    ]
    total = sum(empirical_ntk(model, x, parameters=group, method="exact") for group in groups)
    torch.testing.assert_close(total, empirical_ntk(model, x, method="exact"))


def test_parameters_by_name_by_themselves_or_as_a_part_of_the_model():
    model, x = build("LeNet")
    kernels = [
        empirical_ntk(model, x, parameters=chosen)
        for chosen in (["3.weight", "3.bias"], list(model[3].parameters()), model[3])
    ]
    torch.testing.assert_close(kernels[0], kernels[1])
    torch.testing.assert_close(kernels[0], kernels[2])
    assert relative_error(kernels[0], reference_kernel(model, x, names={"3.weight", "3.bias"})) <= 1e-10


@pytest.mark.parametrize("name", NETS)
def test_symmetric_positive_semidefinite_and_indifferent_to_order(name):
    model, x = build(name, samples=6)
    kernel = empirical_ntk(model, x, method="exact").detach()
    torch.testing.assert_close(kernel, kernel.T)
    assert torch.linalg.eigvalsh(kernel).min() >= -1e-10 * kernel.diagonal().max()
    order = torch.randperm(6)
    torch.testing.assert_close(empirical_ntk(model, x[order], method="exact"), kernel[order][:, order])
    torch.testing.assert_close(empirical_ntk(model, x, x, method="exact"), kernel)
    torch.testing.assert_close(empirical_ntk(model, x[:2], x[2:], method="exact"), kernel[:2, 2:])


def test_a_frozen_model_without_gradients_has_the_same_kernel():
    model, x = build("LeNet")
    expected = empirical_ntk(model, x).detach()
    model.requires_grad_(False)
    with torch.no_grad():
        kernel = empirical_ntk(model, x)
    torch.testing.assert_close(kernel, expected)
    assert not kernel.requires_grad


def test_single_linear_layer_is_computed_in_closed_form():
    model, x = build("linear")
    torch.testing.assert_close(empirical_ntk(model, x), 3 * (x @ x.T + 1))


def test_torch_func_takes_one_layer_alone_and_says_so(caplog):
    with caplog.at_level(logging.INFO, logger="labonn.ntk"):
        model, x = build("layer norm, by torch.func")
        empirical_ntk(model, x)
        assert [r.getMessage() for r in caplog.records] == [
            "ntk: no layer rule for layer_norm here; torch.func takes this layer alone"
        ]
        empirical_ntk(model, x)
        assert len(caplog.records) == 1  # once is enough


def test_the_optical_frontend_needs_no_torch_func(caplog):
    with caplog.at_level(logging.INFO, logger="labonn.ntk"):
        model, x = build("optical student")
        empirical_ntk(model, x)
    assert not caplog.records


def test_a_module_that_reshapes_across_samples_is_taken_whole(caplog):
    with caplog.at_level(logging.INFO, logger="labonn.ntk"):
        model, x = build("reshaping across samples, by torch.func")
        empirical_ntk(model, x)
    assert any("torch.func takes 0 as one layer" in record.getMessage() for record in caplog.records)
