"""A trained network goes into the laboratory's folder and comes back as it was."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from labonn.data import Split
from labonn.design import load_design
from labonn.errors import CalibrationError, RecordError
from labonn.networks import Student, make_teacher
from labonn.optics import PhaseSolution
from labonn.protocol.deployment import cache_of, in_use, load_deployment, pick, store
from labonn.records import make_release, set_current_release


@pytest.fixture
def lab(tmp_path):
    """What a deployment asks of a laboratory when nothing is shown or captured."""
    return SimpleNamespace(
        folder=tmp_path,
        bench_path=Path("mono.bench.toml"),
        bench_config=SimpleNamespace(name="mono", optic=SimpleNamespace(serial_number="A-1")),
        run_record=SimpleNamespace(id="20261123T100000Z-train-abcd"),
        note=lambda key, value: None,
    )


def stored_network(lab):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        design = load_design("digits-mono")
        teacher, student = make_teacher(design.teacher, (1, 28, 28), 10), Student(design, (1, 28, 28), 10)
        pattern = torch.rand(20, 30)
    psf = torch.full((16, 7, 7), 1 / 49)
    one = torch.ones(16)
    solution = PhaseSolution(pattern, psf, psf, correlation=one, relative_error=0 * one, efficiency=one)
    return store(lab, design, teacher, student, solution, {"seed": 0}), design, teacher, student, pattern


def test_what_was_stored_comes_back(lab):
    model, design, teacher, student, pattern = stored_network(lab)
    found = load_deployment(lab.folder, model)
    images = torch.from_numpy(found.data.test.images[:20])
    assert found.model == model
    assert found.design == design
    assert torch.equal(found.teacher(images), teacher.eval()(images))
    assert torch.equal(found.student(images), student.eval()(images))
    np.testing.assert_array_equal(found.pattern_rad, pattern)
    assert found.pattern_rad.dtype == np.float32
    assert len(found.layout.sub_apertures) == 16

    found.student.train()  # the maps that it expects carry no noise even then, and no gradient
    tiles = found.ideal_tiles(images)
    assert torch.equal(tiles, found.ideal_tiles(images))
    assert tiles.shape == (20, 16, 28, 28)
    assert not tiles.requires_grad


def test_a_network_that_is_not_there_is_named(lab):
    with pytest.raises(RecordError, match="has no model '20261123T100000Z-digits-mono-aaaa'"):
        load_deployment(lab.folder, "20261123T100000Z-digits-mono-aaaa")


def test_where_nothing_was_released_the_way_to_a_release_is_told(lab):
    with pytest.raises(RecordError, match=r"nothing is released on bench 'mono' .*labonn run train_and_deploy"):
        in_use(lab)


def test_what_is_in_use_has_the_released_backend_on_the_trained_optics(lab):
    model, _, _, student, _ = stored_network(lab)
    released_backend = {name: value + 1 for name, value in student.backend.state_dict().items()}
    release = make_release(
        lab.folder, bench="mono", run=lab.run_record.id, optic={}, model=model, backend=released_backend, figures={}
    )
    set_current_release(lab.folder, "mono", release.id)
    found, deployment, backend = in_use(lab)
    assert (found.id, deployment.model) == (release.id, model)
    for name, value in backend.state_dict().items():
        assert torch.equal(value, released_backend[name])
    assert torch.equal(deployment.student.frontend.kernels(), student.frontend.kernels())


def test_a_release_for_another_optic_is_not_used(lab):
    model, _, _, student, _ = stored_network(lab)
    of_another = {"serial_number": "B-2"}
    backend = student.backend.state_dict()
    release = make_release(
        lab.folder, bench="mono", run="r", optic=of_another, model=model, backend=backend, figures={}
    )
    set_current_release(lab.folder, "mono", release.id)
    with pytest.raises(CalibrationError, match=r"made for the optic 'B-2'.*'A-1' is on bench 'mono'"):
        in_use(lab)


def test_what_can_be_computed_again_is_kept_inside_the_laboratory(lab):
    assert lab.folder in cache_of(lab).parents


@pytest.mark.parametrize(("asked", "given"), [(0, 0), (7, 7), (50, 50), (80, 50)])
def test_images_are_picked_once_each_by_the_seed(asked, given):
    split = Split(np.zeros((50, 1, 2, 2), np.float32), np.zeros(50, np.int64))
    picked = pick(split, asked, seed=3)
    assert len(picked) == len(set(picked.tolist())) == given
    assert set(picked.tolist()) <= set(range(50))
    np.testing.assert_array_equal(picked, pick(split, asked, seed=3))


def test_another_seed_picks_other_images_and_more_captures_keep_the_first():
    split = Split(np.zeros((500, 1, 2, 2), np.float32), np.zeros(500, np.int64))
    assert set(pick(split, 32, seed=0).tolist()) != set(pick(split, 32, seed=1).tolist())
    np.testing.assert_array_equal(pick(split, 64, seed=0)[:32], pick(split, 32, seed=0))
