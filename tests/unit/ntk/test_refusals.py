"""What is refused, with the reason; and what is answered though it looks odd."""

import pytest
import torch
from torch import nn

from labonn.errors import TrainingError
from labonn.ntk import empirical_ntk, estimate_ntk, require_trainable_kernel
from labonn.ntk.validate import check_batch
from tests.unit.ntk.models import Apply, OpticalFrontend, Tied, backend, reference_kernel, relative_error


class StraightThrough(torch.autograd.Function):
    """Rounds, and passes gradients as if it had not; in the form that torch.func cannot follow."""

    @staticmethod
    def forward(ctx, x):
        return torch.round(x)

    @staticmethod
    def backward(ctx, gradient):
        return gradient


def vectors(samples=4, **kwargs):
    return torch.randn(samples, 6, **kwargs)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.tensor([[1.0, float("nan")]]).expand(3, 2), "NaN"),
        (torch.full((3, 2), float("inf")), "NaN or infinite"),
        (torch.empty(0, 2), "at least one sample"),
        (torch.zeros(3, 2, dtype=torch.float16), "float32 or float64"),
        (torch.zeros(3, 2, dtype=torch.bfloat16), "float32 or float64"),
    ],
)
def test_bad_batches(x, message):
    model = nn.Linear(2, 2)
    with pytest.raises(ValueError, match=message):
        empirical_ntk(model, x)
    with pytest.raises(ValueError, match=message):
        empirical_ntk(model, torch.zeros(3, 2), x)
    with pytest.raises(ValueError, match=message):
        estimate_ntk(model, x)


def test_large_values_are_not_infinite():
    check_batch(torch.full((2, 2), 3e38))


def test_bad_parameters():
    x = vectors()
    with pytest.raises(ValueError, match="at least one parameter"):
        empirical_ntk(nn.ReLU(), x)
    with pytest.raises(ValueError, match="at least one parameter"):
        empirical_ntk(backend(), x, parameters=[])
    with pytest.raises(ValueError, match=r"'nothing' is not a parameter.*0\.weight"):
        empirical_ntk(backend(), x, parameters=["nothing"])
    with pytest.raises(ValueError, match="not a parameter of this model"):
        empirical_ntk(backend(), x, parameters=[nn.Parameter(torch.zeros(2))])
    with pytest.raises(ValueError, match=r"0\.weight is torch\.float16"):
        empirical_ntk(backend().half(), x)


def test_bad_options():
    with pytest.raises(ValueError, match="'exact', 'probe' or 'auto'"):
        empirical_ntk(backend(), vectors(), method="fast")
    with pytest.raises(ValueError, match="at least one"):
        empirical_ntk(backend(), vectors(), method="probe", probes=0)
    with pytest.raises(ValueError, match="trace over outputs only"):
        empirical_ntk(backend(), vectors(), method="probe", trace=False)
    with torch.inference_mode(), pytest.raises(ValueError, match="no_grad"):
        empirical_ntk(backend(), vectors())


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.BatchNorm1d(6), "batch norm in training mode mixes the samples"),
        (nn.Dropout(0.3), "dropout with p = 0.3 is active"),
        (nn.AlphaDropout(0.2), "dropout with p = 0.2 is active"),
        (Apply(lambda z: z - z.mean(0, keepdim=True)), "depend on one sample each"),
        (Apply(lambda z: z.flip(1, 0)), "depend on one sample each"),
        (Apply(lambda z: z @ z.T @ z), "depend on one sample each"),
        (Apply(lambda z: z[torch.tensor([1, 0, 2, 3])]), "depend on one sample each"),
        (Apply(lambda z: z.sum()), "depend on one sample each"),
        (Apply(lambda z: torch.nn.functional.rrelu(z, training=True)), "depend on one sample each"),
        (Apply(StraightThrough.apply), "depend on one sample each"),
    ],
)
def test_what_mixes_samples_or_is_random_is_refused(layer, reason):
    model = nn.Sequential(nn.Linear(6, 6), layer)
    with pytest.raises(TrainingError, match=reason):
        empirical_ntk(model, vectors())


