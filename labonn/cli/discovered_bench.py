"""A bench file of what was discovered and picked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labonn.errors import ConfigError, RecordError
from labonn.instruments.discovery import Found
from labonn.records.disk import write_atomically

ROLES = {
    "display": "display",
    "slm": "slm",
    "camera": "camera",
    "shutter": "shutter",
    "light": "light",
    "meter": "meter",
    "thermometer": "thermometer",
    "stage": "stage",
    "stage_down": "stage",
    "stage_right": "stage",
}
"""Role -> the kind of instrument that it needs."""
NEEDED = ("display", "camera", "shutter")

# What only a data sheet knows, with values to begin with.
_OF_A_ROLE: dict[str, dict[str, Any]] = {
    "display": {"pitch_um": 16.0, "settle_ms": 33.0},
    "slm": {"pitch_um": 8.0, "settle_ms": 33.0, "levels_per_2pi": 255},
    "camera": {"bit_depth": 12},
    "shutter": {"settle_ms": 20.0},
    "light": {"settle_ms": 100.0},
}
_OF_A_DRIVER: dict[str, dict[str, Any]] = {
    "opencv_camera": {"bit_depth": 8, "fixed_exposure": True, "exposure_ms": 20.0}
}
_ADVICE = {"light": "# max_power_mw = 5.0   # arms it: it is never turned on without\n# power_mw = 4.0\n"}


def bench_text(name: str, picked: Mapping[str, Found]) -> str:
    """Write the bench file of what was picked: role -> what fills it.

    Raises
    ------
    ConfigError
        If a role that is needed is not filled, or one thing has two roles.
    """
    if missing := [role for role in NEEDED if role not in picked]:
        raise ConfigError(f"--pick {missing[0]}=NAME: a bench needs {', '.join(NEEDED)}; pick one for {missing[0]}")
    names = [found.name for found in picked.values()]
    if doubled := [one for one in names if names.count(one) > 1]:
        raise ConfigError(f"--pick {doubled[0]}: one instrument cannot have two roles")
    parts = [
        f'# The bench "{name}", of what `labonn bench discover` found. Fill in what is marked so.\n'
        f"# Then run: labonn bench check {name}.bench.toml\n"
        f'schema = 1\nname = "{name}"\n\n[roles]\n' + "".join(f'{role} = "{role}"\n' for role in picked)
    ]
    if "slm" not in picked:
        parts.append('[optic]\nserial_number = "0001"   # fill in: the fixed optic in the place of an SLM\n')
    parts += [_table(role, found) for role, found in picked.items()]
    parts.append('[interlocks]\nconditions = ["shutter closes when told"]\n')
    parts.append(
        "[geometry]                # fill in: nominal; what is really so is calibrated\n"
        "wavelength_nm = 532.0\nfocal_mm = 50.0\ntap_um = 26.0\ncamera_pixel_um = 3.45\ntile_pitch_um = 884.0\n"
        "display_px_per_tap = 16\n"
    )
    return "\n".join(parts)


def write_bench(file: Path, text: str, picked: Mapping[str, Found]) -> list[Path]:
    """Write it, and what stands beside it; nothing where one of them is there already.

    Raises
    ------
    ConfigError
        If a file is there, or cannot be written.
    """
    files = {file: text}
    for found in picked.values():
        for name, lines in found.files.items():
            files[file.parent / name] = _joined(files.get(file.parent / name, ""), lines)
    if there := [path for path in files if path.exists()]:
        raise ConfigError(f"{there[0]}: is there already, and is not overwritten; nothing was written")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        for path, content in files.items():
            write_atomically(path, content.encode("utf-8"))
    except (OSError, RecordError) as error:
        raise ConfigError(f"{file}: cannot be written: {error}") from error
    return list(files)


def _joined(before: str, lines: str) -> str:
    """Put the new lines of a Micro-Manager configuration between the first and the last of what is there."""
    if not before:
        return lines
    first, *middle, last = before.splitlines()
    new = [line for line in lines.splitlines()[1:-1] if line not in middle]
    return "\n".join([first, *middle, *new, last]) + "\n"


def _table(role: str, found: Found) -> str:
    guessed = {**_OF_A_ROLE.get(role, {}), **_OF_A_DRIVER.get(found.table["driver"], {}), **found.to_fill_in}
    lines = [f"# {found.description}", f"[instruments.{role}]"]
    lines += [f"{key} = {_toml(value)}" for key, value in found.table.items()]
    lines += [f"{key} = {_toml(value)}   # fill in" for key, value in guessed.items() if key not in found.table]
    return "\n".join(lines) + "\n" + _ADVICE.get(ROLES[role], "")


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        return "'" + value + "'" if "\\" in value and "'" not in value else '"' + value.replace("\\", "\\\\") + '"'
    return str(value)
