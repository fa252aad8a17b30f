"""SLMs and cameras that slmsuite has a class for: their makers' SDKs, behind its two base classes.

slmsuite is https://github.com/holodyne/slmsuite. What its base classes do beyond passing on is kept out of the way: no
phase of its own making is added, no level is scaled or inverted, no frame is tried again unseen, averaged or cropped.
"""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from labonn.config import Frozen
from labonn.errors import ConfigError, InstrumentError
from labonn.instruments import SLM, Camera, CameraTable, Frame, Instrument, InstrumentTable, SLMTable
from labonn.instruments.camera import Roi

_ITS_PART: Final = 0.9
# slmsuite's modules, and what its users have to install for them.
_SDKS: Final = {
    "alliedvision": "Vimba X and its Python package vmbpy",
    "basler": "pypylon (pip install pypylon)",
    "flir": "the Spinnaker SDK and its Python package PySpin",
    "hamamatsu": "Hamamatsu's LCOS-SLM DLL, on Windows",
    "holoeye": "HOLOEYE's SLM Display SDK for Python (HEDS)",
    "imagingsource": "The Imaging Source's tisgrabber",
    "instrumental": "instrumental-lib (pip install instrumental-lib)",
    "meadowlark": "Meadowlark's Blink SDK, on Windows",
    "mindvision": "MindVision's SDK and its mvsdk.py",
    "pylablib": "pylablib (pip install pylablib), and the camera's own SDK",
    "santec": "Santec's SLM-200 DLLs, beside slmsuite's santec.py, on Windows",
    "screenmirrored": "pyglet (pip install pyglet); or use labonn's own driver, display",
    "texasinstruments": "slmsuite's own extra (pip install slmsuite[slms])",
    "thorlabs": "Thorlabs' scientific camera SDK and its Python package thorlabs_tsi_sdk",
    "xenics": "Xenics' Xeneth SDK, on Windows",
}
# How an SDK that is not there shows itself, by slmsuite's class: a missing module, a name that only Windows has.
_ABSENT: Final = (ImportError, NameError, AttributeError, FileNotFoundError)


class SlmsuiteTable(Frozen):
    """Which class of slmsuite, and what it is made with."""

    class_name: str = Field(
        alias="class", pattern=r"^[a-z_]+\.[A-Za-z0-9_]+$", description="such as holoeye.Holoeye, basler.Basler"
    )
    arguments: dict[str, Any] = Field(default_factory=dict, description="what the class takes: serial, lut_path ...")


class SlmsuiteSLMTable(SlmsuiteTable, SLMTable):
    """The table of an SLM of slmsuite."""


class SlmsuiteCameraTable(SlmsuiteTable, CameraTable):
    """The table of a camera of slmsuite."""

    sees: str | None = Field(None, description="a simulated camera: the instrument that is the SLM before it")
    flush: bool = Field(
        True, description="whether frames that it may have kept are thrown away before a frame is taken"
    )

    @model_validator(mode="after")
    def _a_frame_is_a_frame(self) -> Self:
        if taken := {"averaging", "hdr", "capture_attempts"} & set(self.arguments):
            raise ValueError(f"arguments.{sorted(taken)[0]}: every frame is one frame, taken once; remove it")
        return self


