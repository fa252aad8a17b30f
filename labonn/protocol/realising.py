"""From a trained network to one that the bench's optics can be: its phase pattern."""

from typing import TYPE_CHECKING

from labonn.design import lay_out
from labonn.optics import Pupil, solve_phase_pattern
from labonn.protocol.deployment import store
from labonn.protocol.trained import Trained

if TYPE_CHECKING:
    from labonn.protocol.lab import Lab


def realise(lab: "Lab", trained: Trained, *, steps: int, seed: int) -> str:
    """Search the phase pattern of a trained network for the bench's SLM, and keep all of it as a model; its id."""
    bench = lab.bench
    geometry = bench.config.geometry
    pupil = Pupil(geometry.wavelength_nm, bench.slm.pitch_um, geometry.focal_mm, geometry.tap_um)
    with lab.step("searching the phase pattern", total=steps) as step:
        solution = solve_phase_pattern(
            trained.student.frontend.kernels(),
            lay_out(trained.design.optic),
            pupil,
            bench.slm.shape,
            steps=steps,
            seed=seed,
            on_step=step.advance,
        )
    pattern = {
        "psf_correlation": float(solution.correlation.mean()),
        "psf_relative_error": float(solution.relative_error.mean()),
        "psf_efficiency": float(solution.efficiency.mean()),
    }
    known = {"accuracy": trained.accuracy, "pattern": pattern, "seed": seed, **trained.origin}
    return store(lab, trained.design, trained.teacher, trained.student, solution, known)
