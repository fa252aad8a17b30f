"""The twin in colour: every colour's own kernels, and maps that are summed or apart as the student's are."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from labonn.compensation import ColourTwin, Twin, attribute, twin_of
from labonn.compensation import twin as twin_module
from labonn.compensation.attribution import CHROMATIC, FAULTS, Fault, Restoring, common_of
from labonn.compensation.colour_checks import check_colours
from labonn.compensation.departures import dissect
from labonn.compensation.movement import movement
from labonn.compensation.twin import SPECTRAL_IMAGES
from labonn.compensation.twin_basis import TAPS
from labonn.compensation.twin_colour import own_first, parts_of
from labonn.design import Optic, Sensor
from labonn.errors import CalibrationError
from labonn.optics import Frontend

SIDE = 12
PLAIN = ("kernel", "offset")
OFFSETS = torch.tensor([0.1, -0.2, 0.3])


def frontend(colours: str = "summed", count: int = 3) -> Frontend:
    optic = Optic(
        aperture_mm=(4.0, 4.0),
        kernel_mm=1.0,
        taps=5,
        kernels=2,
        wavelengths_nm=(620.0, 532.0, 460.0)[:count],
        colours=colours,
    )
    return Frontend(optic, Sensor(), generator=torch.Generator().manual_seed(0))


def pictures(count: int, seed: int = 0, colours: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    values, mask = (torch.rand(count, colours, SIDE, SIDE, generator=generator) for _ in range(2))
    return values * (mask > 0.5)


def world(images: torch.Tensor, noise: float = 0.0) -> torch.Tensor:
    """What the designed optics show, each colour with an offset and a gain of its own."""
    tiles = frontend().ideal_tiles(images).detach() * torch.tensor([0.9, 1.0, 1.2])[:, None, None]
    drawn = torch.randn(tiles.shape, generator=torch.Generator().manual_seed(3))
    return tiles + OFFSETS[:, None, None] + noise * drawn


@pytest.fixture(scope="module")
def twin() -> ColourTwin:
    images = pictures(8)
    fitted: list[None] = []
    found = twin_of(frontend(), images, world(images, noise=0.01), parts=PLAIN, on_colour=lambda: fitted.append(None))
    assert isinstance(found, ColourTwin)
    assert len(fitted) == 3, "an operator sees how far it is"
    return found


def test_each_colour_has_its_own_kernels(twin: ColourTwin) -> None:
    middle = slice(6, 11)
    real = frontend().kernels().detach() * torch.tensor([0.9, 1.0, 1.2])[:, None, None]
    assert (twin.kernels[:, :, middle, middle] - real).abs().max() < 0.05 * real.max()
    for one, offset in zip(twin.colours, OFFSETS, strict=True):
        assert (one.offset - offset).abs().max() < 0.05
    assert (twin.captures, len(twin.held_out_r2)) == (8, 12)
    assert twin.residual.shape == (12, SIDE, SIDE)


@pytest.mark.parametrize("colours", ["summed", "separate"])
def test_maps_are_those_that_the_student_makes_of_the_tiles(twin: ColourTwin, colours: str) -> None:
    student, unseen = frontend(colours), pictures(5, seed=9)
    ours = ColourTwin(twin.colours, student.summed)
    assert (ours.tiles(unseen) - world(unseen)).abs().max() < 0.1
    expected = student.maps_of(ours.tiles(unseen))
    assert expected.shape == student(unseen).shape
    torch.testing.assert_close(ours.maps(unseen), expected, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(student.maps_of(student.ideal_tiles(unseen)), student.eval()(unseen))


@pytest.mark.parametrize("colours", ["summed", "separate"])
def test_its_noise_is_that_of_a_capture(twin: ColourTwin, colours: str) -> None:
    student, images = frontend(colours), pictures(1, seed=5).repeat(300, 1, 1, 1)
    ours = ColourTwin(twin.colours, student.summed)
    generator = torch.Generator().manual_seed(0)
    drawn = ours.noisy(ours.maps(images), images, generator).std(dim=0)
    really = student.maps_of(world(images, noise=0.01)).std(dim=0)
    assert drawn.mean() == pytest.approx(float(really.mean()), rel=0.25)
    again = ours.sample(torch.Generator().manual_seed(1))
    assert 0 < (again.kernels - ours.kernels).abs().max() < 0.1


def test_a_grey_design_has_the_grey_twin() -> None:
    student, images = frontend(count=1), pictures(8, colours=1)
    assert isinstance(twin_of(student, images, student.ideal_tiles(images).detach(), parts=PLAIN), Twin)


def test_it_sees_a_picture_move_and_what_a_departure_costs(twin: ColourTwin) -> None:
    unseen = pictures(8, seed=11)
    still, moved = world(unseen), world(unseen.roll(1, dims=2))
    assert movement(twin, unseen, still).distance_taps < 0.05
    assert movement(twin, unseen, moved).all_taps[0] > 0.5
    backend = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2 * SIDE**2, 3))
    blame = attribute(twin, frontend().kernels().detach(), backend, unseen, torch.arange(8) % 3)
    assert {cost.fault for cost in blame.costs} >= {"misalignment", "vignetting"}


def test_what_a_filter_lets_pass_of_another_colour_is_found_and_named() -> None:
    """Red's tiles hold a fifth of green's, which a twin of red alone cannot say."""
    images, unseen = pictures(24), pictures(6, seed=21)

    def mixed(shown: torch.Tensor) -> torch.Tensor:
        tiles = world(shown, noise=0.01)
        tiles[:, :, 0] += 0.2 * frontend().ideal_tiles(shown).detach()[:, :, 1]
        return tiles

    blind = twin_of(frontend(), images, mixed(images), parts=PLAIN)
    seeing = twin_of(frontend(), images, mixed(images), parts=(*PLAIN, "mix"))
    errors = [(one.tiles(unseen) - mixed(unseen))[:, :, 0].std() for one in (blind, seeing)]
    assert errors[1] < 0.3 * errors[0]
    assert ["mix" in one.basis.parts for one in seeing.colours] == [True, False, False]
    margin = (TAPS["mix"] - 5) // 2
    leak = seeing.colours[0].basis.kernels(seeing.colours[0].weights, "mix")  # of green, then of blue
    green = frontend().kernels().detach()[:, 1]
    inner = slice(margin, margin + 5)
    assert (leak[:, 0, inner, inner] - 0.2 * green).abs().max() < 0.05 * green.max()
    assert leak[:, 1].abs().max() < 0.05 * green.max()
    torch.testing.assert_close(seeing.maps(unseen), frontend().maps_of(seeing.tiles(unseen)), atol=1e-4, rtol=1e-3)
    many = pictures(SIDE**2, seed=4)  # so many that its own colour becomes one matrix
    torch.testing.assert_close(seeing.mapping(len(many))(many[:6]), seeing.maps(many[:6]), atol=0.02, rtol=0.02)


class Nearest(torch.nn.Module):
    """Reads a map as the picture whose designed map is closest."""

    def __init__(self, known: torch.Tensor) -> None:
        super().__init__()
        self.known = frontend("separate").eval()(known).detach()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return -torch.cdist(maps.flatten(1), self.known.flatten(1))


def moved(tiles: torch.Tensor, down: tuple[float, float, float]) -> torch.Tensor:
    """Tiles (N, T, C, H, W), each colour moved down by parts of a tap."""
    frequency = torch.fft.fftfreq(SIDE)[:, None]
    turned = [torch.fft.ifft2(torch.fft.fft2(tiles[:, :, c]) * torch.exp(-2j * torch.pi * frequency * by)).real
              for c, by in enumerate(down)]  # fmt: skip
    return torch.stack(turned, dim=2)


def blurred(tiles: torch.Tensor, widths: tuple[float, float, float]) -> torch.Tensor:
    """Tiles (N, T, C, H, W), each colour behind a Gaussian blur of so many taps."""
    squared = torch.fft.fftfreq(SIDE).square()
    passed = [torch.exp(-2 * torch.pi**2 * width**2 * (squared[:, None] + squared)) for width in widths]
    return torch.stack([torch.fft.ifft2(torch.fft.fft2(tiles[:, :, c]) * one).real for c, one in enumerate(passed)], 2)


def stretched(tiles: torch.Tensor, by: tuple[float, float, float]) -> torch.Tensor:
    """Tiles (N, T, C, H, W), each colour's picture made larger about its middle by a fraction."""
    grids = [torch.nn.functional.affine_grid(torch.eye(2, 3)[None] / (1 + one), [1, 1, SIDE, SIDE], align_corners=True)
             for one in by]  # fmt: skip
    larger = [torch.nn.functional.grid_sample(tiles[:, :, c], grid.expand(len(tiles), -1, -1, -1), "bicubic",
                                              align_corners=True) for c, grid in enumerate(grids)]  # fmt: skip
    return torch.stack(larger, dim=2)


