"""Put a network that was trained before on this bench, and release it as it was trained."""

from pydantic import BaseModel

from labonn.protocol import Lab, Result
from labonn.protocol.deployment import load_deployment


class Parameters(BaseModel):
    """What can be set."""

    model: str


def run(lab: Lab, parameters: Parameters) -> Result:
    """Calibrate and release."""
    network = load_deployment(lab.folder, parameters.model)
    calibration = network.calibrate(lab)
    return Result(release=network.release(lab, network.student.backend, calibration, {}))
