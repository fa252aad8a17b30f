"""What a hybrid optical network is, before anything is trained or built: a frozen specification and its layout."""

from labonn.design.design import Backend, Design, Optic, Sensor, Teacher, Training
from labonn.design.digest import design_hash
from labonn.design.energy import Energy, EnergyModel, LayerCost, energy, layer_costs
from labonn.design.layout import Layout, SubAperture, lay_out
from labonn.design.light import LightLimits, light_limits
from labonn.design.operations import Operations, operations, parameters
from labonn.design.placing import Tile, place_tiles
from labonn.design.reading import load_design
from labonn.design.resolution import diffraction_um
from labonn.design.sensor_room import SensorRoom, sensor_room
from labonn.design.targets import TARGETS, least_latency_ms

__all__ = [
    "TARGETS",
    "Backend",
    "Design",
    "Energy",
    "EnergyModel",
    "LayerCost",
    "Layout",
    "LightLimits",
    "Operations",
    "Optic",
    "Sensor",
    "SensorRoom",
    "SubAperture",
    "Teacher",
    "Tile",
    "Training",
    "design_hash",
    "diffraction_um",
    "energy",
    "lay_out",
    "layer_costs",
    "least_latency_ms",
    "light_limits",
    "load_design",
    "operations",
    "parameters",
    "place_tiles",
    "sensor_room",
]
