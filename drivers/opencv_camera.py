"""Webcams, and whatever else OpenCV opens: UVC devices, GStreamer pipelines, network cameras, recordings."""

from __future__ import annotations

import math
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, model_validator

from drivers.claim import claim
from drivers.opencv_stream import Ended, Live, Recording, Stream, Taken
from labonn.errors import ConfigError, InstrumentError
from labonn.instruments import Camera, CameraTable, Frame, InstrumentTable
from labonn.instruments.camera import Roi
from labonn.instruments.lock import lock_folder

_ITS_PART: Final = 0.9
_PLANES: Final = {"blue": 0, "green": 1, "red": 2}
# Of CAP_PROP_AUTO_EXPOSURE, where exposures can be set: what turns the camera's own choice off.
_MANUAL: Final = {"V4L2": 1.0, "DSHOW": 0.0, "MSMF": 0.0}


class OpenCVTable(CameraTable):
    """The table of a camera that OpenCV opens."""

    source: int | str = Field(description="a device's number, a file, a URL, or a GStreamer pipeline")
    backend: str = Field("any", min_length=1, description="OpenCV's name of what opens it, such as v4l2, dshow, ffmpeg")
    live: bool | None = Field(
        None, description="whether frames come by themselves; by what the source is, where missing"
    )
    frame_px: tuple[PositiveInt, PositiveInt] | None = Field(None, description="height and width to ask it for")
    frames_per_s: float | None = Field(None, gt=0, description="frame rate to ask it for")
    fourcc: str | None = Field(
        None, min_length=4, max_length=4, description='pixel format, such as "MJPG", "GREY", "Y16 "'
    )
    raw: bool = Field(
        False, description="whether pixels are taken as they come, and not converted to 8-bit colours first"
    )
    plane: Literal["grey", "red", "green", "blue"] = Field("grey", description="what of a colour frame is its picture")
    gain: float | None = Field(None, description="in the camera's own units")
    fixed_exposure: bool = Field(False, description="it cannot be set from here: exposure_ms says what it is")
    latency_ms: float = Field(50.0, ge=0, description="from the end of an exposure until its frame has come")
    bit_depth: int = Field(8, ge=8, le=16, description="bits of its counts; more than 8 only where raw")

    @model_validator(mode="after")
    def _has_bits(self) -> Self:
        if self.bit_depth > 8 and not self.raw:
            raise ValueError(
                f"bit_depth = {self.bit_depth}: OpenCV converts to 8 bits unless raw = true (and a fourcc of more)"
            )
        return self


