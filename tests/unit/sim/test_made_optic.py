"""A bench of one's own around an optic that was made for a model."""

import h5py
import numpy as np
import pytest
import torch
from torch.nn import functional

from labonn.instruments import read_bench
from sim.errors import SimulationError
from sim.made_optic import mount, order_of_model
from sim.mask_design import main
from sim.masks import read_masks, write_masks
from sim.world_file import read_bench as read_simulated
from tests.unit.sim.worlds import BENCHES

POLY = BENCHES / "poly.bench.toml"


def model_folder(tmp_path, kernels, name="20261127T000000Z-trial-abcd"):
    folder = tmp_path / name
    folder.mkdir()
    with h5py.File(folder / "arrays.h5", "w") as file:
        file["kernels"] = kernels
    (folder / "model.json").write_text('{"id": "the-model"}', encoding="utf-8")
    return folder


def test_the_new_bench_has_the_new_masks_and_says_for_which_model_they_were_made(tmp_path):
    waves = np.random.default_rng(0).integers(0, 32, (32, 128, 128)) / 16
    masks, folder = tmp_path / "some.npz", tmp_path / "mine"
    write_masks(masks, waves, 16)
    made = mount(POLY, folder, masks, "model-1")
    shipped, ours = read_bench(POLY), read_bench(made)
    assert ours.optic.model == "model-1"
    assert ours.optic.serial_number != shipped.optic.serial_number
    assert ours.name.startswith("poly-")
    same = {"name", "optic"}
    assert ours.model_dump(exclude=same) == shipped.model_dump(exclude=same)
    world = read_simulated(made)[1]
    levels = waves - waves.min(axis=(1, 2), keepdims=True)
    assert np.allclose(read_masks(world.optic.masks, 32, 128), levels)
    with pytest.raises(SimulationError, match="there is a bench already"):
        mount(POLY, folder, masks, "model-1")


def test_light_convolves_so_the_kernels_of_a_model_are_turned(tmp_path):
    kernels = np.random.default_rng(0).random((4, 3, 5, 5))
    order = order_of_model(model_folder(tmp_path, kernels))
    assert order.model == "the-model"
    picture = np.zeros((1, 1, 9, 9), np.float32)
    picture[0, 0, 4, 4] = 1
    for part, kernel in zip(order.parts, kernels, strict=True):
        correlated = functional.conv2d(torch.tensor(picture), torch.tensor(kernel[:1, None], dtype=torch.float32))
        assert np.allclose(correlated[0, 0], part[0])  # what the network makes of a point
    assert order_of_model(model_folder(tmp_path, kernels[:, 0], "grey")).parts.shape == (4, 1, 5, 5)
    with pytest.raises(SimulationError, match="none negative"):
        order_of_model(model_folder(tmp_path, -kernels, "signed"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("{poly}", "--model", "{gone}"), "--model needs --out"),
        (("{poly}", "--model", "{gone}", "--out", "{out}"), "is no folder of a model with kernels"),
        (
            ("{poly}", "--model", "{small}", "--out", "{out}"),
            r"kernels of (4, 3, 7, 7); this optic needs (32, 3) first",
        ),
        (("{mono}", "--model", "{small}", "--out", "{out}"), "it has no [optic] with masks"),
        (("{poly}",), "need --tap-um"),
    ],
)
def test_what_cannot_be_made_is_said(tmp_path, capsys, arguments, said):
    places = {
        "poly": POLY,
        "mono": BENCHES / "mono.bench.toml",
        "gone": tmp_path / "gone",
        "small": model_folder(tmp_path, np.ones((4, 3, 7, 7))),
        "out": tmp_path / "out",
    }
    assert main([argument.format(**places) for argument in arguments]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out" / POLY.name).exists()