WRONG = {
    "misalignment": lambda tiles: moved(tiles, (0.8, 0.8, 0.8)),
    "chromatic shift": lambda tiles: moved(tiles, (0.9, 0.0, -0.9)),
    "chromatic shift of one colour": lambda tiles: moved(tiles, (0.0, 0.0, 1.0)),
    "defocus": lambda tiles: blurred(tiles, (1.2, 1.2, 1.2)),
    "chromatic focus": lambda tiles: blurred(tiles, (1.2, 0.0, 1.2)),
    "chromatic focus of one colour": lambda tiles: blurred(tiles, (0.0, 0.0, 1.5)),
    "colour mixing": lambda tiles: tiles + 0.9 * tiles.roll(1, dims=2),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_colours_suffer_apart_is_told_from_what_they_suffer_together(wrong: str) -> None:
    fault = wrong.removesuffix(" of one colour")
    images, base = pictures(12), pictures(1, seed=5)
    known = (base + 0.2 * pictures(25, seed=7) * (base > 0)).clamp_max(1.0)  # alike, so that maps must be right
    ideal = frontend().ideal_tiles(images).detach()
    tiles = WRONG[wrong](ideal) + 0.005 * torch.randn(ideal.shape, generator=torch.Generator().manual_seed(3))
    parts = (*PLAIN, "mix") if fault == "colour mixing" else PLAIN
    twin = replace(twin_of(frontend(), images, tiles, parts=parts), summed=False)
    blame = attribute(twin, frontend().kernels().detach(), Nearest(known), known, torch.arange(25))
    costs = {cost.fault: cost.points for cost in blame.costs}
    assert blame.culprit is not None
    assert blame.culprit.fault == fault, costs
    assert set(costs) == {*FAULTS, *CHROMATIC}


def test_colours_of_another_size_are_shifted_and_their_kernels_are_right() -> None:
    """All pictures are larger, and red's against blue's: at the edge, 5.5 taps from the middle, by half a tap."""
    images, designed = pictures(24), frontend().kernels().detach()
    tiles = stretched(frontend().ideal_tiles(images).detach(), (0.1, 0.05, 0.0))
    twin = twin_of(frontend(), images, tiles, parts=(*PLAIN, "field"))
    seen = [(part, designed[:, c], own_first(images, c)) for c, part in enumerate(parts_of(twin))]
    anatomies = [dissect(*one) for one in seen]
    common = common_of(anatomies)

    def stretch(*mended: Fault) -> torch.Tensor:
        """Of each colour, down and right for a picture's lower and right edge: (C, 2, 2), taps."""
        left = [Restoring(part, anatomy, mine, shown, common).without(mended) for anatomy, (part, mine, shown)
                in zip(anatomies, seen, strict=True)]  # fmt: skip
        found = [dissect(part, mine, shown).place.stretch_taps for part, (_, mine, shown)
                 in zip(left, seen, strict=True)]  # fmt: skip
        return torch.stack([one["field"].mean(dim=0) if one else torch.zeros(2, 2) for one in found])

    as_it_is = stretch()
    expected = torch.tensor([0.55, 0.275, 0.0])[:, None, None] * torch.eye(2)
    assert (as_it_is - expected).abs().max() < 0.1
    assert (stretch("chromatic shift")[:2] - as_it_is[1]).abs().max() < 0.1
    assert (stretch("misalignment")[:2] - (as_it_is - as_it_is[1])[:2]).abs().max() < 0.1
    assert stretch("misalignment", "chromatic shift").abs().max() < 0.05


def test_many_large_pictures_are_predicted_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twin_module, "LARGEST_MATRIX_PIXELS", SIDE**2 - 1)
    images = pictures(16)
    found = twin_of(frontend(), images, world(images, noise=0.01))
    for summed in (True, False):
        twin = replace(found, summed=summed)
        many, few = twin.mapping(SPECTRAL_IMAGES), twin.mapping(1)
        torch.testing.assert_close(many(images), few(images), atol=1e-4, rtol=1e-4)


