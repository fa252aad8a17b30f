"""Worlds drawn at random, which nothing was developed on: `tests.benchmarks.compensation` measures on three of them.

A world is the mono bench's with every strength another: what mono has, between half and 1.5 times as strong; what only
the hostile bench has, in two worlds of five, between half and 1.25 times as strong as there. What moves with time is
drawn as well; a knock is not, as it is no state of a bench but an event.
"""

import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from labonn.cli.demo import shipped_bench

ON = 0.4
MILD, STRONG = (0.5, 1.5), (0.5, 1.25)
# A strength of these is not how far it is from nothing, or not to be multiplied.
_NOT_DRAWN = {
    "phase_table": {"scale", "gamma"},
    "zero_order": {"fill_factor"},
    "display_gamma": {"gamma"},
    "display_grid": {"fill_factor"},
    "beam": {"waist_mm"},
    "settling": {"display_tau_ms", "slm_tau_ms", "latency_ms"},
    "slm_flicker": {"frequency_hz"},
    "chromatic": {"efficiency_fwhm_nm"},
    "laser_drift": {"cycle_h"},
    "thermal_drift": {"cycle_h", "focus_step_um"},
    "quantum_efficiency": {"nm", "relative"},
    "rolling_shutter": {"line_us"},
}
_OF_AN_OPTIC = {"fabrication": {"correlation_um", "cell_um"}, "bayer": {"response"}, "measured_psf": {"pixel_um"}}
_NEVER = {"fabrication", "measured_psf", "bayer", "knock"}  # have no place on this bench, or are events


def draw(number: int) -> dict[str, dict[str, Any]]:
    """The effects of a world, as tables of its file."""
    chance = np.random.default_rng([2026, 11, number])
    mild, strong = (_effects(bench) for bench in ("mono", "hostile"))
    drawn: dict[str, dict[str, Any]] = {}
    for name, table in mild.items():
        is_mild = bool(table["on"])
        is_on = name not in _NEVER and (is_mild or (strong[name]["on"] and chance.random() < ON))
        source, span = (table, MILD) if is_mild else (strong[name], STRONG)
        drawn[name] = {"on": bool(is_on)} | {
            key: _scaled(value, float(chance.uniform(*span))) if key not in _NOT_DRAWN.get(name, set()) else value
            for key, value in source.items()
            if key != "on"
        }
    return drawn


def write(folder: Path, number: int) -> Path:
    """Write the bench of a world into a folder; gives its bench file."""
    name = f"random-{number}"
    shipped = shipped_bench("hostile").parent  # it has the patience that the costlier worlds need
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(shipped / "hostile.cfg", folder / f"{name}.cfg")
    world = (shipped / "mono.world.toml").read_text(encoding="utf-8").partition("[effects.")[0]
    world += tables_of(draw(number))
    (folder / f"{name}.world.toml").write_text(world, encoding="utf-8")
    bench = (shipped / "hostile.bench.toml").read_text(encoding="utf-8")
    assert bench.count("rolling_ms = 7.6") == 1
    bench = bench.replace("hostile", name)
    if not draw(number)["rolling_shutter"]["on"]:
        bench = bench.replace("rolling_ms = 7.6", "rolling_ms = 0.0")
    file = folder / f"{name}.bench.toml"
    file.write_text(bench, encoding="utf-8")
    return file


def write_behind(bench: Path, folder: Path, name: str, number: int) -> Path:
    """Write a bench as another one, optic and all, in a world whose every strength is another; gives its bench file."""
    file = folder / bench.name
    if not file.exists():
        shutil.copytree(bench.parent, folder, dirs_exist_ok=True)
        content = tomllib.loads(bench.read_text(encoding="utf-8"))
        world = folder / content["world"]["file"]
        chance, text = np.random.default_rng([2026, 11, number]), world.read_text(encoding="utf-8")
        effects = {effect: _mild(effect, table, chance) for effect, table in tomllib.loads(text)["effects"].items()}
        world.write_text(text.partition("[effects.")[0] + tables_of(effects), encoding="utf-8")
        renamed = file.read_text(encoding="utf-8").replace(f'name = "{content["name"]}"', f'name = "{name}"', 1)
        file.write_text(renamed, encoding="utf-8")
    return file


def switched_on(number: int) -> list[str]:
    """Effects of a world that the mono bench has not."""
    mild = _effects("mono")
    return [name for name, table in draw(number).items() if table["on"] and not mild[name]["on"]]


def _mild(effect: str, table: dict[str, Any], chance: np.random.Generator) -> dict[str, Any]:
    """The table of an effect of a fixed optic's world, with other strengths."""
    kept = {"on"} | _NOT_DRAWN.get(effect, set()) | _OF_AN_OPTIC.get(effect, set())
    return {key: value if key in kept else _scaled(value, float(chance.uniform(*MILD))) for key, value in table.items()}


def tables_of(effects: dict[str, dict[str, Any]]) -> str:
    """Effects as tables of a world's file."""
    return "\n".join(
        f"[effects.{effect}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in table.items())
        for effect, table in effects.items()
    )


def _effects(bench: str) -> dict[str, dict[str, Any]]:
    content = tomllib.loads(shipped_bench(bench).with_name(f"{bench}.world.toml").read_text(encoding="utf-8"))
    effects: dict[str, dict[str, Any]] = content["effects"]
    return effects


def _scaled(value: Any, factor: float) -> Any:
    if isinstance(value, list):
        return [_scaled(one, factor) for one in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return max(1, round(value * factor))
    return round(value * factor, 6) if isinstance(value, float) else value


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, (int, float, list)) else f'"{value}"'
