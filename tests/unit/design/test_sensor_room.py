import re
from importlib import resources
from pathlib import Path

import pytest

import sim
from labonn.cli import main
from labonn.design import Backend, diffraction_um, lay_out, load_design, operations, parameters, sensor_room
from labonn.errors import ConfigError

BENCHES = Path(sim.__file__).parent / "benches"
BELONGS = [
    ("digits-mono", "mono"),
    ("mnist-mono", "mono"),
    ("mnist-mono", "hostile"),
    ("mnist-lens", "lens"),
    ("mnist-random", "mono"),
    ("mnist-lens-whole", "lens"),
    ("cifar10-poly", "poly"),
    ("carvana-poly", "segmentation"),
    ("carvana-random", "segmentation"),
    ("carvana-lens", "segmentation"),
]


@pytest.mark.parametrize(("design", "bench"), BELONGS)
def test_each_shipped_design_passes_on_its_bench(
    design: str, bench: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = BENCHES / f"{bench}.bench.toml"
    assert main(["design", "check", design, "--bench", str(file), "--lab", str(tmp_path)]) == 0
    assert (tmp_path / "designs" / f"{design}.png").stat().st_size > 5_000
    said = capfd.readouterr().out
    assert f"design {design} can be built and captured on this bench" in said
    assert re.search(r"exposures needed +1\b", said)


def test_a_design_that_does_not_fit_the_sensor_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = BENCHES / "lens.bench.toml"
    assert main(["design", "check", "mnist-mono", "--bench", str(file), "--lab", str(tmp_path)]) == 2
    said = capfd.readouterr().err
    assert "it holds 1 at a time, so one image takes 16 exposures and the design says exposures = 1" in said


ROOM = {"tap_um": 26.0, "tile_pitch_um": 884.0, "sensor_um": (3726.0, 3726.0)}


@pytest.mark.parametrize(
    ("sensor_um", "exposures", "per_frame"),
    [((3726.0, 3726.0), 1, 16), ((3536.0, 3536.0), 1, 16), ((3535.0, 3726.0), 2, 12), ((884.0, 1768.0), 8, 2)],
)
def test_tiles_are_counted_in_whole_rows_and_columns(
    sensor_um: tuple[float, float], exposures: int, per_frame: int
) -> None:
    design = load_design("mnist-mono").model_copy(update={"exposures": 8})
    room = sensor_room(design, lay_out(design.optic), **{**ROOM, "sensor_um": sensor_um})
    assert (room.exposures, room.tiles_per_frame, room.tile_taps) == (exposures, per_frame, (34, 34))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"tile_pitch_um": 883.0}, "34 x 34 taps of 26 um is 884 um long.*neighbours overlap"),
        ({"sensor_um": (800.0, 3726.0)}, "holds not one tile"),
        ({"sensor_um": (3535.0, 3726.0)}, "holds 12 at a time, so one image takes 2 exposures"),
    ],
)
def test_what_has_no_room_is_said(changed: dict, said: str) -> None:
    design = load_design("mnist-mono")
    with pytest.raises(ConfigError, match=said):
        sensor_room(design, lay_out(design.optic), **{**ROOM, **changed})


def test_operations_are_those_of_a_convolution_and_two_dense_layers() -> None:
    counted = operations(load_design("mnist-mono"))
    assert counted.optical == 8 * 49 * 28 * 28
    assert counted.digital == 8 * 7 * 7 * 120 + 120 * 10
    # 8 subtractions, 8 rectifications and 8 additions into a pool for each tap; 120 rectifications.
    assert counted.elementwise == 3 * 8 * 28 * 28 + 120


def test_up_convolutions_are_counted_scale_by_scale() -> None:
    design = load_design("carvana-poly").model_copy(
        update={"backend": Backend(kind="upconv", pool=1, hidden=(3, 5), scales=(50, 6))}
    )
    pixels, coarse = 64 * 96, 32 * 48
    counted = operations(design)
    layers = [9 * 56 * 5 + 9 * 5 * 5 + 4 * 5 * 3, 9 * (3 + 50) * 3 + 3 * 2]  # coarse, fine
    assert counted.digital == layers[0] * coarse + layers[1] * pixels
    # 168 subtractions, 112 additions of colours, 56 rectifications, 56 additions into a pool; the layers' rectifiers.
    assert counted.elementwise == (168 + 112 + 56 + 56 + 3) * pixels + 2 * 5 * coarse
    biases = 5 + 5 + 3 + 3 + 2
    assert parameters(design) == 112 * 27 + sum(layers) + biases


def test_the_sum_over_colours_is_counted_and_separate_maps_are_read_instead() -> None:
    summed, separate = operations(load_design("cifar10-poly")), operations(load_design("cifar10-poly-48"))
    pixels = 32 * 32
    assert summed.elementwise == (48 + 32 + 2 * 16) * pixels + 380 + 128  # subtracted, summed, rectified and pooled
    assert separate.elementwise == (48 + 2 * 48) * pixels + 128 + 128
    assert summed.optical == separate.optical == 16 * 49 * 3 * pixels


def test_a_student_that_is_larger_than_its_design_allows_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "large.design.toml"
    shipped = resources.files("labonn.design") / "catalogue" / "mnist-random.design.toml"
    file.write_text(shipped.read_text().replace("hidden = 120", "hidden = 130"))
    with pytest.raises(ConfigError, match=r"backend: the student has 52,400 parameters, and max_parameters = 50,000"):
        load_design(file)


def test_taps_that_light_cannot_draw_apart_are_refused() -> None:
    """The first dark line of a square aperture stands lambda f / D from the middle: 12.99 um for mnist-mono."""
    optic = load_design("mnist-mono").optic
    assert diffraction_um(optic, focal_mm=50.0, tap_um=13.0) == pytest.approx(0.532 * 50 / 2.048)
    with pytest.raises(ConfigError, match=r"at f = 50 mm blurs 532 nm over 13\.0 um, more than a tap of 12\.9"):
        diffraction_um(optic, focal_mm=50.0, tap_um=12.9)
    with pytest.raises(ConfigError, match=r"blurs 620 nm over 13\.0 um"):
        diffraction_um(load_design("cifar10-poly").optic, focal_mm=21.5, tap_um=12.9)
