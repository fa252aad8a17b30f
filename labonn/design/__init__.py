"""What a hybrid optical network is, before anything is trained or built: a frozen specification and its layout."""

from labonn.design.design import Backend, Design, Optic, Sensor, Teacher, Training, load_design
from labonn.design.layout import Layout, SubAperture, lay_out

__all__ = [
    "Backend",
    "Design",
    "Layout",
    "Optic",
    "Sensor",
    "SubAperture",
    "Teacher",
    "Training",
    "lay_out",
    "load_design",
]
