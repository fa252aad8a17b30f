"""What each departure from the design costs in points: restored one at a time in the twin.

In colour, what all colours suffer together is geometry: the optic or the camera stands wrong. What one suffers against
the others is chromatic, and no alignment mends it.
"""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from labonn.compensation.departures import Anatomy, FocusSeries, Place, dissect, slopes
from labonn.compensation.lines import Lines
from labonn.compensation.twin import Twin
from labonn.compensation.twin_basis import TAPS, Part
from labonn.compensation.twin_colour import AnyTwin, own_first, parts_of, put_together
from labonn.compensation.twin_prior import centre
from labonn.compensation.twin_sensor import straight
from labonn.training import score_percent

Fault = Literal[
    "misalignment", "defocus", "kernel error", "vignetting", "background", "nonlinearity", "crosstalk", "light level",
    "chromatic shift", "chromatic focus", "colour balance", "colour mixing",
]  # fmt: skip
CHROMATIC: tuple[Fault, ...] = get_args(Fault)[-4:]
"""What only colours can suffer."""
FAULTS: tuple[Fault, ...] = get_args(Fault)[:-4]
ADVICE: dict[Fault, str] = {
    "misalignment": "the pictures are shifted, turned or stretched: calibrate the geometry again, then re-align",
    "defocus": "the pictures are blurred: re-focus; if that does not help, a surface scatters",
    "kernel error": "the kernels are not those of the design: measure the phase table; if that is right, re-fabricate",
    "vignetting": "tiles are unevenly bright: take the flat field again, then look for what stands in the light",
    "background": "light arrives that is not the picture's: take the dark frame again, then shield the bench",
    "nonlinearity": "readings are not proportional to the image's values: correct the display's gamma or the exposure",
    "crosstalk": "light of a picture arrives where it does not belong: look for reflections, dust and scatter",
    "light level": "the light is not what it was at calibration, or differs from frame to frame: look at the source",
    "chromatic shift": "colours lie apart or differ in size: calibrate the geometry; if they still do, it is the optic",
    "chromatic focus": "colours are not sharp together: focus on the one that counts most, or re-design the optic",
    "colour balance": "colours are not as bright as they were: look at the source's colours, then calibrate colour",
    "colour mixing": "a colour is seen in another: calibrate colour again, then look at filters and the source's lines",
}
OF_THE_KERNELS = {"misalignment", "defocus", "kernel error", "chromatic shift", "chromatic focus"}
OF_THE_LINE: tuple[Fault, ...] = ("vignetting", "background", "light level", "colour balance")
IMAGES = 400  # the score is that of so many at most; in colour, of half
IMAGES_OF_PIXELS = 32  # where each pixel has a class: an image says more, and takes longer
LINE_IMAGES, LINE_IMAGES_OF_PIXELS = 32, 4
_FEW = 2  # images more or less say nothing
SEED = 0  # of the noise: the same for all


@dataclass(frozen=True)
class Cost:
    """What one departure costs.

    Attributes
    ----------
    fault
        Which.
    points
        Per cent of the images that the backend would read right in addition (of masks, points of mean IoU), if this
        alone were as designed; whether it was there at the last calibration or came later, whichever the backend reads
        better.
    alone_points
        What an optic that departs from its design in this alone would lose.
    advice
        What to do about it.
    """

    fault: Fault
    points: float
    alone_points: float
    advice: str


@dataclass(frozen=True)
class Attribution:
    """All costs, the largest first, with what they are measured against.

    Attributes
    ----------
    costs
        One for each fault.
    anatomy
        The numbers behind them; in colour of the middle colour.
    as_it_is, as_designed
        Accuracy, or mean IoU, of the backend on the twin, and on a twin with everything restored, per cent.
    images
        How many it was measured on.
    """

    costs: tuple[Cost, ...]
    anatomy: Anatomy
    as_it_is: float
    as_designed: float
    images: int

    @property
    def culprit(self) -> Cost | None:
        """The fault that costs most, if that is more than chance, or a quarter of what is lost, and than two images.

        Chance is two standard errors of an accuracy on so many images.
        """
        chance = 200 * (0.25 / self.images) ** 0.5
        lost = self.as_designed - self.as_it_is
        worst = self.costs[0]
        return worst if worst.points > max(min(chance, lost / 4), 100 * _FEW / self.images) else None


