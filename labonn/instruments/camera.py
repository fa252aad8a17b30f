"""What a camera is: frames of counts, right-aligned, of the shape that was promised, or an error."""

from abc import abstractmethod
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from labonn.errors import ConfigError, InstrumentError
from labonn.instruments.instrument import Instrument, InstrumentTable

# Cameras round an exposure to whole lines: this much is rounding, more is a camera that does something else.
_EXPOSURE_TOLERANCE = 0.05
_EXPOSURE_TOLERANCE_MS = 0.1


class CameraTable(InstrumentTable):
    """A camera's table in a bench file."""

    exposure_ms: float = Field(10.0, gt=0, description="exposure to begin with")
    bit_depth: int = Field(12, ge=8, le=16, description="bits that the sensor digitises to")
    alignment: Literal["right", "left"] = Field(
        "right", description="where those bits stand in the word that the driver delivers"
    )


class Camera(Instrument):
    """A monochrome camera that takes one frame when asked."""

    kind: ClassVar[str] = "camera"
    table_model: ClassVar[type[InstrumentTable]] = CameraTable
    table: CameraTable

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._shape = (0, 0)
        self._exposure_ms = 0.0

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a frame, in pixels."""
        return self._shape

    @property
    def bit_depth(self) -> int:
        """Bits of a frame's counts."""
        return self.table.bit_depth

    @property
    def saturation(self) -> int:
        """The largest count that a frame can hold."""
        return (1 << self.table.bit_depth) - 1

    @property
    def timeout_ms(self) -> float:
        """How long a frame may take beyond its exposure."""
        return self.table.timeout_ms

    @property
    def exposure_ms(self) -> float:
        """The exposure that the camera reported when it was last set."""
        return self._exposure_ms

    @exposure_ms.setter
    def exposure_ms(self, exposure_ms: float) -> None:
        if not 0 < exposure_ms < float("inf"):
            raise ConfigError(f"{self}: exposure_ms = {exposure_ms}: must be positive and finite")

        def set_and_read() -> float:
            self._set_exposure_ms_hw(exposure_ms)
            return self._exposure_ms_hw()

        actual_ms = self._call(f"setting the exposure to {exposure_ms:g} ms", set_and_read)
        if not abs(actual_ms - exposure_ms) <= max(_EXPOSURE_TOLERANCE_MS, _EXPOSURE_TOLERANCE * exposure_ms):
            raise InstrumentError(
                f"{self}: was asked for an exposure of {exposure_ms:g} ms and set {actual_ms:g} ms;"
                " choose one within its range"
            )
        self._exposure_ms = actual_ms

    def snap(self) -> NDArray[np.uint16]:
        """Expose now and wait for the frame.

        Returns
        -------
        Counts, (H, W) uint16, right-aligned whatever the camera's own alignment.

        Raises
        ------
        InstrumentError
            If no frame arrives within the exposure and `timeout_ms`, or if it is not of the shape, type and bit depth
            that the camera and the bench file promise.
        """
        raw = self._act("taking a frame", self._snap_hw, extra_ms=self._exposure_ms)
        return self._checked(raw)

    def _prepare(self) -> None:
        self._shape = self._call("reading its frame size", self._shape_hw)
        if min(self._shape) < 1:
            raise InstrumentError(f"{self}: reports frames of {self._shape[0]} x {self._shape[1]} px")
        self.exposure_ms = self.table.exposure_ms

    def _checked(self, raw: NDArray[Any]) -> NDArray[np.uint16]:
        if raw.shape != self._shape:
            raise InstrumentError(f"{self}: delivered a frame of shape {raw.shape}; expected {self._shape} (H, W)")
        if raw.dtype.kind != "u" or not self.bit_depth <= 8 * raw.dtype.itemsize <= 16:
            raise InstrumentError(
                f"{self}: delivered {raw.dtype} pixels, which cannot hold the {self.bit_depth} bits that the bench file"
                " declares; set the camera's pixel type in its .cfg, or correct bit_depth"
            )
        word_bits = 8 * raw.dtype.itemsize
        frame = raw.astype(np.uint16)
        if self.table.alignment == "left":
            spare_bits = word_bits - self.bit_depth
            if spare_bits and np.bitwise_or.reduce(frame, axis=None) & ((1 << spare_bits) - 1):
                raise InstrumentError(
                    f"{self}: a frame uses the {spare_bits} lowest of {word_bits} bits, which counts of"
                    f" {self.bit_depth} bits aligned left leave empty;"
                    ' correct bit_depth or alignment = "left" in the bench file'
                )
            frame >>= spare_bits
        elif (brightest := int(frame.max())) > self.saturation:
            raise InstrumentError(
                f"{self}: a frame holds a count of {brightest}, above the {self.saturation} of {self.bit_depth} bits;"
                ' correct bit_depth, or set alignment = "left", in the bench file'
            )
        return frame

    @abstractmethod
    def _shape_hw(self) -> tuple[int, int]: ...

    @abstractmethod
    def _snap_hw(self) -> NDArray[Any]: ...

    @abstractmethod
    def _exposure_ms_hw(self) -> float: ...

    @abstractmethod
    def _set_exposure_ms_hw(self, exposure_ms: float) -> None: ...
