"""Relational knowledge distillation: how a batch's images stand to each other, not where each stands."""

import torch
from torch import Tensor
from torch.nn import functional

ANGLES = 2.0  # weight of the angles where the distances weigh one
LEAST = 1e-12


def relational_loss(student: Tensor, teacher: Tensor) -> Tensor:
    r"""L_D + 2 L_A: Huber losses between the distances, and between the angles, of two embeddings of the same images.

        psi_D(i, j) = |e_i - e_j| / mu,  mu the mean distance of all pairs i != j
        psi_A(i, j, k) = cos of the angle at e_j between e_i and e_k

    Blind to rotation, reflection, shift and scale of either embedding, and to how many dimensions it has.

    Parameters
    ----------
    student, teacher
        (n, F) and (n, G), or of more axes that are taken as one; the teacher's is taken as fixed.

    Returns
    -------
    A scalar; 0 where the embeddings are similar figures.

    Source: Park, Kim, Lu, Cho, "Relational knowledge distillation", CVPR 2019, eqs. 5 to 10; the ratio of the weights
    as in section 4.1.
    """
    student, fixed = _precise(student.flatten(1)), _precise(teacher.detach().flatten(1))
    with torch.autocast(student.device.type, enabled=False):  # small differences of large numbers
        distances = functional.smooth_l1_loss(_distances(student), _distances(fixed))
        angles = functional.smooth_l1_loss(_angles(student), _angles(fixed))
    return distances + ANGLES * angles


def _precise(embedding: Tensor) -> Tensor:
    return embedding.to(torch.promote_types(embedding.dtype, torch.float32))


def _distances(embedding: Tensor) -> Tensor:
    """(n, n), in units of the mean over pairs of different images."""
    squares = embedding.square().sum(dim=1)
    apart2 = (squares[:, None] + squares - 2 * embedding @ embedding.T).clamp_min(LEAST)
    off_diagonal = 1 - torch.eye(len(embedding), dtype=embedding.dtype, device=embedding.device)
    apart = apart2.sqrt() * off_diagonal
    return apart / (apart.sum() / off_diagonal.sum()).clamp_min(LEAST)


def _angles(embedding: Tensor) -> Tensor:
    """(n, n, n), the cosine at the first image between the directions to the second and the third."""
    directions = functional.normalize(embedding[None] - embedding[:, None], dim=2)
    return directions @ directions.transpose(1, 2)