class Wrapped(Instrument):
    """What both have in common: an object of slmsuite."""

    where: ClassVar[str]
    base: ClassVar[str]
    table: Any
    _made: Any = None

    def get_ready(self) -> None:
        """Import slmsuite, and the class."""
        self._class()

    def _connect_hw(self) -> None:
        made_of = self._class()
        arguments = {**self._extra_arguments(), **self.table.arguments}
        self._check_signatures(made_of)
        try:
            with _quietly():
                self._made = made_of(**arguments)
        except _ABSENT as error:
            raise self._not_installed(error) from error
        except TypeError as error:
            raise ConfigError(f"{self}: arguments: {self.table.class_name} does not take them: {error}") from error
        except Exception as error:
            if "not installed" in str(error):
                raise self._not_installed(error) from error
            raise InstrumentError(f"{self}: {self.table.class_name} cannot be opened: {error}") from error

    def _disconnect_hw(self) -> None:
        made, self._made = self._made, None
        if made is not None:
            made.close()

    def _identify_hw(self) -> str:
        height, width = self._made.shape
        return f"slmsuite {self.table.class_name}: {self._made.name}, {height} x {width} px, {self._made.bitdepth} bits"

    def _settings_hw(self) -> dict[str, Any]:
        return {
            "slmsuite": _slmsuite().__version__,
            "bitdepth": int(self._made.bitdepth),
            "dtype": str(self._made.dtype),
        }

    def _class(self) -> Any:
        _slmsuite()
        module, _, name = self.table.class_name.partition(".")
        base = getattr(load(f"hardware.{self.where}.{self.base.lower()}"), self.base)
        try:
            found = getattr(load(f"hardware.{self.where}.{module}"), name, None)
        except ModuleNotFoundError as error:
            if error.name != f"slmsuite.hardware.{self.where}.{module}":
                raise self._not_installed(error) from error
            found = None
        except _ABSENT as error:
            raise self._not_installed(error) from error
        if not (inspect.isclass(found) and issubclass(found, base)):
            raise ConfigError(
                f"{self}: class = {self.table.class_name!r}: slmsuite.hardware.{self.where} has no such {self.base};"
                " write the file's name and the class in it, such as"
                f" {'holoeye.Holoeye' if self.base == 'SLM' else 'basler.Basler'}"
            )
        return found

    def _check_signatures(self, made_of: Any) -> None:
        """Check that its hooks take what they are given here: classes of slmsuite have drifted from their bases."""
        for hook, arguments in self._calls().items():
            try:
                inspect.signature(getattr(made_of, hook)).bind(None, *arguments)
            except TypeError as error:
                raise ConfigError(
                    f"{self}: class = {self.table.class_name!r}: its {hook} is not what slmsuite's {self.base} says"
                    f" ({error}); it does not belong to this version of slmsuite"
                ) from error

    def _not_installed(self, error: Exception) -> ConfigError:
        needed = _SDKS.get(self.table.class_name.partition(".")[0], "what its maker gives for Python")
        said = " ".join(str(error).split())
        return ConfigError(
            f"{self}: class = {self.table.class_name!r}: its maker's software is not installed here. Install {needed}"
            f" ({said})"
        )

    def _calls(self) -> dict[str, tuple[Any, ...]]:
        raise NotImplementedError

    def _extra_arguments(self) -> dict[str, Any]:
        return {}


class SlmsuiteSLM(Wrapped, SLM):
    """A phase SLM behind slmsuite's SLM. Levels go to it as they are: which phase they are is labonn's table."""

    where = "slms"
    base = "SLM"
    table_model: ClassVar[type[InstrumentTable]] = SlmsuiteSLMTable
    table: SlmsuiteSLMTable

    def _connect_hw(self) -> None:
        super()._connect_hw()
        self._more_bits = int(self._made.bitdepth) - self.table.bit_depth
        if self._more_bits < 0:
            bits = int(self._made.bitdepth)
            self._disconnect_hw()
            raise ConfigError(f"{self}: bit_depth = {self.table.bit_depth}: {self.table.class_name} has {bits} bits")
        self.site.shared.borrow(("slmsuite", self.name), lambda: self._made, lambda made: None)

    def _shape_hw(self) -> tuple[int, int]:
        height, width = self._made.shape
        return int(height), int(width)

    def _show_hw(self, levels: NDArray[np.uint8]) -> None:
        # Of its set_phase, the steps that send whole numbers: a phase would get slmsuite's sign, offset and correction,
        # and for whole numbers it computes the phase that they would be, which takes longer than a frame at 60 Hz.
        made = self._made
        whole = np.left_shift(levels, self._more_bits, dtype=made.dtype) if self._more_bits else levels
        made.display = made._gray2display(made.xp.asarray(whole))
        made._set_phase_hw(made.display)

    def _calls(self) -> dict[str, tuple[Any, ...]]:
        return {"_gray2display": (0,), "_set_phase_hw": (0,), "close": ()}


