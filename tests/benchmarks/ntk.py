"""The kernel engine's figures: `python -m tests.benchmarks.ntk` prints them and writes them to docs/results.md.

One thread; times are medians of interleaved runs, in cross-entropy steps of the same model and batch in the same run.
"""

import argparse
import datetime
import platform
from collections.abc import Callable

import numpy as np
import torch
from sklearn.kernel_ridge import KernelRidge
from torch import Tensor, nn

from labonn.data import load
from labonn.errors import LabonnError
from labonn.ntk import (
    blockwise_ntk,
    empirical_ntk,
    estimate_ntk,
    explain_choice,
    fit_kernel_ridge,
    matching_loss,
    one_hot,
)
from tests.benchmarks.ntk_models import Case, convolutional, segmentation, small_segmentation, two_layer
from tests.benchmarks.results import write_section
from tests.benchmarks.timing import interleaved, peak_bytes
from tests.unit.ntk.models import reference_kernel, relative_error
from tests.unit.ntk.test_exact import LAYERS, NETS, build

SEED = 0
_OFTEN = 200
NAMES = {"exact": "exact", "probe": "one probe of the outputs", "jvp": "one forward-mode probe"}
Row = tuple[str, str, str, str]


def works(case: Case, methods: tuple[str, ...]) -> dict[str, Callable[[], object]]:
    """Return a cross-entropy's loss and backward, a whole step with Adam, and each method's loss and backward.

    `jvp` is one forward-mode probe; the other methods are those of `empirical_ntk`.
    """
    adam = torch.optim.Adam(case.model.parameters(), lr=0.0)

    def cross_entropy() -> None:
        case.model.zero_grad()
        case.task(case.model(case.x)).backward()

    def step() -> None:
        cross_entropy()
        adam.step()

    def matching(method: str) -> Callable[[], None]:
        def work() -> None:
            case.model.zero_grad()
            if method == "jvp":
                kernel = estimate_ntk(case.model, case.x, kind="jvp").kernel
            else:
                kernel = empirical_ntk(case.model, case.x, method=method)
            matching_loss(kernel, case.target).backward()

        return work

    return {"loss and backward": cross_entropy, "step": step} | {method: matching(method) for method in methods}


def times(name: str, case: Case, methods: dict[str, tuple[str, str]], rounds: int) -> list[Row]:
    """Measure one backend, on the CPU and on a GPU where there is one."""
    rows = []
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        taken = interleaved(works(case.to(device), tuple(methods)), rounds, device)
        bare, step = taken["loss and backward"], taken["step"]
        for method, (must, aim) in methods.items():
            work = f"{name}, {NAMES[method]}" + (" (GPU)" if device == "cuda" else "")
            seconds = taken[method]
            found = f"**{seconds / step:.2f}** ({seconds / bare:.2f} without Adam; {seconds * 1e3:.2f} ms)"
            if method in ("exact", "probe"):
                choice = explain_choice(case.model, case.x)
                counted = getattr(choice, method).multiply_adds / choice.step.multiply_adds
                found += f"; its multiply-adds alone: {counted:.2f}"
            rows.append((work, must, aim, found))
    return rows


def tutorial_kernel(model: nn.Module, x: Tensor, *, twice: bool) -> Tensor:
    """Contract Jacobians as PyTorch's tutorial on neural tangent kernels does, compute="trace": the peer.

    The tutorial takes the Jacobian of both batches, also where they are the same; `twice` says whether to.
    """
    parameters = dict(model.named_parameters())

    def single(values: dict[str, Tensor], sample: Tensor) -> Tensor:
        return torch.func.functional_call(model, values, (sample.unsqueeze(0),)).squeeze(0)

    def jacobians() -> list[Tensor]:
        found = torch.func.vmap(torch.func.jacrev(single), (None, 0))(parameters, x)
        return [jacobian.flatten(2) for jacobian in found.values()]

    left = jacobians()
    pairs = zip(left, jacobians() if twice else left, strict=True)
    return torch.stack([torch.einsum("Naf,Maf->NM", a, b) for a, b in pairs]).sum(0)


def against_torch_func(case: Case, rounds: int) -> list[Row]:
    """Compare time and memory of loss and backward with the Jacobian contraction."""

    def tutorial(*, twice: bool = True) -> None:
        case.model.zero_grad()
        matching_loss(tutorial_kernel(case.model, case.x, twice=twice), case.target).backward()

    def ours() -> None:
        case.model.zero_grad()
        matching_loss(empirical_ntk(case.model, case.x, method="exact"), case.target).backward()

    def ours_often() -> None:
        for _ in range(_OFTEN):
            ours()

    taken = interleaved({"tutorial": tutorial, "once": lambda: tutorial(twice=False), "ours": ours_often}, rounds)
    memory = peak_bytes(tutorial), peak_bytes(ours)
    own = taken["ours"] / _OFTEN
    return [
        (
            "two-layer, exact, against the tutorial's contraction: times faster",
            ">= 500",
            ">= 1,000",
            f"**{taken['tutorial'] / own:,.0f}** ({taken['tutorial']:.2f} s against {own * 1e3:.2f} ms; "
            f"{taken['once'] / own:,.0f} if the tutorial took its Jacobian once)",
        ),
        (
            "the same: part of its memory",
            "<= 1/50",
            "",
            f"**1/{memory[0] / memory[1]:,.0f}** ({memory[0] / 1e6:,.0f} MB against {memory[1] / 1e6:.1f} MB)",
        ),
    ]


