"""Principal components are scikit-learn's, whichever Gram matrix they are taken of."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from labonn.design import Backend
from labonn.networks import Student, hidden_and_logits
from labonn.training.pictures import _embedded
from tests.unit.training.test_students import CLASSES, DESIGN


@pytest.mark.parametrize("count", [9, 60])
def test_the_embedding_is_scikit_learn_s_principal_components_up_to_their_signs(count):
    design = DESIGN.model_copy(update={"backend": Backend(pool=4, hidden=24)})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        student = Student(design, (1, 8, 8), CLASSES).eval()
        images = torch.rand(count, 1, 8, 8)
    labels = np.arange(count)
    found, found_labels = _embedded(student, images, labels, 7)
    np.testing.assert_array_equal(found_labels, labels)
    with torch.no_grad():
        hidden = hidden_and_logits(student.backend, student.frontend(images))[0].numpy()
    expected = PCA(2).fit_transform(hidden.astype(float))
    signs = np.sign((found * expected).sum(axis=0))
    np.testing.assert_allclose(found * signs, expected, atol=2e-4 * np.abs(expected).max())
