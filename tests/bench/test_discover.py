"""`labonn bench discover` writes bench files that open: of adapters and a screen, and of the simulated laboratory."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labonn.instruments import open_bench, read_bench
from tests.screens import two_screens

from .conftest import BENCHES, Simulated


def discover(*arguments: object, **more: Any) -> dict[str, Any]:
    command = [sys.executable, "-m", "labonn", "bench", "discover", *map(str, arguments), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, **more)
    answer: dict[str, Any] = json.loads(done.stdout)
    assert answer["error"] is None, answer
    return answer


def test_a_bench_of_adapters_and_a_screen(tmp_path: Path) -> None:
    file = tmp_path / "found.bench.toml"
    with two_screens() as screens:
        listed = discover(cwd=tmp_path)
        kinds = {one["name"]: one["kinds"] for one in listed["found"]}
        assert listed["written"] is None
        assert kinds["screen:SLM"] == ["display", "slm"]
        assert kinds["screen:Desk"] == [], "the operator's"
        roles = {"display": "screen:SLM", "camera": "DemoCamera:DCam", "shutter": "DemoCamera:DShutter"}
        roles |= {"stage": "DemoCamera:DStage", "stage_right": "DemoCamera:DXYStage:x"}
        picks = [text for role, name in roles.items() for text in ("--pick", f"{role}={name}")]
        if sys.platform == "win32":
            assert discover("--write", file, *picks)["roles"] == roles
        else:
            type_in(tmp_path, file, listed["found"], roles)
        # What only a data sheet knows: DCam's own is 8 bits of pixels, as it stands in no configuration.
        file.write_text(file.read_text("utf-8").replace("bit_depth = 12", "bit_depth = 8"), encoding="utf-8")
        with open_bench(file) as bench:
            bench.display.show(np.ones(bench.display.shape))
            assert (screens.rgb() == 255).all()
            assert bench.camera.snap().shape == (512, 512)
            assert bench.stage is not None
            bench.stage.move_to_um(12.0)
            assert not bench.shutter.is_open


def type_in(folder: Path, file: Path, found: list[dict[str, Any]], roles: dict[str, str]) -> None:
    """Answer the questions that are asked where nothing was picked."""
    import pty

    kinds = {"stage_down": "stage", "stage_right": "stage"}
    typed, taken = [], set()
    for role in (
        "display",
        "slm",
        "camera",
        "shutter",
        "light",
        "meter",
        "thermometer",
        "stage",
        "stage_down",
        "stage_right",
    ):
        fitting = [one["name"] for one in found if kinds.get(role, role) in one["kinds"] and one["name"] not in taken]
        if fitting:
            typed.append(str(fitting.index(roles[role]) + 1) if role in roles else "")
            taken.add(roles.get(role))
    keyboard, terminal = pty.openpty()
    os.write(keyboard, "".join(f"{line}\n" for line in typed).encode())
    command = [sys.executable, "-m", "labonn", "bench", "discover", "--write", str(file)]
    done = subprocess.run(command, stdin=terminal, capture_output=True, text=True, cwd=folder, check=False)
    os.close(keyboard)
    os.close(terminal)
    assert done.returncode == 0, done.stderr
    assert f"labonn bench check {file}" in done.stdout
    assert read_bench(file).roles.named().keys() == roles.keys()


def test_a_bench_of_the_simulated_laboratory_as_if_it_were_a_real_one(
    real_time_world: Simulated, tmp_path: Path
) -> None:
    name, doors = real_time_world.truth()["bench"], real_time_world.doors
    addresses = {
        role: "TCPIP0::{host}::{port}::SOCKET".format(**doors[role]) for role in ("laser", "thermometer", "stage")
    }
    asked = [text for address in addresses.values() for text in ("--address", address)]
    cfg = BENCHES / "mono.cfg"
    file = tmp_path / "found.bench.toml"
    roles = {
        role: f"{cfg}:{role.upper() if role == 'slm' else role.title()}"
        for role in ("display", "slm", "camera", "shutter")
    }
    roles |= {"light": f"visa:{addresses['laser']}", "thermometer": f"visa:{addresses['thermometer']}"}
    roles |= {"stage": f"visa:{addresses['stage']}"}
    picks = [text for role, name in roles.items() for text in ("--pick", f"{role}={name}")]
    answer = discover("--write", file, "--cfg", cfg, "--ask", *asked, *picks, env={**os.environ, "LABONN_WORLD": name})
    assert answer["roles"] == roles
    models = {
        role: read_bench(file).instruments[role].model_dump().get("model") for role in ("light", "thermometer", "stage")
    }
    assert models == {"light": "coherent-obis", "thermometer": "lakeshore-336", "stage": "pi-gcs2"}
    before = os.environ.get("LABONN_WORLD")
    os.environ["LABONN_WORLD"] = name
    try:
        with open_bench(file) as bench:
            assert bench.thermometer is not None
            assert bench.thermometer.celsius == pytest.approx(real_time_world.truth()["celsius"], abs=0.1)
            assert bench.camera.snap().shape == bench.camera.shape
            assert bench.light is not None
            assert not bench.light.armed
            assert bench.stage is not None
            assert bench.stage.position_um == pytest.approx(0.0, abs=1e-3)
    finally:
        if before is None:
            del os.environ["LABONN_WORLD"]
        else:
            os.environ["LABONN_WORLD"] = before
