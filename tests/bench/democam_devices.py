"""Python devices that stand beside mm-test-adapters' C++ camera, which has no SLM."""

from typing import Any

import numpy as np
from pymmcore_plus.experimental.unicore import SLMDevice


class Panel(SLMDevice):
    """Higher than it is wide, so that a mistaken order of its sides is seen."""

    def __init__(self) -> None:
        super().__init__()
        self._loaded = np.zeros(self.shape(), np.uint8)
        self.shown = self._loaded

    def shape(self) -> tuple[int, int]:
        return 40, 30

    def dtype(self) -> Any:
        return np.uint8

    def set_image(self, pixels: np.ndarray) -> None:
        self._loaded = pixels.copy()

    def get_image(self) -> np.ndarray:
        return self._loaded

    def display_image(self) -> None:
        self.shown = self._loaded

    def set_exposure(self, interval_ms: float) -> None:
        pass

    def get_exposure(self) -> float:
        return 0.0