def exactness() -> list[Row]:
    """Return the worst relative error over layers and nets, in both precisions, and the worst cosine of a gradient."""
    worst = {}
    for title, names in (("layers", LAYERS), ("composed nets", NETS)):
        for dtype, limit in ((torch.float64, "<= 1e-10"), (torch.float32, "<= 1e-5")):
            errors = {}
            for name in names:
                model, x = build(name, dtype)
                errors[name] = relative_error(empirical_ntk(model, x, method="exact"), reference_kernel(model, x))
            name = max(errors, key=lambda key: errors[key])
            work = f"exact against torch.func, {len(names)} {title}, {str(dtype)[6:]}: worst relative error"
            worst[work] = (work, limit, "", f"**{errors[name]:.1e}** ({name})")
    cosines = []
    for name in NETS:
        model, x = build(name, torch.float32)
        target = (lambda f: f @ f.T)(torch.randn(len(x), 9))
        cosines.append(
            _cosine(
                *(
                    _gradient(model, matching_loss(kernel, target))
                    for kernel in (empirical_ntk(model, x, method="exact"), reference_kernel(model, x))
                )
            )
        )
    found = f"**1 - {1 - min(cosines):.1e}**"
    return [*worst.values(), ("gradient of the loss against torch.func's: worst cosine", ">= 0.99999", "", found)]


def _gradient(model: nn.Module, loss: Tensor) -> Tensor:
    gradients = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True, materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in gradients]).double()


def _cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b / (a.norm() * b.norm()))


def probe_quality(repeats: int = 20) -> list[str]:
    """Return a table of kernel CKA and gradient cosine against exact, for each kind and number of probes."""
    lines = [
        "| backend | probes | outputs: CKA | gradient | standard error | jvp: CKA | gradient |",
        "|---|---|---|---|---|---|---|",
    ]
    cases = {
        "two-layer": two_layer(),
        "convolutional": convolutional(),
        "segmentation, 256 outputs": small_segmentation(),
    }
    for name, case in cases.items():
        exact = empirical_ntk(case.model, case.x, method="exact")
        direction = _gradient(case.model, matching_loss(exact, case.target))
        for probes in (1, 4, 16):
            cells = []
            for kind in ("outputs", "jvp"):
                found, errors = [], []
                for seed in range(repeats if name == "two-layer" else 3):
                    generator = torch.Generator().manual_seed(seed)
                    estimate = estimate_ntk(case.model, case.x, kind=kind, probes=probes, generator=generator)
                    gradient = _gradient(case.model, matching_loss(estimate.kernel, case.target))
                    alike = 1 - float(matching_loss(estimate.kernel.detach(), exact.detach()))
                    found.append((alike, _cosine(gradient, direction)))
                    if estimate.standard_error is not None:
                        errors.append(float(estimate.standard_error.norm() / exact.detach().norm()))
                alike, cosine = np.mean(found, axis=0)
                cells += [f"{alike:.4f}", f"{cosine:.4f}"]
                if kind == "outputs":
                    cells.append(f"{100 * np.mean(errors):.1f} %" if errors else "none")
            lines.append(f"| {name} | {probes} | " + " | ".join(cells) + " |")
    return lines


def finite_difference_bias() -> str:
    """Say how far finite differences are from the derivative that they stand for, by step."""
    case = two_layer()
    cells = []
    kernel = estimate_ntk(case.model, case.x, kind="jvp", generator=torch.Generator().manual_seed(0)).kernel
    for step in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5):
        other = estimate_ntk(
            case.model, case.x, kind="finite-difference", step=step, generator=torch.Generator().manual_seed(0)
        )
        cells.append(f"{step:g}: {relative_error(other.kernel, kernel):.1e}")
    return "; ".join(cells)


def ridge() -> tuple[list[Row], str]:
    """Fit a regression on 4,000 MNIST images with an untrained network's kernel, and scikit-learn on the same."""
    data = load("mnist")
    images, labels = torch.from_numpy(data.train.images[:4000]), data.train.labels[:4000]
    tests, answers = torch.from_numpy(data.test.images[:1000]), data.test.labels[:1000]
    torch.manual_seed(SEED)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 7, padding=3), nn.ReLU(), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(392, 64), nn.ReLU(),
        nn.Linear(64, 10),
    )  # fmt: skip
    kernel = blockwise_ntk(model, images, dtype=torch.float64).numpy()
    across = blockwise_ntk(model, tests, images, dtype=torch.float64).numpy()
    fitted = fit_kernel_ridge(kernel, one_hot(labels))
    theirs = KernelRidge(alpha=fitted.penalty, kernel="precomputed").fit(kernel, one_hot(labels)).predict(across)
    mine = fitted.predict(across)
    accuracy = 100 * np.mean(mine.argmax(1) == answers)
    left_out = 100 * (fitted.left_out_accuracy or 0.0)
    text = (
        f"Ridge on 4,000 MNIST images with an untrained 8-kernel network's kernel: {accuracy:.1f} % of 1,000 test "
        f"images, {left_out:.1f} % predicted by leaving one out."
    )
    worst = f"**{np.abs(mine - theirs).max():.1e}**"
    return [("NTK ridge, 4,000 MNIST images, against scikit-learn: worst difference", "<= 1e-6", "", worst)], text


