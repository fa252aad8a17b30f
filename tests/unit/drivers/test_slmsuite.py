"""slmsuite's SLMs and cameras: levels and counts pass as they are, and what its users complain of does not.

Run against slmsuite's own simulated pair, and against the classes of all makers whose software is not here.
"""

import inspect
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from drivers.slmsuite_adapter import SlmsuiteCamera, SlmsuiteSLM, load
from labonn.errors import ConfigError, InstrumentError
from labonn.instruments import SLM, Camera

from .benches import make, site

slmsuite = pytest.importorskip("slmsuite", reason="pip install 'labonn[vendor]'")

PANEL = {
    "driver": "slmsuite",
    "class": "simulated.SimulatedSLM",
    "arguments": {"resolution": [128, 104]},
    "pitch_um": 8.0,
    "settle_ms": 0.0,
    "levels_per_2pi": 256,
}
SENSOR = {
    "driver": "slmsuite",
    "class": "simulated.SimulatedCamera",
    "sees": "slm",
    "arguments": {"bitdepth": 12, "gain": 200},
    "exposure_ms": 10.0,
    "bit_depth": 12,
}


@contextmanager
def pair(slm: dict[str, Any] | None = None, camera: dict[str, Any] | None = None) -> Iterator[tuple[Any, Any]]:
    where = site()
    panel: Any = make(SLM, where, **{**PANEL, **(slm or {})})
    panel.connect()
    sensor: Any = make(Camera, where, **{**SENSOR, **(camera or {})})
    try:
        sensor.connect()
        yield panel, sensor
    finally:
        sensor.disconnect()
        panel.disconnect()
        where.shared.close()


def noise(shape: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 2 * np.pi, shape)


def test_sides_are_not_mistaken_and_the_pair_is_written_down() -> None:
    with pair() as (slm, camera):
        assert slm.shape == (104, 128)
        assert camera.shape == (104, 128)
        assert "SimulatedSLM" in slm.identify()
        assert "104 x 128 px, 12 bits" in camera.identify()
        assert slm.settings()["reported"]["slmsuite"] == slmsuite.__version__


def test_levels_pass_as_they_are() -> None:
    """slmsuite would turn a phase's sign, shift it by a level, and add a correction of its own to it."""
    with pair() as (slm, _):
        slm._made.source["phase"] = np.full(slm.shape, 1.0)
        phase = noise(slm.shape)
        slm.show(phase)
        assert np.array_equal(slm._made.display, slm.levels_of(phase))
        slm.show(np.full(slm.shape, np.pi))
        assert (slm._made.display == 128).all()


def test_a_panel_of_more_bits_gets_levels_in_its_upper_ones() -> None:
    with pair({"arguments": {"resolution": [128, 104], "bitdepth": 10}}) as (slm, _):
        slm.show(np.full(slm.shape, 2 * np.pi * 200 / 256))
        assert slm._made.display.dtype == np.uint16
        assert (slm._made.display == 800).all()
    fewer = {"arguments": {"resolution": [128, 104], "bitdepth": 6}}
    with pytest.raises(ConfigError, match=r"bit_depth = 8: simulated.SimulatedSLM has 6 bits"), pair(fewer):
        pass


def test_the_camera_sees_the_far_field_of_what_the_panel_shows() -> None:
    """A flat phase gathers light on the axis; a blaze of four pixels moves it by a quarter of the field."""
    with pair() as (slm, camera):
        slm.show(np.zeros(slm.shape))
        flat = camera.snap()
        assert np.unravel_index(flat.argmax(), flat.shape) == (52, 64)
        slm.show(np.broadcast_to(np.arange(128) % 4 * (np.pi / 2), slm.shape))
        blazed = camera.snap()
        row, column = np.unravel_index(blazed.argmax(), blazed.shape)
        assert (row, abs(column - 64)) == (52, 32)
        assert flat.dtype == blazed.dtype == np.uint16


def test_a_rectangle_and_an_exposure_are_read_back() -> None:
    with pair(camera={"arguments": {"bitdepth": 12, "gain": 50_000}}) as (slm, camera):
        slm.show(noise(slm.shape))
        whole = camera.snap()
        camera.roi = (8, 16, 40, 64)
        assert np.array_equal(camera.snap(), whole[8:48, 16:80])
        camera.roi = None
        camera.exposure_ms = 5.0
        assert camera.exposure_ms == pytest.approx(5.0)
        assert camera.snap().sum() == pytest.approx(whole.sum() / 2, rel=0.02)
        frames = list(camera.frames(3))
        assert np.diff([frame.number for frame in frames]).tolist() == [1, 1]


def test_counts_are_not_added_up_in_the_place_of_binning() -> None:
    with pair() as (_, camera), pytest.raises(ConfigError, match="binning = 2: its driver does not bin"):
        camera.binning = 2


def test_a_frame_that_fails_is_not_taken_again_unseen() -> None:
    with pair() as (_, camera):
        asked = []

        def fails(*arguments: Any, **more: Any) -> Any:
            asked.append(arguments)
            raise RuntimeError("frame dropped")

        camera._made._get_image_hw = fails
        with pytest.raises(InstrumentError, match="camera: taking a frame: frame dropped"):
            camera.snap()
        assert len(asked) == 1


