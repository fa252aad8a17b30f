r"""How the optics depart from their design, in words that an operator can act on, with standard errors.

    kernel_t = scale_t move(shift_t) (blur(width_t) r_t(defocus_t) + error_t)

r_t is the kernel that the phase pattern gives in focus or out of it; where no pattern is known, the designed one. Each
tile's scale, shift, width and defocus are those that explain the twin's kernel best, in the measure in which the
captures know it, and error_t is what is left: what neither aligning nor focusing would mend. What changes over the
field is taken apart into a change of brightness (vignetting), a movement (a picture that is too large, turned or
distorted), and the rest, which belongs to the error.
A calibration of the bench draws a line through captured over designed tiles, and so has already mended some of each of
these. What it has left, or what has changed since, is what that line says of the twin: gains, their mean as the level,
backgrounds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import fft2, ifft2
from scipy.optimize import least_squares
from torch import Tensor

from labonn.compensation.lines import Lines
from labonn.compensation.twin import Twin
from labonn.compensation.twin_basis import KERNEL_TAPS, TAPS, Part
from labonn.compensation.twin_prior import centre

Doubles = NDArray[np.float64]

SPECTRUM = 32  # side of the transform in which kernels are moved and blurred
LARGEST_SHIFT_TAPS, LARGEST_WIDTH_TAPS = 4.0, 3.0
FIELD_PARTS: tuple[Part, ...] = ("field", "field2")
# A colour is as sharp as the sharpest if its blur is at most so many times that one's, and so many taps more.
ALIKE, ALIKE_TAPS = 1.25, 0.1
STEP_TAPS = 0.05  # over which kernels' slopes are taken
_FREQUENCY = np.fft.fftfreq(SPECTRUM)


@dataclass(frozen=True)
class FocusSeries:
    """The kernels at several distances from focus.

    Attributes
    ----------
    defocus_waves
        (Z,) rising, zero among them.
    kernels
        (Z, T, taps, taps), taps at most `KERNEL_TAPS`, in the units of the designed kernels.
    """

    defocus_waves: Tensor
    kernels: Tensor

    @classmethod
    def of(cls, defocus_waves: Sequence[float], kernels: Tensor, designed: Tensor) -> "FocusSeries":
        """Scale kernels of any unit so that those in focus gather the light that the designed ones (T, t, t) do."""
        waves = torch.tensor(defocus_waves)
        focused = kernels[int(waves.abs().argmin())]
        margin = (focused.shape[-1] - designed.shape[-1]) // 2
        inner = slice(margin, margin + designed.shape[-1])
        unit = designed.sum(dim=(1, 2)) / focused[:, inner, inner].sum(dim=(1, 2)).clamp_min(1e-12)
        return cls(waves, kernels * unit[None, :, None, None])

    @classmethod
    def in_focus(cls, designed: Tensor) -> "FocusSeries":
        """For optics whose pattern is not known: the designed kernels, which have no other focus."""
        return cls(torch.zeros(1), designed[None])


@dataclass(frozen=True)
class Departures:
    """What is not as designed; T tiles. A field that ends in `_se` is a standard error.

    Attributes
    ----------
    level
        Light of all tiles over what the calibration says: the mean slope of the line through them.
    level_rms
        From frame to frame, over its mean.
    gain
        (T,) slope of each tile's line, over their mean.
    shift_taps
        (T, 2) down, right.
    width_taps
        (T,) standard deviation of a Gaussian blur.
    defocus_waves
        (T,) root mean square over a sub-aperture.
    kernel_error
        (T,) what is left of the kernel, over what it should be: a ratio of root mean squares in a tile.
    vignetting
        (T,) brightness lost from a tile's middle to its corners, in the mean of the four, as a fraction.
    background
        (T,) root mean square of the line's intercept and the pattern about it, in the student's units.
    display_gamma
        Exponent of the display.
    """

    level: float
    level_rms: float
    gain: Tensor
    shift_taps: Tensor
    shift_taps_se: Tensor
    width_taps: Tensor
    width_taps_se: Tensor
    defocus_waves: Tensor
    defocus_waves_se: Tensor
    kernel_error: Tensor
    vignetting: Tensor
    background: Tensor
    display_gamma: float
    display_gamma_se: float


@dataclass(frozen=True)
class Anatomy:
    """A twin's kernels taken apart, so that they can be put together again without some of it.

    Attributes
    ----------
    departures
        The numbers.
    series
        The kernels at all focuses.
    scale
        (T,) of the kernels.
    line
        (2, T) slope and intercept of the tiles over those that the design expects.
    error
        (T, KERNEL_TAPS, KERNEL_TAPS) what is left, over the scale, where it stands.
    fields
        Each part that changes over the field.
    """

    departures: Departures
    scale: Tensor
    line: Tensor
    series: FocusSeries
    error: Tensor
    fields: Mapping[Part, "Field"]

    @property
    def level(self) -> float:
        """Light of the tiles over what the calibration says, in the mean."""
        return self.departures.level

    @property
    def place(self) -> "Place":
        """Where the kernels stand, and how sharp they are."""
        d = self.departures
        stretch = {part: field.stretch_taps for part, field in self.fields.items()}
        return Place(d.shift_taps, d.width_taps, d.defocus_waves, stretch)

    def kernels(self, place: "Place", *, wrong: bool = True) -> Tensor:
        """The kernels, (T, KERNEL_TAPS, KERNEL_TAPS), at another place, with or without their errors."""
        kernels, by = [], (place.shift_taps - self.departures.shift_taps).tolist()
        for tile, (scale, error) in enumerate(zip(self.scale, self.error, strict=True)):
            where = np.array([*place.shift_taps[tile].tolist(), float(place.width_taps[tile])])
            kernel = _shape(_spectra(self.series, tile), self.series, where, float(place.defocus_waves[tile]))
            if wrong:
                rest = error.double().numpy()
                kernel = kernel + (_moved(rest, by[tile]) if any(by[tile]) else rest)
            kernels.append(float(scale) * kernel)
        return torch.from_numpy(np.stack(kernels)).float()


@dataclass(frozen=True)
class Field:
    """How kernels change over the field with each of its powers, of which there are J.

    Attributes
    ----------
    share
        (T, J) of the kernel itself: brightness.
    stretch_taps
        (T, J, 2) how far the kernel moves, down and right: what the picture is stretched or turned by.
    rest
        (T, J, taps, taps) what is neither, over the scale.
    """

    share: Tensor
    stretch_taps: Tensor
    rest: Tensor


@dataclass(frozen=True)
class Place:
    """Where T kernels stand, and how sharp they are.

    Attributes
    ----------
    shift_taps
        (T, 2) down, right.
    width_taps, defocus_waves
        (T,) as of `Departures`.
    stretch_taps
        (T, J, 2) as of `Field`, for each part that changes over the field.
    """

    shift_taps: Tensor
    width_taps: Tensor
    defocus_waves: Tensor
    stretch_taps: Mapping[Part, Tensor]

    @classmethod
    def common(cls, places: Sequence["Place"]) -> "Place":
        """What several colours have in common: the middle one's, and of blurs, which only add, the sharpest one's.

        Not the mean, of which one colour that departs by itself would give every other a share.
        """

        def middle(each: Sequence[Tensor]) -> Tensor:
            return torch.quantile(torch.stack(list(each)), 0.5, dim=0)

        widths = torch.stack([place.width_taps for place in places])
        blur = widths.square().mean(dim=1).sqrt()
        parts = dict.fromkeys(part for place in places for part in place.stretch_taps)
        unstretched = {part: next(0 * p.stretch_taps[part] for p in places if part in p.stretch_taps) for part in parts}
        return cls(
            middle([place.shift_taps for place in places]),
            widths[blur <= ALIKE * blur.min() + ALIKE_TAPS].mean(dim=0),
            middle([place.defocus_waves for place in places]),
            {  # a colour whose twin has no such part is not stretched
                part: middle([place.stretch_taps.get(part, unstretched[part]) for place in places]) for part in parts
            },
        )


def dissect(twin: Twin, designed: Tensor, images: Tensor, series: FocusSeries | None = None) -> Anatomy:
    """Take a twin's kernels apart.

    Parameters
    ----------
    twin
        Fitted to captures.
    designed
        (T, taps, taps), the student's kernels.
    images
        (N, 1, H, W) that lines are drawn over; a few are enough. In colour (N, C, H, W), the twin's own first.
    series
        The kernels that the optic's pattern gives out of focus; without it, defocus counts as error.
    """
    series = series or FocusSeries.in_focus(designed)
    metric = twin.spread[: KERNEL_TAPS**2, : KERNEL_TAPS**2].double().numpy()
    found, errors, rests, relative = [], [], [], []
    for tile, kernel in enumerate(twin.kernels.double().numpy()):
        best, covariance = _explain(kernel, _spectra(series, tile), series, metric, float(twin.spread_scale[tile]))
        shape = _shape(_spectra(series, tile), series, best[1:4], best[4])
        found.append(best)
        errors.append(np.sqrt(np.diag(covariance)))
        rests.append(kernel / best[0] - shape)
        relative.append(np.linalg.norm(metric.T @ rests[-1].ravel()) / np.linalg.norm(metric.T @ shape.ravel()))
    value, error = torch.tensor(np.array(found)).float(), torch.tensor(np.array(errors)).float()
    line = Lines(designed, images).of(twin)
    level = float(line[0].mean())
    fields = {part: _field(twin, part, value[:, 0]) for part in FIELD_PARTS if part in twin.basis.parts}
    departures = Departures(
        level=level,
        level_rms=twin.level_rms,
        gain=line[0] / level,
        shift_taps=value[:, 1:3],
        shift_taps_se=error[:, 1:3],
        width_taps=value[:, 3],
        width_taps_se=error[:, 3],
        defocus_waves=value[:, 4],
        defocus_waves_se=error[:, 4],
        kernel_error=torch.tensor(np.array(relative)).float(),
        vignetting=_corner_loss(twin, fields),
        background=(_pattern(twin) + line[1][:, None, None]).square().mean(dim=(1, 2)).sqrt(),
        display_gamma=twin.display_gamma,
        display_gamma_se=twin.display_gamma_se,
    )
    return Anatomy(departures, value[:, 0], line, series, torch.tensor(np.array(rests)).float(), fields)


def _explain(
    kernel: Doubles, spectra: NDArray[np.complex128], series: FocusSeries, metric: Doubles, scale: float
) -> tuple[Doubles, Doubles]:
    """Gain, shift (2), width, defocus of one kernel, and their covariance; from several starts, the best."""
    waves = series.defocus_waves.double().numpy()
    count = 5 if len(waves) > 1 else 4  # where focus is not known, it is not looked for
    low = [1e-3, -LARGEST_SHIFT_TAPS, -LARGEST_SHIFT_TAPS, 0.0, waves[0]]
    high = [1e3, LARGEST_SHIFT_TAPS, LARGEST_SHIFT_TAPS, LARGEST_WIDTH_TAPS, waves[-1]]
    seen = metric.T @ kernel.ravel()

    def whole(values: Doubles) -> Doubles:
        return np.append(values, waves[:1])[:5]

    def left(values: Doubles) -> Doubles:
        gain, *place, focus = whole(values)
        return np.asarray(gain * (metric.T @ _shape(spectra, series, place, focus).ravel()) - seen)

    def slope(values: Doubles) -> Doubles:
        """Of what is left, by the values, (KERNEL_TAPS^2, count)."""
        gain, *place, focus = whole(values)
        shape = _shape(spectra, series, place, focus)
        ways = np.stack([shape, *(gain * _shape_changes(spectra, series, place, focus))])[:count]
        return np.asarray(metric.T @ ways.reshape(count, -1).T)

    starts = [[1.0, 0.0, 0.0, 0.3, focus] for focus in ((waves[0] / 2, 0.0, waves[-1] / 2) if count == 5 else (0.0,))]
    scale_of = [1, 0.3, 0.3, 0.3, 0.1]
    trials = [
        least_squares(left, start[:count], slope, bounds=(low[:count], high[:count]), x_scale=scale_of[:count])
        for start in starts
    ]
    best = min(trials, key=lambda trial: float(trial.cost))
    information, covariance = best.jac.T @ best.jac, np.zeros((5, 5))
    covariance[:count, :count] = scale**2 * np.linalg.pinv(information, hermitian=True)
    return whole(best.x), covariance


def _spectra(series: FocusSeries, tile: int) -> NDArray[np.complex128]:
    """Transforms of one tile's kernels at all focuses, (Z, SPECTRUM, SPECTRUM)."""
    wide = centre(series.kernels[:, tile].double()).numpy()
    return np.asarray(fft2(wide, (SPECTRUM, SPECTRUM)))


