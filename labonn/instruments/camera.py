"""What a camera is: frames of counts, right-aligned, of the shape that was promised, or an error."""

import logging
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveInt

from labonn.errors import ConfigError, InstrumentError
from labonn.instruments.instrument import Instrument, InstrumentTable

logger = logging.getLogger(__name__)

Roi = tuple[int, int, int, int]
"""Top, left, height, width, in pixels."""
Trigger = Literal["internal", "software", "external"]

# Cameras round an exposure to whole lines: this much is rounding, more is a camera that does something else.
_EXPOSURE_TOLERANCE = 0.05
_EXPOSURE_TOLERANCE_MS = 0.1
# A hook that waits for a frame gives up by itself; its call may take this much longer.
_SLACK_MS = 1_000.0


class Frame(NamedTuple):
    """One frame of a sequence."""

    number: int
    """The camera's own count: one more with every frame."""
    stamp_ms: float
    """The camera's own time of it, from some fixed moment."""
    pixels: NDArray[Any]
    """Counts, (H, W)."""


class CameraTable(InstrumentTable):
    """A camera's table in a bench file."""

    exposure_ms: float = Field(10.0, gt=0, description="exposure to begin with")
    bit_depth: int = Field(12, ge=8, le=16, description="bits that the sensor digitises to")
    alignment: Literal["right", "left"] = Field(
        "right", description="where those bits stand in the word that the driver delivers"
    )
    binning: int = Field(1, ge=1, description="how many pixels of the sensor, both axes, make one of a frame")
    roi: tuple[NonNegativeInt, NonNegativeInt, PositiveInt, PositiveInt] | None = Field(
        None, description="top, left, height, width, in pixels of the sensor; the whole sensor where missing"
    )
    trigger: Trigger = Field("internal", description="what begins a frame")
    trigger_latency_ms: float = Field(
        0.1, ge=0, description="from the command to the exposure that a software trigger begins, at most"
    )
    filters: Literal["RGGB", "GRBG", "GBRG", "BGGR"] | None = Field(
        None,
        description="a colour sensor's filters: of the frame's first row its first two pixels, then of its second row;"
        " none where missing",
    )
    rolling_ms: float = Field(
        0.0, ge=0, description="from the first row's exposure to the last's, where the shutter rolls; 0: a global one"
    )