def test_the_same_layers_in_evaluation_mode_are_fine():
    model = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Dropout(0.3)).eval()
    x = vectors()
    assert relative_error(empirical_ntk(model, x), reference_kernel(model, x)) < 1e-5


def test_randomness_and_mixing_before_the_first_parameter_only_make_inputs():
    model = nn.Sequential(Apply(lambda z: z - z.mean(0) + torch.randn_like(z)), nn.Linear(6, 2))
    x = vectors()
    assert empirical_ntk(model, x, method="exact").shape == (4, 4)


def test_noise_added_further_on_is_taken_as_it_falls():
    model = nn.Sequential(nn.Linear(6, 6), Apply(lambda z: z + torch.randn_like(z)), nn.ReLU(), nn.Linear(6, 2))
    x = vectors()
    torch.manual_seed(3)
    empirical_ntk(model, x)  # the first call for a model is also held against autograd
    torch.manual_seed(3)
    kernel = empirical_ntk(model, x)
    torch.manual_seed(3)
    noise = torch.randn_like(x)
    fixed = nn.Sequential(model[0], Apply(lambda z: z + noise), model[2], model[3])
    torch.testing.assert_close(kernel, empirical_ntk(fixed, x))


def test_a_gradient_stopped_inside_is_stopped_in_the_kernel():
    def half_stopped(z):
        with torch.no_grad():
            norm = z.norm(dim=1, keepdim=True)
        return z * norm + z.detach()

    model, x = nn.Sequential(nn.Linear(6, 3), Apply(half_stopped), nn.Linear(3, 2)), vectors()
    assert relative_error(empirical_ntk(model, x), reference_kernel(model, x)) < 1e-5


def test_what_is_not_one_tensor():
    with pytest.raises(TypeError, match="one tensor, not tuple"):
        empirical_ntk(nn.Sequential(nn.Linear(6, 2), Apply(lambda z: (z, z))), vectors())
    model = nn.Sequential(nn.Linear(6, 2), Apply(lambda z: (z, z)))
    assert empirical_ntk(model, vectors(), outputs=lambda pair: pair[0]).shape == (4, 4)


def test_tied_weights_count_once_with_the_sum_of_their_gradients():
    model, x = Tied().double(), torch.randn(4, 5, dtype=torch.float64)
    assert relative_error(empirical_ntk(model, x), reference_kernel(model, x)) < 1e-12


def linear_backend():
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 3))


class Student(nn.Module):
    def __init__(self, backend):
        super().__init__()
        self.frontend, self.backend = OpticalFrontend(), backend

    def forward(self, x):
        return self.backend(self.frontend(x)[..., ::2, ::2].relu())


IMAGES = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_training_on_a_constant_kernel_is_refused_but_computing_it_is_not():
    student = Student(linear_backend())
    student.frontend.requires_grad_(False)
    own = list(student.backend.parameters())
    assert empirical_ntk(student, IMAGES, parameters=own).shape == (6, 6)
    with pytest.raises(TrainingError, match=r"Three ways out.*softmax.*frontend.*hidden layer"):
        require_trainable_kernel(student, IMAGES, parameters=own)


def test_each_of_the_three_ways_out_works():
    student = Student(linear_backend())
    own = list(student.backend.parameters())
    require_trainable_kernel(student, IMAGES, trained=own, parameters=own, outputs=lambda z: z.softmax(-1))
    require_trainable_kernel(student, IMAGES)
    require_trainable_kernel(Student(nn.Sequential(nn.Flatten(), *backend(48, 5, 3))).backend[1:], torch.randn(4, 48))


def test_a_kernel_that_only_jumps_is_refused():
    model = backend()
    with pytest.raises(TrainingError, match="no gradient"):
        require_trainable_kernel(model, vectors(), trained=model[0].parameters(), parameters=model[0])
    with pytest.raises(TrainingError, match="requires a gradient"):
        require_trainable_kernel(model.requires_grad_(False), vectors())