class SlmsuiteCamera(Wrapped, Camera):
    """A camera behind slmsuite's Camera, whose frames come one by one."""

    where = "cameras"
    base = "Camera"
    table_model: ClassVar[type[InstrumentTable]] = SlmsuiteCameraTable
    table: SlmsuiteCameraTable
    _number = 0

    def _connect_hw(self) -> None:
        super()._connect_hw()
        self._made.capture_attempts = 1  # a frame that fails is said, not taken again unseen
        bits = int(self._made.bitdepth)
        if bits != self.table.bit_depth:
            self._disconnect_hw()
            raise ConfigError(
                f"{self}: bit_depth = {self.table.bit_depth}: {self.table.class_name} says that it has {bits} bits"
            )

    def _shape_hw(self) -> tuple[int, int]:
        height, width = self._made.shape
        return int(height), int(width)

    def _exposure_ms_hw(self) -> float:
        return 1e3 * float(self._made.get_exposure())

    def _set_exposure_ms_hw(self, exposure_ms: float) -> None:
        self._made.set_exposure(exposure_ms / 1e3)

    def _roi_hw(self) -> Roi:
        left, width, top, height = self._made.get_woi()
        across, down = self._made.get_binning()
        return int(top) // down, int(left) // across, int(height) // down, int(width) // across

    def _set_roi_hw(self, roi: Roi | None) -> None:
        if roi is None:
            self._made.set_woi(None)
            return
        across, down = self._made.get_binning()
        top, left, height, width = roi
        with _quietly():  # it warns of windows that it cuts off; what it made of this one is read back and compared
            self._made.set_woi((left * across, width * across, top * down, height * down))

    def _set_binning_hw(self, binning: int) -> None:
        if binning == 1 and tuple(self._made.get_binning()) == (1, 1):
            return
        if self._made._software_binning:
            # It would add counts up, into more bits than the camera has.
            super()._set_binning_hw(binning)
        self._made.set_binning(binning)

    def _snap_hw(self) -> NDArray[Any]:
        within_s = _ITS_PART * self.table.timeout_ms / 1e3
        if self.table.flush:
            self._made.flush(within_s)
        frame: NDArray[Any] = self._made.get_image(timeout_s=within_s, averaging=False, hdr=False)
        return frame

    def _start_sequence_hw(self, count: int) -> None:
        self._waits = self.table.flush

    def _next_frame_hw(self, within_s: float) -> Frame:
        if self._waits:
            self._made.flush(within_s)
            self._waits = False
        frame = self._made.get_image(timeout_s=_ITS_PART * within_s, averaging=False, hdr=False)
        self._number += 1
        return Frame(self._number, 1e3 * self.site.clock.now_s(), frame)

    def _calls(self) -> dict[str, tuple[Any, ...]]:
        return {
            "_get_image_hw": (1.0,),
            "_get_exposure_hw": (),
            "_set_exposure_hw": (0.01,),
            "_set_woi_hw": ((0, 1, 0, 1),),
            "_set_binning_hw": ((1, 1),),
            "flush": (1.0,),
            "close": (),
        }

    def _extra_arguments(self) -> dict[str, Any]:
        if self.table.sees is None:
            return {}

        def missing() -> Any:
            raise ConfigError(f"{self}: sees = {self.table.sees!r}: is no SLM of this bench with driver = 'slmsuite'")

        return {"slm": self.site.shared.borrow(("slmsuite", self.table.sees), missing, lambda made: None)}


def _slmsuite() -> Any:
    if find_spec("slmsuite") is None:
        raise ConfigError("driver = 'slmsuite': needs slmsuite, which is not installed: pip install 'labonn[vendor]'")
    return importlib.import_module("slmsuite")


def load(module: str) -> Any:
    """Import a module of slmsuite, without its warnings of what it would like to have besides."""
    with _quietly():
        return importlib.import_module(f"slmsuite.{module}")


@contextmanager
def _quietly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


INSTRUMENTS = {"slm": SlmsuiteSLM, "camera": SlmsuiteCamera}
