"""What a backend is re-matched on: features of captured maps, and of those that the optical twin predicts."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from labonn.compensation.methods import RECIPES, Recipe, recipe_of
from labonn.compensation.ridge_map import can_solve, solve_first_layer
from labonn.compensation.twin_colour import AnyTwin
from labonn.networks import Student, split_backend
from labonn.training import Teaching

IMAGES_A_TWIN = 8000  # enough that a twin is worth being made into one matrix
CHUNK_IMAGES = 500
CHUNK_OF_LARGE = (
    16  # of images of more than so many pixels: what several threads predict at once, and memory is used again
)
SMALL_PIXELS = 1024
LARGEST_BYTES = 2_000_000_000  # of features in 32 bits; more are kept in 16, far below the noise of a capture


@dataclass(frozen=True)
class Captured:
    """Feature maps that the optics really produced, of some training images.

    Attributes
    ----------
    indices
        (n,) int64, which training images.
    maps
        (n, K, H, W) float32, signed, in the student's units.
    """

    indices: Tensor
    maps: Tensor


@dataclass(frozen=True)
class Lecture:
    """The training set as a backend is taught it: images, what the teacher says of them, the student as trained."""

    images: Tensor  # (N, C, H, W)
    teaching: Teaching
    student: Student
    overlap: float = 0.0  # weight of the overlap in the task's loss, where each pixel has a class
    augmented: bool = False  # whether the student was trained on flipped or moved images, too

    @property
    def of_pixels(self) -> bool:
        """Whether each pixel has a class, or each image."""
        return self.teaching.of_pixels


class Material:
    """What the methods of one re-matching share, computed when it is first asked for.

    Whatever a backend does before its first trained layer (rectify, pool) does not change while it is re-matched. So it
    is done once, and a training step works on features (F,) instead of maps (K, H, W).

    Parameters
    ----------
    backend
        The one in use.
    captured
        The captures that may be used.
    twin
        Fitted to these captures; needed by methods that train on it.
    lecture
        The training set and what the teacher says of it.
    seed
        For the noise.
    """

    def __init__(
        self, backend: nn.Module, captured: Captured, twin: AnyTwin | None, lecture: Lecture, *, seed: int
    ) -> None:
        self.captured, self.lecture = captured, lecture
        self._twin, self._seed = twin, seed
        self._fixed, layers = split_backend(backend)
        self._solvable = lecture.augmented and can_solve(layers)
        self._predicted: Tensor | None = None
        self._solved: dict[bool, dict[str, Tensor]] = {}

    def recipe(self, method: str) -> Recipe:
        """The recipe of a method, for this backend and these images."""
        return recipe_of(method, of_pixels=self.lecture.of_pixels, solved=self._solvable)

    def steps_of(self, method: str) -> int:
        """How many steps a method takes; none where it only solves for its backend."""
        return self.recipe(method).steps if method in RECIPES else 0

    @cached_property
    @torch.no_grad()
    def features(self) -> Tensor:
        """Features (n, F) of the captures."""
        return self._read(self.captured.maps)

    @cached_property
    @torch.no_grad()
    def simulated(self) -> Tensor:
        """Features (n, F) that the student expected of the captured images."""
        frontend = self.lecture.student.frontend.eval()
        return self._read(frontend(self.lecture.images[self.captured.indices]))

    @property
    def predicted(self) -> Tensor:
        """Features (N, F) of the training set, as `predict` makes them; where they are many, in float16."""
        return self.predict() if self._predicted is None else self._predicted

    @torch.no_grad()
    def predict(self, on_images: Callable[[int], None] = lambda count: None) -> Tensor:
        """Let the twin predict the training set, noise included; what was captured stands for itself.

        Each few thousand images are seen by another twin, drawn from those that the captures allow. The noise on
        an image is drawn once: a training sees an image six times or so, and four draws made no difference. Of normal
        numbers there are as many as a chunk needs; each chunk begins at another of them.

        Parameters
        ----------
        on_images
            Told how many images more are predicted.
        """
        if self._twin is None:
            raise ValueError("a method that trains on the twin's maps needs a twin")
        generator = torch.Generator().manual_seed(self._seed)
        predicted, done = torch.empty(0), 0
        normals: Tensor | None = None
        chunk_images = CHUNK_IMAGES if self.lecture.images[0, 0].numel() <= SMALL_PIXELS else CHUNK_OF_LARGE
        for images in torch.split(self.lecture.images, IMAGES_A_TWIN):
            predict = self._twin.sample(generator).mapping(len(images))
            for chunk in torch.split(images, chunk_images):
                maps = predict(chunk)
                if normals is None:
                    normals = torch.randn(maps.shape, generator=generator)
                place = int(torch.randint(normals.numel(), (1,), generator=generator))
                drawn = normals.roll(place)[: len(chunk)]
                features = self._read(self._twin.noisy(maps, chunk, generator, normals=drawn))
                if not done:
                    predicted = _room_for(len(self.lecture.images), features)
                predicted[done : done + len(chunk)] = features
                done += len(chunk)
                on_images(len(chunk))
        predicted[self.captured.indices] = self.features.to(predicted.dtype)
        self._predicted = predicted
        return self._predicted

    def solved(self, *, twin: bool, on_part: Callable[[], None] = lambda: None) -> dict[str, Tensor]:
        """Weights of the student's first layer, solved for to read the captures, or what the twin predicts.

        Once for all methods. `on_part` is called before each part of the images.
        """
        if twin not in self._solved:
            layers = copy.deepcopy(split_backend(self.lecture.student.backend)[1])
            solve_first_layer(layers, self._beside_simulated(twin=twin, on_part=on_part))
            self._solved[twin] = layers[0].state_dict()
        return self._solved[twin]

    @torch.no_grad()
    def _beside_simulated(self, *, twin: bool, on_part: Callable[[], None]) -> Iterator[tuple[Tensor, Tensor]]:
        """Features of the captures, or of what the twin predicts, and those that the student expected of the images.

        Both (n, F), in parts; `on_part` is called before each.
        """
        features = self.predicted if twin else self.features
        indices = torch.arange(len(features)) if twin else self.captured.indices
        frontend = self.lecture.student.frontend.eval()
        for places in torch.split(torch.arange(len(features)), CHUNK_IMAGES):
            on_part()
            yield features[places].float(), self._read(frontend(self.lecture.images[indices[places]]))

    def _read(self, maps: Tensor) -> Tensor:
        features: Tensor = self._fixed(maps)
        return features


def _room_for(count: int, features: Tensor) -> Tensor:
    """An empty tensor for features of so many images, (count, F)."""
    small = 4 * count * features[0].numel() <= LARGEST_BYTES
    return torch.empty(count, *features.shape[1:], dtype=torch.float32 if small else torch.float16)
