"""From captures to a verdict: what may be released, when validation grows, what makes it end, and replaying it all."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from labonn.compensation import Gate
from labonn.data import Split
from labonn.errors import CalibrationError
from labonn.optics import signed_maps
from labonn.protocol import compensating, validating
from labonn.protocol.compensating import FALLBACK, Compensated, compensate
from labonn.protocol.progress import Screen
from labonn.protocol.validating import looks_of, seed_of, validate

CLASSES, SIDE = 4, 8


def steps(name, total):
    return Screen(quiet=True).step(name, total, lambda: None)


@pytest.mark.parametrize(
    ("first", "most", "looks"),
    [
        (100, 800, [(0, 100), (100, 200), (200, 400), (400, 800)]),
        (100, 250, [(0, 100), (100, 200), (200, 250)]),
        (100, 60, [(0, 60)]),
        (100, 100, [(0, 100)]),
    ],
)
def test_validation_doubles_up_to_its_bound(first, most, looks):
    assert looks_of(first, most) == looks


class Reader(nn.Module):
    """Reads the class off a map's mean, plus a mistake."""

    def __init__(self, wrong=0.0):
        super().__init__()
        self.wrong = wrong

    def forward(self, maps):
        said = maps[:, 0].mean(dim=(1, 2)).round().long()
        fooled = maps[:, 1, 0, 0] < self.wrong  # the same images for every reader
        return 3 * nn.functional.one_hot((said + fooled) % CLASSES, CLASSES).float()


def bench(labels=None, tiles_of=None, count=800):
    """A bench whose tiles hold the class and a random number; what was asked of it is counted."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, CLASSES, count)
    images = np.zeros((count, 1, SIDE, SIDE), np.float32)
    images[:, 0] = truth[:, None, None]
    images[:, 0, 0, 0] = rng.random(count)
    taken = []

    def capture(lab, group, images, calibration):
        taken.append(len(images))
        tiles = torch.zeros(len(images), 4, SIDE, SIDE)
        tiles[:, 0] = torch.from_numpy(images[:, 0, -1:, -1:])
        tiles[:, 2] = torch.from_numpy(images[:, 0, :1, :1])
        return tiles if tiles_of is None else tiles_of(tiles)

    split = Split(images, truth if labels is None else labels(truth))
    return SimpleNamespace(data=SimpleNamespace(validation=split), capture=capture, maps_of=signed_maps), taken


def fitted(**readers):
    return Compensated(None, None, {"none": Reader(0.1)} | readers, tuple(readers), None)


@pytest.fixture(autouse=True)
def no_twin(monkeypatch):
    monkeypatch.setattr(validating, "require_still", lambda twin, images, tiles: None)


def validated(network, candidates, first=100, most=800):
    return validate(None, network, None, candidates, first=first, most=most, seed=[0], gate=Gate())


def test_a_clear_gain_needs_few_captures():
    network, taken = bench()
    found = validated(network, fitted(better=Reader(0.0)))
    assert found.decision.released == "better"
    assert sum(taken) == found.captures <= 200
    assert found.percent["better"] == 100


def test_what_cannot_be_decided_is_refused_at_the_bound():
    network, taken = bench()
    found = validated(network, fitted(same=Reader(0.1)))
    assert found.decision.released is None
    assert taken == 8 * [100], "no more at once than for the first look"
    assert list(found.looks) == [100, 200, 400, 800]


def test_what_is_worse_is_refused_early():
    network, taken = bench()
    assert validated(network, fitted(worse=Reader(0.4))).decision.released is None
    assert sum(taken) < 800


def test_shuffled_labels_release_nothing():
    network, _ = bench(labels=lambda truth: np.random.default_rng(1).permutation(truth))
    assert validated(network, fitted(better=Reader(0.0))).decision.released is None


@pytest.mark.parametrize("level", [0.0, 7.0])
def test_dark_or_saturated_frames_release_nothing(level):
    network, _ = bench(tiles_of=lambda tiles: torch.full_like(tiles, level))
    assert validated(network, fitted(better=Reader(0.0))).decision.released is None


def test_a_bumped_camera_ends_the_validation(monkeypatch):
    def moved(twin, images, tiles):
        raise CalibrationError("the maps have moved by +1.00 taps down")

    monkeypatch.setattr(validating, "require_still", moved)
    network, _ = bench()
    with pytest.raises(CalibrationError, match="have moved"):
        validated(network, fitted(better=Reader(0.0)))


def test_each_release_has_validation_images_of_its_own():
    assert seed_of("20261126T102308Z-mono-fmmo") != seed_of("20261126T102308Z-mono-fmmp")


def test_a_twin_that_explains_little_is_not_relied_on_and_more_captures_are_asked_for(monkeypatch):
    module = sys.modules[compensating.__name__]
    asked = []
    monkeypatch.setattr(module, "twin_of", lambda *_, **__: SimpleNamespace(held_out_r2=torch.tensor([0.3, 0.5, 0.6])))
    monkeypatch.setattr(module, "rematch", lambda backend, method, *_, **__: asked.append(method) or backend)
    frontend = SimpleNamespace(kernels=lambda: torch.rand(4, 3, 3), maps_of=signed_maps, colours=1)
    student = SimpleNamespace(frontend=frontend)
    images = torch.rand(20, 1, SIDE, SIDE)
    lecture = SimpleNamespace(images=images, student=student, of_pixels=False, augmented=False)
    shown, tiles = np.arange(12), torch.rand(12, 4, SIDE, SIDE)
    found = compensate(steps, nn.Sequential(nn.Flatten()), lecture, shown, tiles, ("e2e",), seed=0)
    assert found.candidates == FALLBACK
    assert asked == ["e2e", *FALLBACK]
    assert "50%" in found.warning
    assert "--set captures=120" in found.warning
