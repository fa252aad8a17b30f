"""The commands about designs."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labonn.cli.answer import Answer
from labonn.design import (
    energy,
    lay_out,
    light_limits,
    load_design,
    operations,
    parameters,
    place_tiles,
    sensor_room,
)
from labonn.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console

    from labonn.design import Design, Layout


def check_design_command(design: str, bench: Path | None, lab: Path) -> Answer:
    """Check a design file, on a bench's sensor if one is given, and draw its layout.

    Raises
    ------
    ConfigError
        If the file is wrong, its kernels do not fit its optic, its tiles do not fit the bench's sensor, or light
        cannot draw its kernels there.
    """
    checked = load_design(design)
    layout = lay_out(checked.optic)
    done = operations(checked)
    content: dict[str, Any] = {
        "design": checked.name,
        "task": checked.task,
        "optic": checked.optic.kind,
        "sub_apertures": len(layout.sub_apertures),
        "grid": [layout.rows, layout.columns],
        "aperture_used": round(_aperture_used(layout), 3),
        "wavelengths_nm": list(checked.optic.wavelengths_nm),
        "exposures": checked.exposures,
        "optical_macs": done.optical,
        "digital_macs": done.digital,
        "digital_elementwise": done.elementwise,
        "parameters": parameters(checked),
        "energy_mj": round(energy(checked).total_mj, 3),
    }
    if bench is not None:
        content |= _on_bench(checked, layout, bench, lab)
    picture = _draw(checked, layout, lab)
    content["picture"] = str(picture)

    def show(console: "Console") -> None:
        from rich.table import Table

        table = Table("", "", show_header=False, box=None, padding=(0, 2, 0, 0))
        for key, value in content.items():
            if key == "tiles":
                continue
            table.add_row(key.replace("_", " "), _said(value))
        console.print(table)
        console.print(f"design {checked.name} can be built{'' if bench is None else ' and captured on this bench'}")

    return Answer(content, show)


def _aperture_used(layout: "Layout") -> float:
    height_mm, width_mm = layout.optic.aperture_mm
    return len(layout.sub_apertures) * layout.optic.kernel_mm**2 / (height_mm * width_mm)


def _on_bench(design: "Design", layout: "Layout", bench: Path, lab: Path) -> dict[str, Any]:
    from labonn.instruments import read_bench
    from labonn.report import figures

    config = read_bench(bench)
    geometry = config.geometry
    if geometry.camera_px is None:
        raise ConfigError(
            f"{bench}: geometry.camera_px is missing: without the camera's height and width in pixels nobody can say"
            " whether the design's tiles fit its sensor"
        )
    sensor_um = (
        geometry.camera_px[0] * geometry.camera_pixel_um,
        geometry.camera_px[1] * geometry.camera_pixel_um,
    )
    room = sensor_room(
        design, layout, tap_um=geometry.tap_um, tile_pitch_um=geometry.tile_pitch_um, sensor_um=sensor_um
    )
    slm = None if config.roles.slm is None else config.instruments[config.roles.slm].model_extra
    light = light_limits(
        design.optic,
        focal_mm=geometry.focal_mm,
        tap_um=geometry.tap_um,
        pixel_um=None if slm is None else slm.get("pitch_um"),
    )
    tiles = place_tiles(layout, room, tile_pitch_um=geometry.tile_pitch_um)
    tile_um = room.tile_taps[0] * geometry.tap_um, room.tile_taps[1] * geometry.tap_um
    picture = figures.sensor_tiles(tiles, tile_um=tile_um, sensor_um=sensor_um)
    return {
        "bench": config.name,
        "diffraction_um": round(light.diffraction_um, 1),
        "spot_in_tap": round(light.spot_in_tap, 3),
        "dispersion_um": round(light.dispersion_um, 2),
        "bandwidth_allowed_nm": round(light.bandwidth_allowed_nm, 2),
        "depth_of_focus_um": round(light.depth_of_focus_um, 1),
        "reach_taps": None if light.reach_taps is None else round(light.reach_taps, 1),
        "tile_taps": list(room.tile_taps),
        "gap_taps": round(room.gap_taps, 2),
        "tiles_per_frame": room.tiles_per_frame,
        "exposures_needed": room.exposures,
        "sensor_used": round(room.used, 3),
        "sensor_picture": str(_kept(picture, lab, f"{design.name}-on-{config.name}.png")),
        "tiles": [asdict(tile) for tile in tiles],
    }


def _draw(design: "Design", layout: "Layout", lab: Path) -> Path:
    from labonn.report import figures

    return _kept(figures.layout(layout), lab, f"{design.name}.png")


def _kept(figure: "Figure", lab: Path, name: str) -> Path:
    path = lab.absolute() / "designs" / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=144)
    except OSError as error:
        raise ConfigError(f"{path}: the picture cannot be written: {error.strerror or error}") from error
    return path


def _said(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return " x ".join(f"{item:g}" for item in value)
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)