def compiled(rounds: int) -> str:
    """Say what torch.compile makes of the two-layer kernel and loss, written out by hand for it."""
    case = two_layer()
    _, hidden, _, last = case.model

    def by_hand(x: Tensor, target: Tensor) -> Tensor:
        values = nn.functional.linear(x, hidden.weight, hidden.bias).relu()
        gates = (values.detach() > 0).float()
        kernel = 10 * (values @ values.T + 1) + (x @ x.T + 1) * ((gates * last.weight.square().sum(0)) @ gates.T)
        a, b = (k - k.mean(0) - k.mean(1, keepdim=True) + k.mean() for k in (kernel, target))
        return 1 - (a * b).sum() / (a.norm() * b.norm())

    def work(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[], None]:
        def run() -> None:
            case.model.zero_grad()
            function(case.x.flatten(1), case.target).backward()

        return run

    made = {"by hand": work(by_hand), "compiled": work(torch.compile(by_hand))}
    made["ours"] = work(lambda _, target: matching_loss(empirical_ntk(case.model, case.x), target))
    taken = interleaved(made, rounds)
    return (
        "torch.compile, on the two-layer kernel and loss written out by hand: "
        + ", ".join(f"{name} {1e3 * seconds:.2f} ms" for name, seconds in taken.items())
        + ". Not enough to make the engine need a compiler."
    )


def main() -> None:
    """Measure everything; print it, and write it unless told not to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25, help="interleaved rounds of the small backend")
    parser.add_argument("--no-write", action="store_true", help="print only")
    parser.add_argument("--compile", action="store_true", help="measure torch.compile too; needs a C++ compiler")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    rounds = arguments.rounds
    rows = times(
        "two-layer 392-64-10, batch 128", two_layer(), {"exact": ("<= 5", "<= 3"), "probe": ("<= 2.5", "")}, 8 * rounds
    )
    conv = {"exact": ("<= 24", "what the multiply-adds allow"), "probe": ("<= 6", "")}
    rows += times("convolution 16-32 + linear on 16x14x14, batch 128", convolutional(), conv, max(5, rounds // 2))
    dense = {"probe": ("<= 6", "<= 3"), "jvp": ("<= 6", "<= 3")}
    rows += times("up-convolutional segmentation, batch 8", segmentation(), dense, max(5, rounds // 2))
    rows += against_torch_func(two_layer(), 3)
    rows += exactness()
    quality = probe_quality()
    try:
        more, remark = ridge()
    except LabonnError as error:
        more, remark = [], f"The ridge regression was left out: {error}"
    rows += more
    choices = [
        f"* {name}: {explain_choice(case.model, case.x)}"
        for name, case in (
            ("two-layer", two_layer()),
            ("convolutional", convolutional()),
            ("segmentation", segmentation()),
        )
    ]
    if arguments.compile:
        remark += "\n\n" + compiled(8 * rounds)
    command = "python -m tests.benchmarks.ntk" + " --compile" * arguments.compile
    today, bias = datetime.datetime.now(datetime.UTC), finite_difference_bias()
    text = "\n".join(
        [
            "## Neural tangent kernels",
            "",
            f"`{command}`, {today:%Y-%m-%d}, seed {SEED}, one thread of {platform.machine()}, "
            f"torch {torch.__version__}. Times are of a loss on the kernel with its backward pass, in cross-entropy "
            "steps (loss, backward, Adam) of the same model and batch, medians of interleaved runs; in brackets, in "
            "steps without the optimiser's part. Multiply-adds alone: what the ratio would be if every product ran at "
            "the same speed and nothing else took time.",
            "",
            "| work | must | try for | measured |",
            "|---|---|---|---|",
            *("| " + " | ".join(row) + " |" for row in rows),
            "",
            'What `method="auto"` says:',
            "",
            *choices,
            "",
            "Estimates against the exact kernel (mean over seeds): alignment of the kernels, cosine of the matching "
            "loss's gradients, and the standard error that the estimate gives, as part of the kernel's norm.",
            "",
            *quality,
            "",
            f"Finite differences against the derivative along the same direction, by step, relative: {bias}.",
            "",
            remark,
        ]
    )
    print(text)
    if not arguments.no_write:
        write_section("ntk", text)


if __name__ == "__main__":
    main()
