"""A bench of mm-test-adapters' C++ camera and shutter, beside Python panels in one core; it has no optics."""

import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np

CFG = """\
Property,Core,Initialize,0
Device,Camera,DemoCamera,DCam
Device,Shutter,DemoCamera,DShutter
Device,Focus,DemoCamera,DStage
Device,XY,DemoCamera,DXYStage
#py pyDevice,SLM,tests.bench.democam_devices,Panel
#py pyDevice,Display,tests.bench.democam_devices,Panel
Property,Core,Initialize,1
Property,Camera,PixelType,16bit
Property,Camera,BitDepth,12
"""

BENCH = """\
schema = 1
name = "{name}"

[roles]
display = "display"
slm = "slm"
camera = "camera"
shutter = "shutter"
stage = "focus"
stage_right = "across"

[instruments.display]
driver = "micromanager"
cfg = "demo.cfg"
device = "Display"
pitch_um = 16.0
settle_ms = 1.0

[instruments.slm]
driver = "micromanager"
cfg = "demo.cfg"
device = "SLM"
pitch_um = 8.0
settle_ms = 1.0
levels_per_2pi = 255

[instruments.camera]
driver = "micromanager"
cfg = "demo.cfg"
device = "Camera"
timeout_ms = 60_000

[instruments.shutter]
driver = "micromanager"
cfg = "demo.cfg"
device = "Shutter"

[instruments.focus]
driver = "micromanager"
cfg = "demo.cfg"
device = "Focus"
lowest_um = -100
highest_um = 100

[instruments.across]
driver = "micromanager"
cfg = "demo.cfg"
device = "XY"
axis = "x"
lowest_um = -100
highest_um = 100

[geometry]
wavelength_nm = 532.0
focal_mm = 50.0
tap_um = 26.0
camera_pixel_um = 3.45
tile_pitch_um = 884.0
display_px_per_tap = 1
"""


CAMERA = """driver = "micromanager"
cfg = "demo.cfg"
device = "Camera"
"""
RECORDING = """driver = "opencv_camera"
source = "frames.avi"
fixed_exposure = true
exposure_ms = 5.0
"""


SLM = """driver = "micromanager"
cfg = "demo.cfg"
device = "SLM"
"""
GENICAM = """driver = "harvesters"
producer = "{producer}"
device = "VikyTL_DEV_blue"
features = {{ PixelFormat = "Mono8" }}
fixed_exposure = true
exposure_ms = 5.0
bit_depth = 8
"""
SLMSUITE_SLM = """driver = "slmsuite"
class = "simulated.SimulatedSLM"
arguments = { resolution = [128, 104] }
"""
SLMSUITE_CAMERA = """driver = "slmsuite"
class = "simulated.SimulatedCamera"
sees = "slm"
arguments = { bitdepth = 12 }
bit_depth = 12
"""


def demo_bench(folder: Path, cfg: str = CFG, *changes: tuple[str, str]) -> Path:
    """Write such a bench into a folder, with changes of the bench file's text."""
    content = BENCH.format(name=f"democam-{os.getpid()}")
    for old, new in changes:
        assert old in content, old
        content = content.replace(old, new)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "demo.cfg").write_text(cfg, encoding="utf-8")
    file = folder / "demo.bench.toml"
    file.write_text(content, encoding="utf-8")
    return file


def recorded_bench(folder: Path) -> Path:
    """Write such a bench whose camera is a recording, without losses, of a hundred frames."""
    import cv2

    writer = cv2.VideoWriter(str(folder / "frames.avi"), cv2.VideoWriter_fourcc(*"FFV1"), 25, (96, 64), False)
    for number in range(100):
        writer.write(np.full((64, 96), number, np.uint8))
    writer.release()
    return demo_bench(folder, CFG, (CAMERA, RECORDING))


def genicam_bench(folder: Path) -> Path:
    """Write such a bench whose camera is the GenICam group's simulated one, behind its GenTL producer."""
    package = find_spec("genicam")
    assert package is not None
    assert package.origin is not None
    producer = (Path(package.origin).parent / "viky.cti").as_posix()
    return demo_bench(folder, CFG, (CAMERA, GENICAM.format(producer=producer)))


def slmsuite_bench(folder: Path) -> Path:
    """Write such a bench whose SLM and camera are slmsuite's simulated pair."""
    return demo_bench(folder, CFG, (SLM, SLMSUITE_SLM), (CAMERA, SLMSUITE_CAMERA))
