r"""Which colour is which, and how much of each every filter sees: the colour matrix of display and camera.

Each colour of the display is shown alone, plain. With P_pc what the pixels at place p of each square of filters see of
colour c, above black, the matrix is

    M_fc = P_fc / P_cc,   P_fc the mean of P over the places of filter f

so that a colour's own filter has 1, and its inverse gives back, from the counts behind all filters, those that each
colour made behind its own. It belongs to filters and light alone: brightness and losses of every tile and colour are in
its gain.

P itself says what may be wrong: a colour that is dead, filters that begin at another pixel than the bench file says,
colours that come in another order.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labonn.capture.mosaic import PLACES, Mosaic
from labonn.errors import CalibrationError, ConfigError
from labonn.instruments import COLOURS, Bench

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

NAMES = {"R": "red", "G": "green", "B": "blue"}
_MOSAICS = ("RGGB", "GRBG", "GBRG", "BGGR")
_DEAD = 0.02  # of the brightest colour's counts
_LEAST_SIGNAL = 10.0  # times the noise of a pixel, for the brightest colour
_WORST_CONDITION = 10.0  # of the matrix: by so much noise may grow when it is undone


@dataclass(frozen=True)
class ColourMatrix:
    """How filters see colours."""

    matrix: Doubles
    """M, (F, C)."""
    brightness: Doubles
    """Counts of each colour behind its own filter, (C,)."""
    spread: float
    """Rms of what the tiles' own matrices depart by from their mean, off the diagonal."""

    @property
    def unmixing(self) -> Doubles:
        """Its inverse, (C, F)."""
        return np.asarray(np.linalg.inv(self.matrix), np.float64)

    @property
    def condition(self) -> float:
        """How much noise may grow at most when it is undone."""
        return float(np.linalg.cond(self.matrix))


def mosaic_of(bench: Bench) -> Mosaic | None:
    """Give the camera's filters, None where it has none.

    Raises
    ------
    ConfigError
        If it has filters and the display is grey.
    """
    filters = bench.camera.filters
    if filters is None:
        return None
    if not in_colour(bench):
        raise ConfigError(
            f"{bench.path}: [instruments.{bench.camera.name}] has filters, and [instruments.{bench.display.name}] has"
            ' no planes; say planes = "RGB" there, or what they are, or take the filters away'
        )
    return Mosaic(filters)


def in_colour(bench: Bench) -> bool:
    """Whether a bench shows and captures colours: at once behind filters, else one after another."""
    return bench.display.planes is not None


def in_turn(bench: Bench) -> bool:
    """Whether colours are shown one after another."""
    return in_colour(bench) and bench.camera.filters is None


def responses(picture: Floats, boxes: list[tuple[slice, slice]]) -> Doubles:
    """Mean of each place of the filters within boxes of a picture (H, W): (T, 4), counts.

    Raises
    ------
    CalibrationError
        If a box reaches beyond the picture, as tiles of other scenes do.
    """
    height, width = picture.shape
    for tile, (rows, columns) in enumerate(boxes):
        if min(rows.start, columns.start) < 0 or rows.stop > height or columns.stop > width:
            raise CalibrationError(
                f"colour matrix: tile {tile} of {len(boxes)} lies outside the sensor of {height} x {width} px (its"
                f" middle rows {rows.start} to {rows.stop}, columns {columns.start} to {columns.stop}): scenes of"
                " another size, or another design, than this bench is laid out for (`labonn design check DESIGN"
                " --bench BENCH` says which fit); else check tile_pitch_um, tap_um and camera_pixel_um"
            )
    return np.array([[_mean_at(picture, box, place) for place in PLACES] for box in boxes])


def _mean_at(picture: Floats, box: tuple[slice, slice], place: tuple[int, int]) -> float:
    rows, columns = (
        slice(part.start + (begin - part.start) % 2, part.stop, 2) for part, begin in zip(box, place, strict=True)
    )
    return float(picture[rows, columns].mean(dtype=np.float64))


