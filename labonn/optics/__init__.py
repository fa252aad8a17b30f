"""The differentiable frontend: what the optics compute, and the phase pattern that makes them do so."""

from labonn.optics.frontend import Frontend, joined, signed_maps
from labonn.optics.phase import PhaseSolution, Pupil, kernels_of_pattern, solve_phase_pattern

__all__ = ["Frontend", "PhaseSolution", "Pupil", "joined", "kernels_of_pattern", "signed_maps", "solve_phase_pattern"]
