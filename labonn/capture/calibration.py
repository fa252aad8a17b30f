"""What is known about a bench: dark frame, flat field, each tile's place, gain and background; kept in one file."""

import os
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from labonn.errors import CalibrationError

SCHEMA = 1

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_IN_COLOUR = ("filters", "unmixing")


def middle_colour(of_tiles: Doubles) -> Doubles:
    """Give places (T, 2, 3) for (T, 2, 3) or, in colour, (T, C, 2, 3): those of the middle one."""
    return of_tiles if of_tiles.ndim == 3 else of_tiles[:, of_tiles.shape[1] // 2]


@dataclass(frozen=True)
class Calibration:
    """One calibration of one bench, for one phase pattern. T tiles; frames are (H, W).

    On a bench in colour each tile has C places, gains and so on, one for each colour: (T, C, ...) in place of (T, ...).
    """

    bench: str
    made_utc: str
    image_shape: tuple[int, int]
    """Height and width of the images, in taps."""
    exposure_ms: float
    """The exposure that the dark frame, the gains and the backgrounds hold for."""
    dark: Floats
    """Mean frame with the shutter closed, (H, W), counts."""
    dark_noise: float
    """Standard deviation of a pixel from one dark frame to the next, counts."""
    flat: Floats
    """Response to a plain scene relative to its tile's mean, (H, W); 1 where no tile is lit."""
    affine: Doubles
    """(T, 2, 3): sensor pixel (y, x) = affine @ (tap y, tap x, 1), taps from the image's centre."""
    geometry_rms_px: Doubles
    """Residual of each tile's fiducials, (T,)."""
    transmission: Doubles
    """Each tile's brightness under a flat phase relative to their mean, (T,)."""
    gain: Doubles
    """Counts for one unit of the student's optical map, (T,)."""
    background: Doubles
    """Counts where the map is zero, (T,)."""
    gain_residual: Doubles
    """What gain and background leave of the probe images' maps: rms residual over their standard deviation, (T,)."""
    filters: str = ""
    """The camera's, as the bench file has them; empty where it has none."""
    unmixing: Doubles = field(default_factory=lambda: np.zeros((0, 0)))
    """(C, F): counts that each displayed colour makes behind its own filter, from the counts behind every filter."""

    def __post_init__(self) -> None:
        tiles = self.affine.shape[:-2]
        expected = {
            "flat": self.dark.shape,
            "affine": (len(self.affine), *([self.colours] if self.colours else []), 2, 3),
            **dict.fromkeys(("geometry_rms_px", "transmission", "gain", "background", "gain_residual"), tiles),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise CalibrationError(
                    f"a calibration's {name} has shape {getattr(self, name).shape}; expected {shape}"
                )

    @property
    def tiles(self) -> int:
        """How many tiles there are."""
        return len(self.affine)

    @property
    def colours(self) -> int:
        """How many colours are told apart; 0 on a grey bench."""
        return len(self.unmixing)

    @property
    def picture_shape(self) -> tuple[int, ...]:
        """Shape of an image that is shown: (h, w), in colour (C, h, w)."""
        return (*self.affine.shape[1:-2], *self.image_shape)

    def tile_outlines_px(self) -> Doubles:
        """Corners of each tile on the sensor, (T, 4, 2) as (y, x); in colour of its middle colour."""
        half_y, half_x = self.image_shape[0] / 2, self.image_shape[1] / 2
        corners = [(-half_y, -half_x, 1), (-half_y, half_x, 1), (half_y, half_x, 1), (half_y, -half_x, 1)]
        return np.swapaxes(middle_colour(self.affine) @ np.array(corners).T, 1, 2)

    def at_exposure(self, exposure_ms: float) -> "Calibration":
        """Give the calibration of the same bench at another exposure: light in proportion, the dark frame as it is.

        Not for exposures so long that the dark current shows.
        """
        share = exposure_ms / self.exposure_ms
        return replace(self, exposure_ms=exposure_ms, gain=share * self.gain, background=share * self.background)

    def save(self, path: Path | str) -> None:
        """Write it to an HDF5 file: whole, or not at all.

        Raises
        ------
        CalibrationError
            If it cannot be written.
        """
        path = Path(path)
        beside = path.with_name(path.name + ".partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with h5py.File(beside, "w") as file:
                file.attrs["schema"] = SCHEMA
                for name in (field.name for field in fields(self)):
                    value = getattr(self, name)
                    if name in _IN_COLOUR and not self.colours:
                        continue
                    if isinstance(value, np.ndarray):
                        file.create_dataset(name, data=value)
                    else:
                        file.attrs[name] = value
            with beside.open("rb+") as written:
                os.fsync(written.fileno())
            beside.replace(path)
        except OSError as error:
            raise CalibrationError(f"{path}: the calibration cannot be written: {error}") from error

    @classmethod
    def load(cls, path: Path | str) -> "Calibration":
        """Read a calibration that was saved.

        Raises
        ------
        CalibrationError
            If there is none, or the file is not one that this version knows.
        """
        path = Path(path)
        values: dict[str, Any] = {}
        try:
            with h5py.File(path, "r") as file:
                schema = int(file.attrs.get("schema", 0))
                if schema != SCHEMA:
                    raise CalibrationError(
                        f"{path}: schema {schema} is not one that this version of labonn reads ({SCHEMA})"
                    )
                in_colour = "filters" in file.attrs
                for name in (field.name for field in fields(cls)):
                    if in_colour or name not in _IN_COLOUR:
                        values[name] = file[name][...] if name in file else file.attrs[name]
        except FileNotFoundError:
            raise CalibrationError(f"{path}: there is no calibration; make one by recalibrating the bench") from None
        except (OSError, KeyError) as error:
            raise CalibrationError(f"{path}: is not a calibration, or is damaged: {error}") from error
        values["image_shape"] = (int(values["image_shape"][0]), int(values["image_shape"][1]))
        values["exposure_ms"] = float(values["exposure_ms"])
        values["dark_noise"] = float(values["dark_noise"])
        return cls(**values)
