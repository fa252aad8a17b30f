"""Everything that a simulated laboratory does and an ideal one does not, by name."""

from sim.effect import Effect
from sim.effects_light import DisplayDeadPixels, DisplayGamma, DisplayGrid, LaserDrift, LightNoise
from sim.effects_optics import (
    Aberrations,
    Bandwidth,
    Beam,
    Blur,
    Chromatic,
    Fabrication,
    FieldDependence,
    Ghosts,
    MeasuredPsf,
    Misalignment,
    PartialCoherence,
    PhaseScreen,
    Shear,
    Speckle,
    StrayLight,
    TileGain,
    TileShift,
    Vignetting,
)
from sim.effects_sensor import (
    Bayer,
    Blooming,
    ColumnOffset,
    DarkCurrent,
    HotPixels,
    PixelGain,
    QuantumEfficiency,
    ReadNoise,
    RollingShutter,
    ShotNoise,
)
from sim.effects_slm import Fringing, PhaseTable, SlmDeadPixels, SlmFlicker, ZeroOrder
from sim.effects_time import Knock, Settling, ThermalDrift, TimingJitter
from sim.frozen import Frozen

__all__ = ["Effect", "Effects"]


class Effects(Frozen):
    """Everything that can be switched on and off, by name. Where a file names no table, what was added later is off."""

    phase_table: PhaseTable
    fringing: Fringing
    zero_order: ZeroOrder
    aberrations: Aberrations
    phase_screen: PhaseScreen
    bandwidth: Bandwidth
    beam: Beam
    tile_gain: TileGain
    blur: Blur
    misalignment: Misalignment
    tile_shift: TileShift
    vignetting: Vignetting
    stray_light: StrayLight
    display_gamma: DisplayGamma
    shot_noise: ShotNoise
    read_noise: ReadNoise
    dark_current: DarkCurrent
    pixel_gain: PixelGain
    column_offset: ColumnOffset
    light_noise: LightNoise
    settling: Settling
    slm_dead_pixels: SlmDeadPixels = SlmDeadPixels(on=False)
    slm_flicker: SlmFlicker = SlmFlicker(on=False)
    shear: Shear = Shear(on=False)
    ghosts: Ghosts = Ghosts(on=False)
    fabrication: Fabrication = Fabrication(on=False)
    field_dependence: FieldDependence = FieldDependence(on=False)
    chromatic: Chromatic = Chromatic(on=False)
    partial_coherence: PartialCoherence = PartialCoherence(on=False)
    speckle: Speckle = Speckle(on=False)
    measured_psf: MeasuredPsf = MeasuredPsf(on=False)
    laser_drift: LaserDrift = LaserDrift(on=False)
    display_grid: DisplayGrid = DisplayGrid(on=False)
    display_dead_pixels: DisplayDeadPixels = DisplayDeadPixels(on=False)
    hot_pixels: HotPixels = HotPixels(on=False)
    blooming: Blooming = Blooming(on=False)
    quantum_efficiency: QuantumEfficiency = QuantumEfficiency(on=False)
    bayer: Bayer = Bayer(on=False)
    rolling_shutter: RollingShutter = RollingShutter(on=False)
    timing_jitter: TimingJitter = TimingJitter(on=False)
    thermal_drift: ThermalDrift = ThermalDrift(on=False)
    knock: Knock = Knock(on=False)
