"""From a trained network to one that stands on a bench: behind an SLM by its pattern, else by an optic made for it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from labonn.design import lay_out
from labonn.errors import ConfigError
from labonn.optics import PhaseSolution, Pupil, solve_phase_pattern
from labonn.protocol.deployment import store
from labonn.protocol.trained import Trained

if TYPE_CHECKING:
    from labonn.protocol.lab import Lab


def realise(lab: "Lab", trained: Trained, *, steps: int, seed: int) -> str:
    """Keep a trained network as a model of the bench; its id. Its pattern is searched first, where there is an SLM.

    Raises
    ------
    ConfigError
        If the bench's optic is a fixed one, and was made for another model.
    """
    solution = _pattern(lab, trained, steps, seed) if lab.bench.has_slm else None
    if solution is None:
        require_made_for(lab, trained.origin)
    pattern: dict[str, Any] = {}
    if solution is not None:
        pattern = {
            "psf_correlation": float(solution.correlation.mean()),
            "psf_relative_error": float(solution.relative_error.mean()),
            "psf_efficiency": float(solution.efficiency.mean()),
        }
    known = {trained.design.measure: trained.accuracy, "pattern": pattern, "seed": seed, **trained.origin}
    return store(lab, trained.design, trained.teacher, trained.student, solution, known)


def require_made_for(lab: "Lab", origin: Mapping[str, Any]) -> None:
    """Check that a fixed optic, where its bench file says for which model it was made, was made for this one.

    Raises
    ------
    ConfigError
        If it was not.
    """
    optic = lab.bench_config.optic
    wanted = None if optic is None else optic.model
    model = origin.get("trained_as", {}).get("model")
    if optic is not None and wanted is not None and model != wanted:
        raise ConfigError(
            f"{lab.bench_path}: [optic] {optic.serial_number} was made for model {wanted}, and its kernels are not"
            f" those of {model or 'a network that is trained now'}: deploy that model (--set model={wanted}), or"
            " have an optic made for this one"
        )


def _pattern(lab: "Lab", trained: Trained, steps: int, seed: int) -> PhaseSolution:
    """Search the phase pattern for the bench's SLM."""
    bench = lab.bench
    geometry = bench.config.geometry
    pupil = Pupil(geometry.wavelength_nm, bench.slm.pitch_um, geometry.focal_mm, geometry.tap_um)
    with lab.step("searching the phase pattern", total=steps) as step:
        return solve_phase_pattern(
            trained.student.frontend.kernels(),
            lay_out(trained.design.optic),
            pupil,
            bench.slm.shape,
            steps=steps,
            seed=seed,
            on_step=step.advance,
        )