def colour_matrix(seen: Doubles, mosaic: Mosaic, planes: str, noise: float) -> ColourMatrix:
    """Find the matrix, and refuse it where it shows something wrong.

    Parameters
    ----------
    seen
        P tile by tile, (T, 4, C): counts above black.
    mosaic
        The filters, as the bench file has them.
    planes
        The display's planes, as the bench file has them.
    noise
        Standard deviation of a pixel, counts.

    Raises
    ------
    CalibrationError
        If a colour is dead, the filters are others, the colours come in another order, or they cannot be told apart.
    """
    whole = seen.mean(axis=0)
    _check_alive(whole, noise)
    _check_order(whole, mosaic, planes)
    own = np.array([[one == colour for one in mosaic.filters] for colour in COLOURS], np.float64)
    of_filters = own / own.sum(axis=1, keepdims=True)
    each = of_filters @ seen  # (T, F, C)
    mean = each.mean(axis=0)
    found = ColourMatrix(mean / np.diag(mean), np.diag(mean).copy(), 0.0)
    if not found.condition < _WORST_CONDITION:
        raise CalibrationError(
            f"colour matrix: the filters hardly tell the display's colours apart, {_table(whole)}; check that the"
            " camera's frames are raw, that its sensor is in colour, and that the display shows the planes as colours"
        )
    apart = each / np.diagonal(each, axis1=1, axis2=2)[:, None, :] - found.matrix
    off = ~np.eye(len(COLOURS), dtype=bool)
    return ColourMatrix(found.matrix, found.brightness, float(np.sqrt(np.mean(apart[:, off] ** 2))))


def _check_alive(whole: Doubles, noise: float) -> None:
    brightest = whole.max(axis=0)
    if not brightest.max() > _LEAST_SIGNAL * noise:
        raise CalibrationError(
            f"colour matrix: the camera sees no colour of the display ({_table(whole)}, where a pixel's noise is"
            f" {noise:.1f} counts); check the shutter, the light, the display and the exposure"
        )
    if (dead := np.flatnonzero(~(brightest > _DEAD * brightest.max()))).size:
        raise CalibrationError(
            f"colour matrix: {_named(dead)} of the display {'are' if dead.size > 1 else 'is'} dead: {_table(whole)};"
            " check that colour's lamp, cable and plane, and what stands in its way"
        )


def _check_order(whole: Doubles, mosaic: Mosaic, planes: str) -> None:
    """Compare what each place sees best with what its filter should."""
    best = (whole / whole.max(axis=0)).argmax(axis=1)
    found = "".join(COLOURS[one] for one in best)
    if found == mosaic.filters:
        return
    said = f"colour matrix: the pixels that filters = {mosaic.filters!r} calls {', '.join(mosaic.filters)} see best"
    said += f" the display's {', '.join(NAMES[one] for one in found)} ({_table(whole)})"
    swapped = {one: {found[at] for at in range(4) if mosaic.filters[at] == one} for one in COLOURS}
    if all(len(to) == 1 for to in swapped.values()) and len(set(found)) == len(COLOURS):
        order = {one: to.pop() for one, to in swapped.items()}
        # What is sent as colour order[one] arrives as `one`.
        arrives = {sent: one for one, sent in order.items()}
        real = "".join(arrives[one] for one in planes)
        also = f", or the camera's mosaic is {found}: say filters = {found!r}" if found in _MOSAICS else ""
        raise CalibrationError(
            f"{said}: colours are swapped. Show plain red and look at the display: where it is"
            f' {NAMES[arrives["R"]]}, its planes come in another order, say planes = "{real}"{also}'
        )
    if found in _MOSAICS:
        raise CalibrationError(
            f"{said}: the filters begin at another pixel; say filters = {found!r} in the camera's table, or read the"
            " frame out from an even row and column"
        )
    raise CalibrationError(
        f"{said}: no colour camera is like that; check that its frames are raw, and that the display shows its planes"
        " as colours"
    )


def _named(colours: NDArray[np.intp]) -> str:
    return " and ".join(NAMES[COLOURS[one]] for one in colours)


def _table(whole: Doubles) -> str:
    """What each colour gives at the places of the filters, for a message."""
    return "; ".join(
        f"{NAMES[one]} gives {' '.join(f'{counts:.0f}' for counts in column)}"
        for one, column in zip(COLOURS, whole.T, strict=True)
    )
