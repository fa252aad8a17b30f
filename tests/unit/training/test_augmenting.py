"""Views are the images themselves, mirrored and moved; nothing else."""

import numpy as np
import pytest
import torch

from labonn.training.augmenting import drawn_shift, drawn_view
from labonn.training.labels import UNLABELLED
from labonn.training.lessons import Lesson

IMAGES = torch.rand(300, 2, 5, 6, generator=torch.Generator().manual_seed(0)) + 0.1


def moved(image, down, right):
    """By numpy: what is beyond the edge is dark."""
    padded = np.pad(image, ((0, 0), (2, 2), (2, 2)))
    return padded[:, 2 - down : 7 - down, 2 - right : 8 - right]


@pytest.mark.parametrize("flips", [False, True])
def test_every_view_is_a_mirrored_and_moved_image_and_all_of_them_come(flips):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        views = drawn_view(len(IMAGES), flips=flips, shift_px=2).of(IMAGES).numpy()
    seen = set()
    for view, image in zip(views, IMAGES.numpy(), strict=True):
        choices = {
            (mirrored, down, right): moved(image[..., ::-1] if mirrored else image, down, right)
            for mirrored in ((False, True) if flips else (False,))
            for down in range(-2, 3)
            for right in range(-2, 3)
        }
        (found,) = [choice for choice, picture in choices.items() if np.array_equal(view, picture)]
        seen.add(found)
    assert len(seen) == 25 * (1 + flips)


def test_without_either_the_images_are_as_they_were():
    assert torch.equal(drawn_view(300, flips=False, shift_px=0).of(IMAGES), IMAGES)


def test_a_whole_batch_is_moved_alike_and_every_shift_comes():
    seen = set()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(200):
            views = drawn_shift(2).of(IMAGES[:2]).numpy()
            (found,) = [
                (down, right)
                for down in range(-2, 3)
                for right in range(-2, 3)
                if all(
                    np.array_equal(view, moved(image, down, right))
                    for view, image in zip(views, IMAGES.numpy()[:2], strict=True)
                )
            ]
            seen.add(found)
    assert len(seen) == 25


@pytest.mark.parametrize("flips", [False, True])
def test_what_is_said_of_pixels_moves_with_them_and_nothing_is_said_of_what_was_outside(flips):
    masks = (IMAGES[:, 0] > 0.6).long()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        view = drawn_view(len(IMAGES), flips=flips, shift_px=2)
    lesson = Lesson(masks, IMAGES, torch.eye(300), IMAGES + 1).seen(view)
    seen = view.of(IMAGES)
    outside = seen[:, 0] == 0
    assert torch.equal(lesson.labels == UNLABELLED, outside)
    assert torch.equal(lesson.labels[~outside], (seen[:, 0] > 0.6).long()[~outside])
    assert torch.equal(lesson.logits, seen)
    assert torch.equal(lesson.hidden, view.of(IMAGES + 1))
    assert torch.equal(lesson.kernel, torch.eye(300))
    of_images = Lesson(torch.arange(300), IMAGES[:, :, 0, 0])
    assert of_images.seen(view).labels is of_images.labels
    assert of_images.seen(view).logits is of_images.logits
