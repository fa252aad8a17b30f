"""A bench of stand-ins whose camera sees what its display shows, with noise, and does one wrong thing after another."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from labonn.capture import Calibration

from ..instruments.stand_ins import BareCamera, BareDisplay, BareShutter, CountingClock, connected
from .test_registration import affine_of, calibration

SHAPE = (90, 100)
BLACK, WHITE = 60, 2000
_PX = 8  # camera pixels a tap


def seeing_calibration(**changed: Any) -> Calibration:
    """Maps in units of the image's brightness."""
    noise = np.random.default_rng(9).normal(scale=0.25, size=SHAPE)
    values = {
        "affine": affine_of(float(_PX), 0.0, (44.5, 49.5)),
        "dark": (BLACK + noise).astype(np.float32),
        "gain": np.full(1, float(WHITE)),
    }
    return calibration(**(values | changed))


class Screen(BareDisplay):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.pictures: list[np.ndarray] = []

    def _shape_hw(self) -> tuple[int, int]:
        return 20, 18

    def _show_hw(self, levels: Any) -> None:
        super()._show_hw(levels)
        self.pictures.append(np.asarray(levels))


class Eye(BareCamera):
    """Sees the display; `wrongs` says what it does instead at which of its frames, counted from the first image's."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.screen: Any = None
        self.shutter: Any = None
        self.wrongs: dict[int, str] = {}
        self.taken = -1  # one is taken to begin with
        self.last = np.zeros(SHAPE, np.uint16)
        self._noise = np.random.default_rng(1)

    def _shape_hw(self) -> tuple[int, int]:
        return SHAPE

    def _snap_hw(self) -> Any:
        wrong = self.wrongs.get(self.taken, "")
        self.taken += 1
        if wrong == "dropped":
            raise TimeoutError("the camera did not deliver")
        if wrong == "duplicated":
            return self.last
        frame = self._sees(self._earlier() if wrong == "stale" else self.screen.pictures[-1])
        if wrong == "truncated":
            frame[-7:] = 0
        if wrong == "grey":
            frame[-7:] = 300
        if wrong == "torn":
            frame[40:] = self.last[40:]
        if wrong == "saturated":
            frame[:30] = 4095
        self.last = frame
        return frame

    def _earlier(self) -> np.ndarray:
        now = self.screen.pictures[-1]
        return next((one for one in reversed(self.screen.pictures) if not np.array_equal(one, now)), now)

    def _sees(self, picture: np.ndarray) -> np.ndarray:
        light = np.zeros(SHAPE)
        if self.shutter.is_open:
            light[13:77, 18:82] = np.kron(picture[2:18:2, 1:17:2] / 255, np.ones((_PX, _PX)))
        return np.clip(np.rint(BLACK + WHITE * light + self._noise.normal(size=SHAPE)), 0, 4095).astype(np.uint16)


def seeing_bench(wrongs: dict[int, str] | None = None, **camera: Any) -> Any:
    eye, screen = connected(Eye, **camera), connected(Screen, pitch_um=8.0, settle_ms=16.7)
    shutter = connected(BareShutter)
    eye.screen, eye.shutter, eye.wrongs = screen, shutter, wrongs or {}
    return SimpleNamespace(
        name="trial",
        camera=eye,
        display=screen,
        shutter=shutter,
        light=None,
        clock=CountingClock(),
        config=SimpleNamespace(geometry=SimpleNamespace(display_px_per_tap=2, tap_um=8.0, tile_pitch_um=96.0)),
    )
