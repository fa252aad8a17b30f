"""A trial that fabricates: simulated benches are drawn, a trained design is put on each, and compensated there."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from labonn.design import Design
from labonn.design.writing import design_toml
from labonn.errors import LabonnError
from labonn.records.disk import write_atomically
from labonn.sweeps.sweep import Sweep
from labonn.sweeps.trial import Order
from labonn.sweeps.varying import WORLD, read_world, set_in_world

EVALUATED = 200  # test images that are shown on each bench
REFUSED_BY_THE_GATE = 4


def fabricate(sweep: Sweep, design: Design, order: Order, seed: int) -> dict[str, float]:
    """Train a design once, and capture with it on as many drawn benches as the sweep says.

    Each bench is the sweep's with another seed, from which follow its aberrations, its kernels' errors, misalignment
    and noise, and with the strengths that the trial sets. It runs as every simulated bench: a world of its own, in
    virtual time, behind the drivers; the protocols ``train_and_deploy`` and ``recalibrate`` run on it.

    Returns
    -------
    In per cent on the gate's captures, accuracy or, of masks, mean IoU: ``accuracy_before`` and ``accuracy`` after
    compensation, means over the draws; ``accuracy_low``, the worst after it; ``recovered``, the difference of the means
    in points; and ``yield``, the draws that reach the wanted accuracy.

    Raises
    ------
    ConfigError
        If the bench has no world, or no such effect.
    LabonnError
        If a protocol fails.
    """
    place = Path(order.lab) / "sweeps" / sweep.name / "fabrications" / str(order.number)
    shutil.rmtree(place, ignore_errors=True)
    lab, model, file = place / "lab", place / "model", place / f"{design.name}.design.toml"
    write_atomically(file, design_toml(design).encode("utf-8"))
    _labonn("train", file, "--out", model, "--seed", seed, "--lab", Path(order.lab))
    before, after = [], []
    for draw in range(sweep.draws):
        bench = draw_bench(Path(str(sweep.bench)), place / f"draw-{draw}", order, seed=1000 * sweep.seed + draw)
        deploy = ("--set", f"model={model}", "--set", f"evaluation_images={EVALUATED}")
        _labonn("run", "train_and_deploy", bench, *deploy, "--lab", lab)
        said = _labonn("recalibrate", bench, "--lab", lab)[design.measure]
        before.append(float(said["before"]))
        after.append(float(said["after"]))
    figures = {
        "accuracy_before": float(np.mean(before)),
        "accuracy": float(np.mean(after)),
        "accuracy_low": float(np.min(after)),
        "recovered": float(np.mean(after) - np.mean(before)),
    }
    if sweep.wanted_accuracy is not None:
        figures["yield"] = 100 * float(np.mean(np.array(after) >= sweep.wanted_accuracy))
    return figures


def draw_bench(bench: Path, folder: Path, order: Order, *, seed: int) -> Path:
    """Write a simulated bench with another seed and a trial's strengths beside the files that it needs.

    Parameters
    ----------
    bench
        The bench file that it is made from.
    folder
        Where to.
    order
        Whose ``world.`` settings are set; they also switch their effects on.
    seed
        Of the world.

    Returns
    -------
    The new bench file; its bench has a name of its own, as benches are told apart by it on a machine.
    """
    (known, world), text = read_world(bench), bench.read_text(encoding="utf-8")
    name = re.sub(r"[^A-Za-z0-9_-]", "-", f"{known['name']}-{order.sweep['name']}-{order.number}-{folder.name}")[-60:]
    folder.mkdir(parents=True, exist_ok=True)
    for file in bench.parent.iterdir():
        if file.is_file() and file.suffix != ".toml":
            shutil.copy(file, folder)
    world["seed"] = seed
    for key, value in order.settings.items():
        if key.startswith(WORLD):
            set_in_world(world, key, value)
    write_atomically(folder / "drawn.world.toml", toml_text(world).encode("utf-8"))
    text = re.sub(r'(?m)^name\s*=\s*"[^"]*"', f'name = "{name.lstrip("-_")}"', text, count=1)
    text = text.replace(f'"{known["world"]["file"]}"', '"drawn.world.toml"')
    write_atomically(folder / "drawn.bench.toml", text.encode("utf-8"))
    return folder / "drawn.bench.toml"


def toml_text(content: Mapping[str, Any], path: str = "") -> str:
    """Write nested tables as TOML."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in content.items() if not isinstance(value, dict)]
    for key, value in content.items():
        if isinstance(value, dict):
            lines += ["", f"[{path}{key}]", toml_text(value, f"{path}{key}.")]
    return "\n".join(lines)


def _labonn(*arguments: object) -> dict[str, Any]:
    """Run a command of labonn in a process of its own, as an operator does, and give its answer."""
    command = [sys.executable, "-m", "labonn", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise LabonnError(f"labonn {arguments[0]} ended with {done.returncode}: {said}") from error
    if done.returncode not in (0, REFUSED_BY_THE_GATE):
        raise LabonnError(f"labonn {arguments[0]}: {answer['error']}")
    return answer