class Camera(Instrument):
    """A camera that takes one frame when asked, or a sequence of them; a colour camera's frames are not demosaiced."""

    kind: ClassVar[str] = "camera"
    table_model: ClassVar[type[InstrumentTable]] = CameraTable
    table: CameraTable

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._shape = (0, 0)
        self._sensor_shape = (0, 0)
        self._roi: Roi | None = None
        self._binning = 1
        self._exposure_ms = 0.0

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a frame, in its own pixels."""
        return self._shape

    @property
    def roi(self) -> Roi | None:
        """Top, left, height, width of what is read out, in pixels of the sensor; None for all of it."""
        return self._roi

    @roi.setter
    def roi(self, roi: Roi | None) -> None:
        self._frame_within(roi, self._binning)

    @property
    def binning(self) -> int:
        """How many pixels of the sensor, both axes, make one of a frame."""
        return self._binning

    @binning.setter
    def binning(self, binning: int) -> None:
        self._frame_within(self._roi, binning)

    @property
    def filters(self) -> str | None:
        """The colours of each 2 x 2 pixels of a frame, row by row; None where the sensor has no filters."""
        return self.table.filters

    @property
    def trigger(self) -> Trigger:
        """What begins a frame, as the bench file says."""
        return self.table.trigger

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
        if self.trigger != "internal":
            return next(self.frames(1)).pixels
        raw = self._act("taking a frame", self._snap_hw, extra_ms=self._exposure_ms)
        return self._offered(self._checked(raw))

    def frames(self, count: int, *, exposed: Callable[[], None] | None = None) -> Iterator[Frame]:
        """Take `count` frames without a pause, and give each as it comes; the camera stops when this is left.

        With a software trigger each frame is triggered when it is asked for.

        Parameters
        ----------
        count
            How many.
        exposed
            With a software trigger: called when a frame's exposure is over, that of its last row, before it is read
            out. What the camera sees may change from then on.

        Raises
        ------
        InstrumentError
            If a frame is missing, comes twice, or does not come within the exposure and `timeout_ms`: how many came is
            said. Also whatever `snap` raises.
        """
        if count < 1:
            raise ValueError(f"{self}: cannot take {count} frames")
        return self._sequence(count, exposed)

    def _sequence(self, count: int, exposed: Callable[[], None] | None) -> Iterator[Frame]:
        self._act(f"starting a sequence of {count} frames", lambda: self._start_sequence_hw(count))
        try:
            last: int | None = None
            for come in range(count):
                frame = self._next_frame(come, count, exposed)
                if last is not None and frame.number != last + 1:
                    happened = "is missing" if frame.number > last + 1 else "came before"
                    raise InstrumentError(
                        f"{self}: delivered {come} of {count} frames of a sequence: number {frame.number} came after"
                        f" {last}, so one or more {happened}; take them more slowly, or smaller"
                    )
                last = frame.number
                yield frame
        except BaseException as error:
            try:
                self._end_sequence()
            except InstrumentError as failure:
                logger.error("%s", failure)
                error.add_note(str(failure))
            raise
        self._end_sequence()

    def _end_sequence(self) -> None:
        self._call("ending a sequence", self._stop_sequence_hw)

    def _next_frame(self, come: int, count: int, exposed: Callable[[], None] | None) -> Frame:
        within_ms = self._exposure_ms + self.table.timeout_ms
        if self.trigger == "software":
            clock = self.site.clock
            given_s = clock.moment_of(lambda: self._act("triggering a frame", self._fire_hw))
            if exposed is not None:
                lasts_ms = self.table.trigger_latency_ms + self._exposure_ms + self.table.rolling_ms
                clock.sleep_until_s(given_s + 1e-3 * lasts_ms)
                exposed()
        got = self._act(
            "waiting for a frame of a sequence",
            lambda: self._next_frame_hw(within_ms / 1e3),
            extra_ms=self._exposure_ms + _SLACK_MS,
        )
        if isinstance(got, str):
            advice = "check its power and cable"
            if self.trigger == "external":
                advice = (
                    'trigger = "external": check that its trigger arrives, and that trigger_properties fit the camera'
                )
            raise InstrumentError(f"{self}: delivered {come} of {count} frames of a sequence: {got}; {advice}")
        return got._replace(pixels=self._offered(self._checked(got.pixels)))

    def _offered(self, frame: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """Let whoever looks on see a frame, and give it back."""
        if self.site.feed is not None:
            self.site.feed.offer(frame, self._exposure_ms, self.saturation)
        return frame

    def _prepare(self) -> None:
        trigger = self.table.trigger
        self._call(f"setting its trigger to {trigger}", lambda: self._set_trigger_hw(trigger))
        self._frame_within(None, self.table.binning)
        if self.table.roi is not None:
            self._frame_within(self.table.roi, self.table.binning)
        self.exposure_ms = self.table.exposure_ms

    def _frame_within(self, roi: Roi | None, binning: int) -> None:
        """Read out a part of the sensor, in larger pixels, and check that the camera does just that."""
        if binning < 1:
            raise ConfigError(f"{self}: binning = {binning}: must be 1 or more")
        if self.filters is not None and (binning > 1 or any(side % 2 for side in roi or ())):
            raise ConfigError(
                f"{self}: binning = {binning}, roi = {list(roi) if roi else None}: with filters, binning must be 1, or"
                " it would mix colours, and every number of roi even, or the filters would be others"
            )
        wanted = None if roi is None else self._in_frame_pixels(roi, binning)

        def set_and_read() -> tuple[Roi, tuple[int, int]]:
            # All of it first: what a camera makes of its ROI when the binning changes differs.
            self._set_roi_hw(None)
            self._set_binning_hw(binning)
            if wanted is not None:
                self._set_roi_hw(wanted)
            return self._roi_hw(), self._shape_hw()

        actual, shape = self._call(f"setting binning to {binning} and the ROI to {roi or 'all'}", set_and_read)
        if min(shape) < 1:
            raise InstrumentError(f"{self}: reports frames of {shape[0]} x {shape[1]} px")
        self._shape, self._binning = shape, binning
        if roi is None:
            self._sensor_shape = (shape[0] * binning, shape[1] * binning)
            self._roi = None
            return
        top, left, height, width = actual
        self._roi = (top * binning, left * binning, height * binning, width * binning)
        if actual != wanted or shape != wanted[2:]:
            raise InstrumentError(
                f"{self}: was asked for roi = {list(roi)} and set {list(self._roi)}, frames of {shape[0]} x {shape[1]}"
                " px; choose one in the steps that the camera has"
            )

    def _in_frame_pixels(self, roi: Roi, binning: int) -> Roi:
        top, left, height, width = roi
        full_height, full_width = self._sensor_shape
        if min(top, left) < 0 or min(height, width) < 1 or top + height > full_height or left + width > full_width:
            raise ConfigError(
                f"{self}: roi = {list(roi)} (top, left, height, width): does not lie within the sensor's"
                f" {full_height} x {full_width} px"
            )
        if any(side % binning for side in roi):
            raise ConfigError(f"{self}: roi = {list(roi)}: every one must be a multiple of binning = {binning}")
        return top // binning, left // binning, height // binning, width // binning

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
        elif (brightest := int(raw.max())) > self.saturation:
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

    def _roi_hw(self) -> Roi:
        """Give what is read out, in pixels of the frame."""
        return (0, 0, *self._shape_hw())

    def _set_roi_hw(self, roi: Roi | None) -> None:
        """Read out a part, in pixels of the frame; None for all."""
        if roi is not None:
            raise ConfigError(f"{self}: roi: its driver reads out the whole sensor only; remove the key")

    def _set_binning_hw(self, binning: int) -> None:
        if binning != 1:
            raise ConfigError(f"{self}: binning = {binning}: its driver does not bin; remove the key")

    def _set_trigger_hw(self, trigger: Trigger) -> None:
        if trigger != "internal":
            raise ConfigError(f"{self}: trigger = {trigger!r}: its driver has the internal one only; remove the key")

    def _fire_hw(self) -> None:
        """Trigger one frame, by software."""
        raise NotImplementedError

    def _start_sequence_hw(self, count: int) -> None:
        raise ConfigError(f"{self}: its driver takes single frames only")

    def _next_frame_hw(self, within_s: float) -> Frame | str:
        """Give the next frame of the sequence; where none comes in time, or will come any more, say why."""
        raise NotImplementedError

    def _stop_sequence_hw(self) -> None:
        """End the sequence; nothing where none runs."""
