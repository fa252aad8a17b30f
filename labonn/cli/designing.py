"""The commands about designs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from labonn.cli.answer import Answer
from labonn.design import diffraction_um, lay_out, load_design, operations, parameters, sensor_room
from labonn.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from labonn.design import Design, Layout


def check_design_command(design: str, bench: Path | None, lab: Path) -> Answer:
    """Check a design file, on a bench's sensor if one is given, and draw its layout.

    Raises
    ------
    ConfigError
        If the file is wrong, its kernels do not fit its optic, or its tiles do not fit the bench's sensor or are
        finer than light can draw them there.
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
    }
    if bench is not None:
        content |= _on_bench(checked, layout, bench)
    picture = _draw(checked, layout, lab)
    content["picture"] = str(picture)

    def show(console: "Console") -> None:
        from rich.table import Table

        table = Table("", "", show_header=False, box=None, padding=(0, 2, 0, 0))
        for key, value in content.items():
            table.add_row(key.replace("_", " "), _said(value))
        console.print(table)
        console.print(f"design {checked.name} can be built{'' if bench is None else ' and captured on this bench'}")

    return Answer(content, show)


def _aperture_used(layout: "Layout") -> float:
    height_mm, width_mm = layout.optic.aperture_mm
    return len(layout.sub_apertures) * layout.optic.kernel_mm**2 / (height_mm * width_mm)


def _on_bench(design: "Design", layout: "Layout", bench: Path) -> dict[str, Any]:
    from labonn.instruments import read_bench

    config = read_bench(bench)
    geometry = config.geometry
    if geometry.camera_px is None:
        raise ConfigError(
            f"{bench}: geometry.camera_px is missing: without the camera's height and width in pixels nobody can say"
            " whether the design's tiles fit its sensor"
        )
    height_px, width_px = geometry.camera_px
    room = sensor_room(
        design,
        layout,
        tap_um=geometry.tap_um,
        tile_pitch_um=geometry.tile_pitch_um,
        sensor_um=(height_px * geometry.camera_pixel_um, width_px * geometry.camera_pixel_um),
    )
    blur_um = diffraction_um(design.optic, focal_mm=geometry.focal_mm, tap_um=geometry.tap_um)
    return {
        "bench": config.name,
        "diffraction_um": round(blur_um, 1),
        "tile_taps": list(room.tile_taps),
        "tiles_per_frame": room.tiles_per_frame,
        "exposures_needed": room.exposures,
        "sensor_used": round(room.used, 3),
    }


def _draw(design: "Design", layout: "Layout", lab: Path) -> Path:
    from labonn.report import figures

    path = lab.absolute() / "designs" / f"{design.name}.png"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figures.layout(layout).savefig(path, dpi=144)
    except OSError as error:
        raise ConfigError(f"{path}: the picture cannot be written: {error.strerror or error}") from error
    return path


def _said(value: Any) -> str:
    if isinstance(value, list):
        return " x ".join(f"{item:g}" for item in value)
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)