def attribute(
    twin: AnyTwin,
    designed: Tensor,
    backend: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    series: FocusSeries | None = None,
    on_score: Callable[[], None] = lambda: None,
) -> Attribution:
    """Restore each departure in the twin, in all its colours, and see how much better a backend reads it.

    Parameters
    ----------
    twin
        Fitted to captures.
    designed
        (T, taps, taps), in colour (T, C, taps, taps), the student's kernels.
    backend
        The one that was trained for the optics as designed.
    images, labels
        (N, C, H, W) and (N,), to measure the score on; 400 of them are used, in colour 200, evenly chosen. With masks,
        (N, H, W), 32.
    series
        The kernels that the optic's pattern gives out of focus; without it, defocus counts as kernel error.
    on_score
        Called each time that the backend has read all images.
    """
    most = IMAGES if designed.ndim == 3 else IMAGES // 2
    most = most if labels.ndim == 1 else IMAGES_OF_PIXELS
    spread = torch.arange(0, len(images), max(1, len(images) // most))[:most]  # neighbours may be one car's
    images, labels = images[spread], labels[spread]
    few = images[: LINE_IMAGES if labels.ndim == 1 else LINE_IMAGES_OF_PIXELS]
    kernels = (designed,) if designed.ndim == 3 else designed.unbind(dim=1)
    colours = [(part, kernels[c], own_first(few, c)) for c, part in enumerate(parts_of(twin))]
    anatomies = [dissect(part, mine, seen, series) for part, mine, seen in colours]
    common, known = common_of(anatomies), (*FAULTS, *(CHROMATIC if len(colours) > 1 else ()))
    restoring = [
        Restoring(part, anatomy, mine, seen, common)
        for (part, mine, seen), anatomy in zip(colours, anatomies, strict=True)
    ]
    read = Reading(backend, images, labels)

    def score(*restored: Fault, calibrated: bool = True) -> float:
        found = read.score(put_together(twin, [one.without(restored, calibrated=calibrated) for one in restoring]))
        on_score()
        return found

    as_it_is, as_designed = score(), score(*known)
    costs = []
    for fault in known:
        if not any(one.has(fault) for one in restoring):
            costs.append(Cost(fault, 0.0, 0.0, ADVICE[fault]))
            continue
        restored = score(fault)
        if fault not in OF_THE_LINE:
            restored = max(restored, score(fault, calibrated=False))
        alone = as_designed - score(*(other for other in known if other != fault))
        costs.append(Cost(fault, restored - as_it_is, alone, ADVICE[fault]))
    # Of two that would mend as much, a line's fault is the other's consequence.
    ordered = sorted(costs, key=lambda cost: (-cost.points, cost.fault in OF_THE_LINE, -cost.alone_points))
    return Attribution(tuple(ordered), anatomies[len(anatomies) // 2], as_it_is, as_designed, len(images))


@dataclass(frozen=True)
class Common:
    """What all colours suffer alike: where their kernels stand, and the level of their light."""

    place: Place
    level: float


def common_of(anatomies: Sequence[Anatomy]) -> Common:
    """What the colours have in common, so that one of them that departs by itself does not; of one colour, its own."""
    level = statistics.median(anatomy.level for anatomy in anatomies)
    return Common(Place.common([anatomy.place for anatomy in anatomies]), level)


class Restoring:
    """A colour's twin, whose departures from the design can be restored.

    Parameters
    ----------
    twin, anatomy
        The twin, and what `dissect` says of it.
    designed
        (T, taps, taps), the student's kernels.
    images
        Some that lines are drawn over, as of `dissect`.
    common
        What other colours suffer alike; of one colour alone, all of it.
    """

    def __init__(
        self, twin: Twin, anatomy: Anatomy, designed: Tensor, images: Tensor, common: Common | None = None
    ) -> None:
        self._twin, self._anatomy = twin, anatomy
        self._common = common or common_of([anatomy])
        self._lines = Lines(designed, images)
        self._standing: dict[frozenset[str], tuple[Place, Tensor, dict[Part, Tensor]]] = {}

    def has(self, fault: Fault) -> bool:
        """Whether there is anything of a fault, which a twin need not have a part for."""
        parts = self._twin.basis.parts
        if fault == "nonlinearity":
            return self._twin.display_gamma != 1 or not self._twin.sensor.straight
        if fault == "crosstalk":
            return "halo" in parts or "far" in parts
        return fault != "colour mixing" or "mix" in parts

    def without(self, faults: Iterable[Fault], *, calibrated: bool = True) -> Twin:
        """The twin with some of its departures as designed.

        What a calibration's line through the tiles has mended stays mended: the tiles of the restored twin are scaled
        and moved until their lines over the design are what they were, but for the faults of the lines themselves. Not
        so where the fault came after the calibration (`calibrated` is false): then the line goes with it.
        """
        mended, twin, anatomy = set(faults), self._twin, self._anatomy
        basis, weights = twin.basis, twin.weights.clone()
        place, kernels, ways = self._stand(mended)
        weights[basis.places["kernel"]] = kernels.flatten(1).T
        for part, changes in anatomy.fields.items():
            field = torch.einsum("tja,tayx->tjyx", place.stretch_taps[part], ways[part])
            if "vignetting" not in mended:
                field = field + changes.share[..., None, None] * centre(kernels, TAPS[part])[:, None]
            if "kernel error" not in mended:
                field = field + changes.rest * anatomy.scale[:, None, None, None]
            weights[basis.places[part]] = field.flatten(1).T
        gone: list[Part] = [
            *(("background",) if "background" in mended else ()),
            *(("halo", "far") if "crosstalk" in mended else ()),
            *(("mix",) if "colour mixing" in mended else ()),
        ]
        restored = replace(twin, weights=basis.without(weights, *gone))
        if "nonlinearity" in mended:
            restored = replace(restored, display_gamma=1.0, sensor=straight(weights.shape[1]))
        if "light level" in mended:
            restored = replace(restored, level_rms=0.0)
        if not calibrated:
            return restored
        return _on_line(restored, _line(anatomy.line, self._common.level, mended), self._lines.of(restored))

    def _stand(self, mended: set[Fault]) -> tuple[Place, Tensor, dict[Part, Tensor]]:
        """Where the kernels stand, the kernels, and their slopes for each part that changes over the field."""
        key = frozenset(mended & OF_THE_KERNELS)
        if key not in self._standing:
            place = _place(self._anatomy.place, self._common.place, mended)
            kernels = self._anatomy.kernels(place, wrong="kernel error" not in mended)
            ways = {part: slopes(kernels, TAPS[part]) for part in self._anatomy.fields}
            self._standing[key] = place, kernels, ways
        return self._standing[key]


def _place(own: Place, common: Place, mended: set[Fault]) -> Place:
    """Where a colour's kernels stand, where some of what moves and blurs them is mended."""

    def left(mine: Tensor, all_colours: Tensor, geometric: Fault, chromatic: Fault) -> Tensor:
        of_all = torch.zeros_like(mine) if geometric in mended else all_colours
        return of_all + (torch.zeros_like(mine) if chromatic in mended else mine - all_colours)

    squared = left(own.width_taps.square(), common.width_taps.square(), "defocus", "chromatic focus")
    return Place(
        left(own.shift_taps, common.shift_taps, "misalignment", "chromatic shift"),
        squared.clamp_min(0).sqrt(),  # of two blurs after one another, the squares add up
        left(own.defocus_waves, common.defocus_waves, "defocus", "chromatic focus"),
        {
            part: left(mine, common.stretch_taps[part], "misalignment", "chromatic shift")
            for part, mine in own.stretch_taps.items()
        },
    )


def _line(line: Tensor, common_level: float, mended: set[Fault]) -> Tensor:
    """The lines (2, T) that are wanted of the tiles, where some of their faults are mended."""
    slope, intercept = line
    level = slope.mean()
    slope = torch.ones_like(slope) if "vignetting" in mended else slope / level
    slope = slope * (1.0 if "colour balance" in mended else level / common_level)
    slope = slope * (1.0 if "light level" in mended else common_level)
    return torch.stack([slope, torch.zeros_like(intercept) if "background" in mended else intercept])


def _on_line(twin: Twin, wanted: Tensor, found: Tensor) -> Twin:
    """The twin with its tiles scaled and moved from one line (2, T) to another."""
    factor = wanted[0] / found[0].clamp_min(1e-6)
    weights = twin.weights * factor
    weights[twin.basis.places["offset"]] += wanted[1] - found[1] * factor
    return replace(twin, weights=weights)


class Reading:
    """What a backend reaches on twins' maps of the same images, with each twin's noise: drawn once, the same for all.

    Parameters
    ----------
    backend, images, labels
        As of `attribute`.
    """

    def __init__(self, backend: nn.Module, images: Tensor, labels: Tensor) -> None:
        self._backend, self._images, self._labels = backend, images, labels.numpy()
        self._generator = torch.Generator().manual_seed(SEED)
        self._normals: Tensor | None = None
        self._drawn = self._generator.get_state()

    @torch.no_grad()
    def score(self, twin: AnyTwin) -> float:
        """Accuracy, or mean IoU, per cent."""
        maps = twin.maps(self._images)
        if self._normals is None:
            self._normals = torch.randn(maps.shape, generator=self._generator)
            self._drawn = self._generator.get_state()
        self._generator.set_state(self._drawn)
        maps = twin.noisy(maps, self._images, self._generator, normals=self._normals)
        return score_percent(self._backend, maps, self._labels)
