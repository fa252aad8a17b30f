"""Empirical neural tangent kernels of any torch.nn.Module, exact by layer or estimated, and what is done with them.

`empirical_ntk` computes a kernel, `explain_choice` says how it would, `estimate_ntk` gives estimates with standard
errors; `matching_loss` compares a student's kernel with a teacher's; `require_trainable_kernel` says beforehand whether
a training on it can work; `teacher_kernel` computes a fixed model's kernel once and keeps it; `blockwise_ntk` computes
large ones, and `fit_ntk_ridge` and `fit_kernel_ridge` regress with them.
"""

from labonn.ntk.blocks import blockwise_ntk, ntk_blocks
from labonn.ntk.cost import Choice, Cost
from labonn.ntk.kernel import empirical_ntk, explain_choice
from labonn.ntk.losses import FlatKernel, centred_alignment, matching_loss
from labonn.ntk.probes import Estimate, Readouts, estimate_ntk
from labonn.ntk.ridge import KernelRidge, NtkRidge, fit_kernel_ridge, fit_ntk_ridge, one_hot
from labonn.ntk.teacher import TeacherKernel, teacher_kernel
from labonn.ntk.trainable import require_trainable_kernel

__all__ = [
    "Choice",
    "Cost",
    "Estimate",
    "FlatKernel",
    "KernelRidge",
    "NtkRidge",
    "Readouts",
    "TeacherKernel",
    "blockwise_ntk",
    "centred_alignment",
    "empirical_ntk",
    "estimate_ntk",
    "explain_choice",
    "fit_kernel_ridge",
    "fit_ntk_ridge",
    "matching_loss",
    "ntk_blocks",
    "one_hot",
    "require_trainable_kernel",
    "teacher_kernel",
]