class OpenCVCamera(Camera):
    """A camera that OpenCV opens. It runs freely; a frame is one whose exposure began after it was asked for."""

    table_model: ClassVar[type[InstrumentTable]] = OpenCVTable
    table: OpenCVTable
    _capture: Any
    _stream: Stream
    _claim: FileLock | None = None
    _part: Roi | None = None

    def get_ready(self) -> None:
        """Import OpenCV."""
        _opencv()

    def _connect_hw(self) -> None:
        cv2 = _opencv()
        self._cv2 = cv2
        source = self._source()
        backend = self._backend()
        live = not (isinstance(source, str) and Path(source).is_file()) if self.table.live is None else self.table.live
        if live:
            self._claim = claim("camera", str(self.table.source), lock_folder())
        try:
            self._capture = cv2.VideoCapture(source, backend)
            if not self._capture.isOpened():
                raise InstrumentError(
                    f"{self}: source = {self.table.source!r}: OpenCV cannot open it with {self.table.backend!r};"
                    " check its cable, that no other program has it, and that this back end is in this OpenCV"
                    f" ({', '.join(_backends(cv2))})"
                )
            self._ask_for_format()
            self._deliver(live)
        except BaseException:
            self._release_claim()
            raise

    def _disconnect_hw(self) -> None:
        self._stream.close()
        self._release_claim()

    def _identify_hw(self) -> str:
        height, width = self._sensor
        return f"OpenCV {self._capture.getBackendName()}: {self.table.source}, {height} x {width} px"

    def _settings_hw(self) -> dict[str, Any]:
        cv2 = self._cv2
        names = ("EXPOSURE", "AUTO_EXPOSURE", "GAIN", "GAMMA", "BRIGHTNESS", "CONTRAST", "FPS", "FOURCC", "AUTO_WB")
        found = {name.lower(): self._capture.get(getattr(cv2, f"CAP_PROP_{name}")) for name in names}
        return {"opencv": cv2.__version__, "backend": self._capture.getBackendName(), **found}

    def _shape_hw(self) -> tuple[int, int]:
        _, _, height, width = self._roi_hw()
        return height, width

    def _roi_hw(self) -> Roi:
        return self._part or (0, 0, *self._sensor)

    def _set_roi_hw(self, roi: Roi | None) -> None:
        self._part = roi  # cut out here: what OpenCV reads is the whole sensor

    def _exposure_ms_hw(self) -> float:
        return self._now_ms

    def _set_exposure_ms_hw(self, exposure_ms: float) -> None:
        backend = self._capture.getBackendName()
        if self.table.fixed_exposure:
            if exposure_ms != self.table.exposure_ms:
                raise ConfigError(
                    f"{self}: exposure_ms = {exposure_ms:g}: its exposure cannot be set from here (fixed_exposure), and"
                    f" is {self.table.exposure_ms:g} ms as the bench file says"
                )
            self._now_ms = exposure_ms
            return
        if backend not in _MANUAL or not self._set_and_read(backend, exposure_ms):
            raise ConfigError(
                f"{self}: exposure_ms = {exposure_ms:g}: OpenCV's back end {backend} does not set the exposure of"
                f" {self.table.source!r}. Set it with the camera's own program, write it down as exposure_ms, and say"
                " fixed_exposure = true"
            )

    def _set_and_read(self, backend: str, exposure_ms: float) -> bool:
        exposure = self._cv2.CAP_PROP_EXPOSURE
        self._capture.set(self._cv2.CAP_PROP_AUTO_EXPOSURE, _MANUAL[backend])
        # V4L2 counts in 100 us; DirectShow and Media Foundation have powers of 2 of a second.
        told = 10 * exposure_ms if backend == "V4L2" else round(math.log2(exposure_ms / 1e3))
        if not self._capture.set(exposure, told):
            return False
        is_now = float(self._capture.get(exposure))
        self._now_ms = is_now / 10 if backend == "V4L2" else 1e3 * 2.0**is_now
        return True

    @property
    def _light_s(self) -> float:
        """How long it takes at least until a frame comes whose exposure begins now."""
        return (self._now_ms + self.table.latency_ms) / 1e3

    def _snap_hw(self) -> NDArray[Any]:
        light_s, patience_s = self._light_s, _ITS_PART * self.table.timeout_ms / 1e3
        try:
            taken = self._stream.snap(time.monotonic() + light_s, light_s + patience_s)
        except Ended as ended:
            raise InstrumentError(f"{self}: {ended}; check its cable, then open the bench again") from None
        if taken is None:
            raise InstrumentError(f"{self}: no frame came within {self.table.timeout_ms:g} ms; check its cable")
        return self._picture(taken)

    def _start_sequence_hw(self, count: int) -> None:
        self._stream.begin(time.monotonic() + self._light_s)

    def _next_frame_hw(self, within_s: float) -> Frame | str:
        try:
            taken = self._stream.following(within_s)
        except Ended as ended:
            return str(ended)
        if taken is None:
            return f"no frame came within {1e3 * within_s:g} ms"
        number, stamp_ms, _ = taken
        return Frame(number, stamp_ms, self._picture(taken))

    def _stop_sequence_hw(self) -> None:
        self._stream.end()

    def _picture(self, taken: Taken) -> NDArray[Any]:
        """Give what was promised of a frame: one plane, the part that is read out; each frame has memory of its own."""
        image = taken[2]
        if image.ndim == 3 and image.shape[2] == 3:
            if self.table.plane == "grey":
                image = self._cv2.cvtColor(image, self._cv2.COLOR_BGR2GRAY)
            else:
                image = image[..., _PLANES[self.table.plane]]
        if self.table.raw and image.ndim == 3 and image.shape[2] == 2:
            image = image.view(np.uint16)[..., 0]  # 16 bits come as two bytes
        if image.ndim != 2:
            raise InstrumentError(
                f"{self}: delivered pixels of shape {image.shape}; choose another fourcc, or raw = false"
            )
        top, left, height, width = self._part or (0, 0, *image.shape)
        part: NDArray[Any] = image[top : top + height, left : left + width]
        return part

    def _source(self) -> int | str:
        source = self.table.source
        if isinstance(source, str) and "://" not in source and (beside := self.site.folder / source).is_file():
            return str(beside)
        return source

    def _backend(self) -> int:
        cv2 = self._cv2
        wanted = getattr(cv2, f"CAP_{self.table.backend.upper()}", None)
        if not isinstance(wanted, int):
            raise ConfigError(
                f"{self}: backend = {self.table.backend!r}: OpenCV has none of that name; this one has: any,"
                f" {', '.join(_backends(cv2))}"
            )
        return wanted

    def _ask_for_format(self) -> None:
        cv2, table = self._cv2, self.table
        height, width = table.frame_px or (None, None)
        wanted = {
            cv2.CAP_PROP_FOURCC: None if table.fourcc is None else cv2.VideoWriter_fourcc(*table.fourcc),
            cv2.CAP_PROP_FRAME_HEIGHT: height,
            cv2.CAP_PROP_FRAME_WIDTH: width,
            cv2.CAP_PROP_FPS: table.frames_per_s,
            cv2.CAP_PROP_CONVERT_RGB: 0 if table.raw else None,
            cv2.CAP_PROP_GAIN: table.gain,
            cv2.CAP_PROP_AUTO_WB: 0,
        }
        for setting, value in wanted.items():
            if value is not None:
                self._capture.set(setting, value)  # what it made of it is looked at, not what it answers
        self._sensor = (
            round(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
            round(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
        )
        self._now_ms = table.exposure_ms
        if table.frame_px not in (None, self._sensor):
            raise ConfigError(
                f"{self}: frame_px = {[height, width]}: the camera sets {list(self._sensor)} instead; choose a size"
                " that it has"
            )

    def _deliver(self, live: bool) -> None:
        name = f"{self.table.source!r}"
        ms_of = self._cv2.CAP_PROP_POS_MSEC
        self._stream = Live(self._capture, name) if live else Recording(self._capture, name, ms_of)

    def _release_claim(self) -> None:
        if self._claim is not None:
            self._claim.release()


def _opencv() -> Any:
    if find_spec("cv2") is None:
        raise ConfigError(
            "driver = 'opencv_camera': needs OpenCV, which is not installed: pip install 'labonn[opencv]'"
        )
    return import_module("cv2")


def _backends(cv2: Any) -> list[str]:
    registry = cv2.videoio_registry
    return sorted({registry.getBackendName(one).lower() for one in registry.getBackends()})


INSTRUMENTS = {"camera": OpenCVCamera}
