"""Views are the images themselves, mirrored and moved; nothing else."""

import numpy as np
import pytest
import torch

from labonn.training.augmenting import augmented

IMAGES = torch.rand(300, 2, 5, 6, generator=torch.Generator().manual_seed(0)) + 0.1


def moved(image, down, right):
    """By numpy: what is beyond the edge is dark."""
    padded = np.pad(image, ((0, 0), (2, 2), (2, 2)))
    return padded[:, 2 - down : 7 - down, 2 - right : 8 - right]


@pytest.mark.parametrize("flips", [False, True])
def test_every_view_is_a_mirrored_and_moved_image_and_all_of_them_come(flips):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        views = augmented(IMAGES, flips=flips, shift_px=2).numpy()
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
    assert torch.equal(augmented(IMAGES, flips=False, shift_px=0), IMAGES)