def test_frames_that_it_kept_are_thrown_away_first() -> None:
    with pair() as (_, camera):
        order = []
        frame = camera._made.get_image
        camera._made.flush = lambda *arguments: order.append("flush")
        camera._made.get_image = lambda **more: order.append("frame") or frame(**more)
        camera.snap()
        list(camera.frames(2))
        assert order == ["flush", "frame", "flush", "frame", "frame"]


@pytest.mark.parametrize("shift", [0, 4])
def test_twelve_bits_in_sixteen_wherever_they_stand(shift: int) -> None:
    with pair(camera={"alignment": "left" if shift else "right"}) as (_, camera):
        counts = np.random.default_rng(0).integers(0, 4096, camera.shape).astype(np.uint16)
        camera._made._get_image_hw = lambda timeout_s: counts << shift
        assert np.array_equal(camera.snap(), counts)
        camera._made._get_image_hw = lambda timeout_s: counts << (4 - shift)
        with pytest.raises(InstrumentError, match="correct bit_depth"):
            camera.snap()
        camera._made._get_image_hw = lambda timeout_s: counts.astype(float)
        with pytest.raises(InstrumentError, match="delivered float64 pixels"):
            camera.snap()


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        (SLM, {"class": "holoeye.HoloEye"}, "slmsuite.hardware.slms has no such SLM"),
        (SLM, {"class": "luxor.Luxor"}, "slmsuite.hardware.slms has no such SLM"),
        (SLM, {"class": "os.system"}, "slmsuite.hardware.slms has no such SLM"),
        (SLM, {"arguments": {"resolution": [128, 104], "serial": 1}}, "arguments: simulated.SimulatedSLM .*'serial'"),
        (Camera, {"class": "simulated.SimulatedCamera", "sees": "panel"}, "sees = 'panel': is no SLM of this bench"),
        (Camera, {"class": "basler.Basler", "arguments": {"averaging": 4}}, "averaging: every frame is one frame"),
    ],
)
def test_what_cannot_be_is_refused(kind: Any, changes: dict[str, Any], said: str) -> None:
    table = {**(PANEL if kind is SLM else SENSOR), "arguments": {}, "sees": None, **changes}
    if kind is SLM:
        del table["sees"]
    with pytest.raises((ConfigError, InstrumentError), match=said):
        make(kind, site(), **table).connect()


# Classes whose SDK is a package, or a Windows library, that no test machine has.
ABSENT = [
    ("slms", "holoeye.Holoeye", "HOLOEYE's SLM Display SDK"),
    ("slms", "meadowlark.Meadowlark", "Meadowlark's Blink SDK"),
    ("slms", "santec.Santec", "Santec's SLM-200 DLLs"),
    ("slms", "hamamatsu.Hamamatsu", "Hamamatsu's LCOS-SLM DLL"),
    ("cameras", "basler.Basler", r"pip install pypylon"),
    ("cameras", "flir.FLIR", "the Spinnaker SDK"),
    ("cameras", "thorlabs.ThorCam", "thorlabs_tsi_sdk"),
    ("cameras", "alliedvision.AlliedVision", "vmbpy"),
    ("cameras", "pylablib.PyLabLib", "pip install pylablib"),
]


@pytest.mark.parametrize(("where", "name", "install"), ABSENT)
def test_an_sdk_that_is_not_installed_is_named_with_what_to_install(where: str, name: str, install: str) -> None:
    kind, table = (SLM, PANEL) if where == "slms" else (Camera, {**SENSOR, "sees": None})
    with pytest.raises(ConfigError, match=f"class = '{name}': its maker's software is not installed here.*{install}"):
        make(kind, site(), **{**table, "class": name, "arguments": {}}).connect()


def test_every_class_of_slmsuite_takes_what_it_is_given_here() -> None:
    """Signatures have drifted from the base classes before: the versions that are allowed have none that did."""
    checked = []
    for driver, where in ((SlmsuiteSLM, "slms"), (SlmsuiteCamera, "cameras")):
        base = getattr(load(f"hardware.{where}.{driver.base.lower()}"), driver.base)
        for found in pkgutil.iter_modules(load(f"hardware.{where}").__path__):
            if found.name in ("_slm_win", "template"):
                continue
            module = load(f"hardware.{where}.{found.name}")
            for made_of in vars(module).values():
                if inspect.isclass(made_of) and issubclass(made_of, base) and made_of.__module__ == module.__name__:
                    driver._check_signatures(_Named(driver, found.name), made_of)  # type: ignore[arg-type]
                    checked.append(made_of.__name__)
    assert {"Holoeye", "Meadowlark", "Santec", "Basler", "ThorCam", "SimulatedCamera"} <= set(checked)


class _Named:
    def __init__(self, driver: Any, name: str) -> None:
        self._calls = lambda: driver._calls(None)
        self.base = driver.base
        self.table = type("Table", (), {"class_name": name})


def test_a_class_that_has_drifted_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load("hardware.cameras.simulated").SimulatedCamera, "_get_image_hw", lambda self: None)
    with pytest.raises(ConfigError, match="its _get_image_hw is not what slmsuite's Camera says"), pair():
        pass


def test_where_it_is_missing_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.slmsuite_adapter.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs slmsuite, which is not installed: pip install 'labonn\[vendor\]'"):
        make(SLM, site(), **PANEL).connect()