def test_captures_of_another_design_are_named_with_their_colour() -> None:
    images = pictures(8)
    tiles = world(images)
    with pytest.raises(CalibrationError, match=r"images of 3 colours and captures of 1 do not fit a design of 3"):
        twin_of(frontend(), images, tiles[:, :, 0])
    still = tiles.clone()
    still[:, :2, 0] = 0.5
    with pytest.raises(CalibrationError, match=r"^colour 1 of 3: tiles 0, 1 show the same"):
        twin_of(frontend(), images, still, parts=PLAIN)
    with pytest.raises(
        CalibrationError, match=r"^colour 1 of 3: captures of \(8, 4, 8, 8\) .* images of \(8, 3, 12, 12\)"
    ):
        twin_of(frontend(), images, tiles[..., :8, :8], parts=PLAIN)


@pytest.mark.parametrize("noise", [0.0, 1e-5, 0.01])
def test_a_dead_colour_and_swapped_colours_are_named(noise: float) -> None:
    """As a lamp that died after calibration, and a display that shows B, G, R; photographs are grey at large."""
    grey = 0.8 * pictures(8, seed=1, colours=1) + 0.2 * pictures(8)
    tiles = world(grey, noise=0.01)
    dead = tiles.clone()
    dead[:, :, 2] = noise * torch.randn(dead[:, :, 2].shape, generator=torch.Generator().manual_seed(5))
    with pytest.raises(CalibrationError, match=r"^colour 3 of 3 is dead: no tile shows anything in it"):
        twin_of(frontend(), grey, dead, parts=PLAIN)
    with pytest.raises(CalibrationError, match=r"follow colours 3, 2, 1 of the images: their order is swapped"):
        twin_of(frontend(), grey.flip(1), tiles, parts=PLAIN)
    check_colours(frontend(), grey, tiles)