def _shape(spectra: NDArray[np.complex128], series: FocusSeries, place: Iterable[float], waves: float) -> Doubles:
    """A kernel at one focus, moved and blurred: (KERNEL_TAPS, KERNEL_TAPS)."""
    spectrum, _ = _focused(spectra, series, waves)
    return _back(spectrum * _turn(*place))


def _shape_changes(
    spectra: NDArray[np.complex128], series: FocusSeries, place: Iterable[float], waves: float
) -> Doubles:
    """How it changes with place down and right, width and focus: (4, KERNEL_TAPS, KERNEL_TAPS)."""
    spectrum, refocused = _focused(spectra, series, waves)
    down, right, width = place
    turn, ways = _turn(down, right, width), 2j * np.pi * _FREQUENCY
    moved = spectrum * turn
    blurring = width * (np.square(ways)[:, None] + np.square(ways)[None, :])
    return _back(np.stack([moved * ways[:, None], moved * ways[None, :], moved * blurring, refocused * turn]))


def _focused(
    spectra: NDArray[np.complex128], series: FocusSeries, waves: float
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """A kernel's spectrum at one focus, drawn along a line between those that are known, and its change by a wave."""
    known = series.defocus_waves.double().numpy()
    if len(known) == 1:
        return spectra[0], np.zeros_like(spectra[0])
    upper = int(np.clip(np.searchsorted(known, waves), 1, len(known) - 1))
    change = (spectra[upper] - spectra[upper - 1]) / (known[upper] - known[upper - 1])
    return spectra[upper - 1] + (waves - known[upper - 1]) * change, change


def _moved(kernels: Doubles, by_taps: Sequence[float]) -> Doubles:
    """Kernels (..., taps, taps) moved down and right by parts of a tap, dark beyond."""
    return _back(fft2(kernels, (SPECTRUM, SPECTRUM)) * _turn(*by_taps))


def _turn(down: float, right: float, width: float = 0.0) -> NDArray[np.complex128]:
    """What moving and blurring the picture do to a kernel's spectrum: one that is correlated moves the other way."""
    fade = np.exp(-2 * (np.pi * width * _FREQUENCY) ** 2)
    along = [fade * np.exp(2j * np.pi * by * _FREQUENCY) for by in (down, right)]
    return np.asarray(along[0][:, None] * along[1])


def _back(spectra: NDArray[np.complex128]) -> Doubles:
    """Kernels (..., KERNEL_TAPS, KERNEL_TAPS) of spectra."""
    return np.asarray(ifft2(spectra).real[..., :KERNEL_TAPS, :KERNEL_TAPS])


def slopes(kernels: Tensor, taps: int) -> Tensor:
    """How kernels (T, KERNEL_TAPS, KERNEL_TAPS) change as they move down and right, a tap: (T, 2, taps, taps)."""
    values, steps = kernels.double().numpy(), ((STEP_TAPS, 0.0), (0.0, STEP_TAPS))
    ways = [_moved(values, step) - _moved(values, [-along for along in step]) for step in steps]
    return centre(torch.from_numpy(np.stack(ways, axis=1) / (2 * STEP_TAPS)).to(kernels), taps)


def _field(twin: Twin, part: Part, gain: Tensor) -> Field:
    """What a part's kernels are of the kernel itself and of its slopes, by least squares, and what is left."""
    kernels = twin.basis.kernels(twin.weights, part)
    own = torch.cat([centre(twin.kernels, TAPS[part])[:, None], slopes(twin.kernels, TAPS[part])], dim=1)
    found = torch.linalg.lstsq(own.flatten(2).mT, kernels.flatten(2).mT).solution.mT  # (T, J, 3)
    left = kernels - torch.einsum("tjs,tsyx->tjyx", found, own)
    return Field(found[..., 0], found[..., 1:], left / gain[:, None, None, None])


def _corner_loss(twin: Twin, fields: Mapping[Part, Field]) -> Tensor:
    """Brightness lost from the middle to the mean of the corners, (T,)."""
    middle, corner = torch.ones(twin.weights.shape[1]), torch.ones(twin.weights.shape[1])
    height, width = twin.basis.image_shape
    for part, field in fields.items():
        powers = twin.basis.powers(part)
        middle = middle + field.share @ powers[:, height // 2, width // 2]
        corner = corner + field.share @ powers[:, [0, 0, -1, -1], [0, -1, 0, -1]].mean(dim=1)
    loss: Tensor = 1 - corner / middle.clamp_min(1e-3)
    return loss


def _pattern(twin: Twin) -> Tensor:
    """What the tiles show of a dark picture about their means, (T, H, W)."""
    dark = twin.basis.of_no_light(twin.weights)
    return dark - dark.mean(dim=(1, 2), keepdim=True)
