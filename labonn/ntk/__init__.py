"""Empirical neural tangent kernels of any torch.nn.Module, exact by layer or estimated, and what is done with them.

`empirical_ntk` computes a kernel; `matching_loss` compares a student's with a teacher's; `require_trainable_kernel`
says beforehand whether a training on it can work; `teacher_kernel` computes a fixed model's kernel once and keeps it.
"""

from labonn.ntk.blocks import blockwise_ntk, ntk_blocks
from labonn.ntk.kernel import empirical_ntk
from labonn.ntk.losses import centred_alignment, matching_loss
from labonn.ntk.teacher import TeacherKernel, teacher_kernel
from labonn.ntk.trainable import require_trainable_kernel

__all__ = [
    "TeacherKernel",
    "blockwise_ntk",
    "centred_alignment",
    "empirical_ntk",
    "matching_loss",
    "ntk_blocks",
    "require_trainable_kernel",
    "teacher_kernel",
]
