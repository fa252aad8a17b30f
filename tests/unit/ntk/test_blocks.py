"""Large kernels in blocks, a teacher's kernel on disk, and regression with kernels."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context

import h5py
import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge as Reference
from torch import nn

from labonn.errors import RecordError, TrainingError
from labonn.ntk import (
    Readouts,
    blockwise_ntk,
    empirical_ntk,
    fit_kernel_ridge,
    fit_ntk_ridge,
    ntk_blocks,
    one_hot,
    teacher_kernel,
)


@pytest.fixture
def teacher():
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(20, 6), nn.ReLU(), nn.Linear(6, 3)),
    )
    return model.eval().requires_grad_(False)


@pytest.fixture
def images():
    return torch.rand(30, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("memory_bytes", [1, 300_000, 10**9])
def test_block_by_block_equals_the_whole(teacher, images, memory_bytes):
    progress = []
    kernel = blockwise_ntk(
        teacher, images, memory_bytes=memory_bytes, on_block=lambda done, total: progress.append((done, total))
    )
    torch.testing.assert_close(kernel, empirical_ntk(teacher, images, method="exact"))
    assert progress[-1] == (900, 900)
    other = blockwise_ntk(teacher, images[:7], images[7:], memory_bytes=memory_bytes)
    torch.testing.assert_close(other, kernel[:7, 7:])


def test_less_memory_makes_smaller_blocks(teacher, images):
    sides = [
        max(block.shape[0] for _, _, block in ntk_blocks(teacher, images, memory_bytes=memory_bytes))
        for memory_bytes in (1, 100_000, 10**9)
    ]
    assert sides[0] == 1 < sides[1] < sides[2] == 30


@pytest.mark.parametrize("memory_bytes", [3000, 10**9], ids=["from disk", "in memory"])
def test_teacher_is_computed_once_and_indexed(teacher, images, tmp_path, memory_bytes):
    whole = empirical_ntk(teacher, images, method="exact")
    indices = torch.tensor([5, 2, 2, 29])
    kernel = teacher_kernel(teacher, images, directory=tmp_path, memory_bytes=memory_bytes)
    torch.testing.assert_close(kernel.of(indices), whole[indices][:, indices])
    (path,) = tmp_path.glob("*.h5")
    written = path.stat().st_mtime_ns
    again = teacher_kernel(
        *(teacher, images), directory=tmp_path, memory_bytes=memory_bytes, on_block=lambda *_: pytest.fail("computed")
    )
    torch.testing.assert_close(again.of(indices), whole[indices][:, indices])
    assert path.stat().st_mtime_ns == written
    assert again.of(indices).dtype == torch.float32


def test_two_that_need_it_at_once_compute_it_once(teacher, images, tmp_path):
    computed, begun, go_on = [], threading.Event(), threading.Event()

    def needed(who):
        def on_block(done, total):
            computed.append(who)
            begun.set()
            go_on.wait(60)

        return teacher_kernel(teacher, images, directory=tmp_path, on_block=on_block)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(needed, "first")
        begun.wait(60)
        second = pool.submit(needed, "second")
        time.sleep(0.1)
        assert not second.done()
        go_on.set()
    torch.testing.assert_close(first.result().of(torch.arange(9)), second.result().of(torch.arange(9)))
    assert set(computed) == {"first"}


BATCHES = [torch.arange(30)[place::3] for place in range(3)]


def killed_when_two_batches_are_done(teacher, images, directory):
    def on_block(done, total):
        if done > total / 2:
            os._exit(9)  # nothing is closed or written any more, as after `kill -9`

    teacher_kernel(teacher, images, batches=BATCHES, directory=directory, on_block=on_block)


def test_a_computation_that_was_killed_goes_on_at_the_batch_where_it_was(teacher, images, tmp_path):
    process = get_context("spawn").Process(target=killed_when_two_batches_are_done, args=(teacher, images, tmp_path))
    process.start()
    process.join(60)
    assert process.exitcode == 9
    told = []
    kernel = teacher_kernel(
        teacher, images, batches=BATCHES, directory=tmp_path, on_block=lambda done, total: told.append(done / total)
    )
    assert told == [pytest.approx(2 / 3), 1], "the first was in the file, the second on its way to it"
    for batch in BATCHES:
        whole = empirical_ntk(teacher, images[batch], method="exact")
        torch.testing.assert_close(kernel.of(batch), whole)


@pytest.mark.parametrize("cut", [0, 100, 1000])
def test_a_file_that_was_not_made_to_its_end_is_made_anew(teacher, images, tmp_path, cut):
    teacher_kernel(teacher, images, batches=BATCHES, directory=tmp_path)
    (path,) = tmp_path.glob("*.h5")
    path.with_suffix(".partial").write_bytes(path.read_bytes()[:cut])
    path.unlink()
    kernel = teacher_kernel(teacher, images, batches=BATCHES, directory=tmp_path)
    torch.testing.assert_close(kernel.of(BATCHES[1]), empirical_ntk(teacher, images[BATCHES[1]], method="exact"))


def test_what_an_earlier_version_left_is_not_taken_for_computed(teacher, images, tmp_path):
    teacher_kernel(teacher, images, batches=BATCHES, directory=tmp_path)
    (path,) = tmp_path.glob("*.h5")
    path.unlink()
    with h5py.File(path.with_suffix(".partial"), "w") as file:  # zeros stood for what was missing
        file.attrs["schema"] = 1
        file.create_dataset("kernel", (3, 10, 10), np.float32)
    kernel = teacher_kernel(teacher, images, batches=BATCHES, directory=tmp_path)
    torch.testing.assert_close(kernel.of(BATCHES[1]), empirical_ntk(teacher, images[BATCHES[1]], method="exact"))


def test_each_choice_has_a_file_of_its_own(teacher, images, tmp_path):
    def count():
        return len(list(tmp_path.glob("*.h5")))

    teacher_kernel(teacher, images, directory=tmp_path)
    teacher_kernel(teacher, images[:20], directory=tmp_path)
    assert count() == 2
    teacher_kernel(teacher, images, directory=tmp_path, parameters=teacher[6].parameters())
    teacher_kernel(teacher, images, directory=tmp_path, outputs=nn.functional.relu)
    teacher_kernel(teacher, images, directory=tmp_path, outputs=Readouts(3, 2))
    assert count() == 5
    with torch.no_grad():
        teacher[0].weight[0, 0, 0, 0] += 1e-3
    teacher_kernel(teacher, images, directory=tmp_path)
    assert count() == 6
    with pytest.raises(ValueError, match="function of a module"):
        teacher_kernel(teacher, images, directory=tmp_path, outputs=lambda z: z)


def test_only_the_batches_that_training_will_use(teacher, images, tmp_path):
    batches = [torch.randperm(30)[:6] for _ in range(3)]
    whole = empirical_ntk(teacher, images, method="exact")
    for directory in (None, tmp_path):
        for memory_bytes in (10**9, 400 if directory else 10**9):
            kernel = teacher_kernel(teacher, images, batches=batches, directory=directory, memory_bytes=memory_bytes)
            shuffled = batches[1][torch.randperm(6)]
            torch.testing.assert_close(kernel.of(shuffled), whole[shuffled][:, shuffled])
            with pytest.raises(ValueError, match="none of the 3 batches"):
                kernel.of(torch.arange(5))
    with pytest.raises(ValueError, match="of one size"):
        teacher_kernel(teacher, images, batches=[torch.tensor([1, 1])])


def test_a_kernel_too_large_for_memory_needs_a_directory(teacher, images):
    with pytest.raises(ValueError, match="give a directory"):
        teacher_kernel(teacher, images, memory_bytes=3000)


def test_a_damaged_file_is_named(teacher, images, tmp_path):
    teacher_kernel(teacher, images, directory=tmp_path)
    (path,) = tmp_path.glob("*.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["schema"] = 99
    with pytest.raises(RecordError, match=r"schema 99.*delete it"):
        teacher_kernel(teacher, images, directory=tmp_path)
    path.write_bytes(b"nothing")
    with pytest.raises(RecordError, match="delete it"):
        teacher_kernel(teacher, images, directory=tmp_path)


def problem(n=40, classes=3):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(n, 6))
    labels = (features[:, :classes] + 0.3 * rng.normal(size=(n, classes))).argmax(1)
    return features @ features.T, labels


def test_ridge_equals_scikit_learns():
    kernel, labels = problem()
    targets = one_hot(labels)
    mine = fit_kernel_ridge(kernel[:30, :30], targets[:30])
    theirs = Reference(alpha=mine.penalty, kernel="precomputed").fit(kernel[:30, :30], targets[:30])
    np.testing.assert_allclose(mine.predict(kernel[30:, :30]), theirs.predict(kernel[30:, :30]), rtol=0, atol=1e-9)


def test_leave_one_out_in_closed_form_equals_leaving_one_out():
    kernel, labels = problem(12)
    targets = one_hot(labels)
    fitted = fit_kernel_ridge(kernel, targets, penalties=(0.1,))
    for i in range(12):
        rest = np.delete(np.arange(12), i)
        alone = np.linalg.solve(kernel[np.ix_(rest, rest)] + fitted.penalty * np.eye(11), targets[rest])
        np.testing.assert_allclose(kernel[i, rest] @ alone, fitted.left_out[i], atol=1e-9)
    assert fitted.left_out_error == pytest.approx(np.mean((fitted.left_out - targets) ** 2))


def test_the_penalty_is_the_best_of_those_offered():
    kernel, labels = problem()
    offered = (1e-6, 1e-3, 1e-1, 10.0)
    errors = {p: fit_kernel_ridge(kernel, one_hot(labels), penalties=(p,)).left_out_error for p in offered}
    chosen = fit_kernel_ridge(kernel, one_hot(labels), penalties=offered)
    assert chosen.left_out_error == min(errors.values())
    assert chosen.penalty == pytest.approx(min(errors, key=errors.get) * np.mean(np.diag(kernel)))


def test_probabilities_are_calibrated_on_what_was_left_out():
    kernel, labels = problem(200)
    fitted = fit_kernel_ridge(kernel[:150, :150], one_hot(labels[:150]))
    probabilities = fitted.probabilities(kernel[150:, :150])
    np.testing.assert_allclose(probabilities.sum(1), 1)
    accuracy = np.mean(probabilities.argmax(1) == labels[150:])
    assert abs(probabilities.max(1).mean() - accuracy) < 0.15
    assert fitted.left_out_accuracy == pytest.approx(accuracy, abs=0.15)


def test_a_kernel_that_is_not_one():
    with pytest.raises(TrainingError, match="not positive definite"):
        fit_kernel_ridge(np.array([[1.0, 5.0], [5.0, 1.0]]), np.ones(2))
    with pytest.raises(ValueError, match="wanted"):
        fit_kernel_ridge(np.eye(3), np.ones(2))
    with pytest.raises(ValueError, match="NaN"):
        fit_kernel_ridge(np.full((2, 2), np.nan), np.ones(2))
    with pytest.raises(ValueError, match="single target"):
        fit_kernel_ridge(np.eye(3), np.ones(3)).probabilities(np.eye(3))


def test_regression_with_a_models_kernel(teacher, images):
    labels = (images.mean((1, 2, 3)) > 0.5).long()
    fitted = fit_ntk_ridge(teacher, images[:20], one_hot(labels[:20], 2), memory_bytes=300_000)
    kernel = empirical_ntk(teacher, images, method="exact").double().numpy()
    expected = fit_kernel_ridge(kernel[:20, :20], one_hot(labels[:20], 2)).predict(kernel[20:, :20])
    np.testing.assert_allclose(fitted.predict(images[20:]), expected, atol=2e-3)
    assert fitted.probabilities(images[20:]).shape == (10, 2)