def test_no_colour_is_called_dead_where_pictures_have_little_of_one() -> None:
    without_blue = pictures(8) * torch.tensor([1.0, 1.0, 0.0])[:, None, None]
    check_colours(frontend(), without_blue, world(without_blue, noise=0.01))


def test_a_plain_lens_has_a_twin_and_other_optics_are_not_taken_for_one() -> None:
    optic = Optic(
        kind="lens",
        aperture_mm=(1.0, 1.0),
        kernel_mm=1.0,
        spacing_mm=0.0,
        taps=1,
        kernels=1,
        wavelengths_nm=(620.0, 532.0, 460.0),
        colours="separate",
    )
    lens, images = Frontend(optic, Sensor()), pictures(12)
    blur = torch.tensor([0.25, 0.5, 0.25])
    sharp = lens.ideal_tiles(images).detach()
    blurred = functional.conv2d(sharp.flatten(0, 2)[:, None], (blur[:, None] * blur)[None, None], padding=1)
    tiles = blurred.reshape(sharp.shape) + 0.01 * torch.randn(sharp.shape, generator=torch.Generator().manual_seed(3))
    twin = twin_of(lens, images, tiles, parts=PLAIN)
    assert float(twin.held_out_r2.min()) > 0.9
    assert twin.maps(images).shape == lens.maps_of(tiles).shape
    with pytest.raises(CalibrationError):
        twin_of(lens, images, tiles.flip(-1), parts=PLAIN)
