"""What a hybrid optical network is, before anything is trained or built: a frozen specification and its layout."""

from labonn.design.design import Backend, Design, Optic, Sensor, Teacher, Training
from labonn.design.digest import design_hash
from labonn.design.layout import Layout, SubAperture, lay_out
from labonn.design.operations import Operations, operations, parameters
from labonn.design.reading import load_design
from labonn.design.resolution import diffraction_um
from labonn.design.sensor_room import SensorRoom, sensor_room

__all__ = [
    "Backend",
    "Design",
    "Layout",
    "Operations",
    "Optic",
    "Sensor",
    "SensorRoom",
    "SubAperture",
    "Teacher",
    "Training",
    "design_hash",
    "diffraction_um",
    "lay_out",
    "load_design",
    "operations",
    "parameters",
    "sensor_room",
]
