"""One fault after the other on a bench that was calibrated without any; does the attribution name it?"""

import json
import socket
from typing import Any

import torch
from pydantic import BaseModel, Field

from labonn.compensation import attribute, fit_twin
from labonn.optics import signed_maps
from labonn.protocol import Lab, Result
from labonn.protocol.deployment import in_use, pick
from labonn.protocol.focusing import focus_series
from labonn.training import accuracy_percent

# Each is the only thing that is wrong, and strong enough to cost points.
FAULTS: dict[str, dict[str, Any]] = {
    "misalignment": {"knock.on": True, "knock.at_s": 0.0, "knock.shift_px": [9.0, -7.0]},
    "defocus": {
        "aberrations.on": True,
        "aberrations.defocus_waves": 0.45,
        "aberrations.astigmatism_waves": 0.0,
        "aberrations.coma_waves": 0.0,
    },
    "kernel error": {"phase_table.on": True, "phase_table.scale": 1.35, "phase_table.gamma": 1.3},
    "vignetting": {"tile_gain.on": True, "tile_gain.spread": 0.2, "vignetting.on": True, "vignetting.tile_corner": 0.9},
    "background": {"stray_light.on": True, "stray_light.pedestal": 0.15, "stray_light.slope": 1.0},
    "nonlinearity": {"display_gamma.on": True, "display_gamma.gamma": 3.0},
    "crosstalk": {
        "ghosts.on": True,
        "ghosts.strength": 0.5,
        "ghosts.offset_px": [90.0, -75.0],
        "ghosts.blur_px": 8.0,
    },
    "light level": {"light_noise.on": True, "light_noise.rms": 0.2},
}
ALONE = {"stray_light.veil": 0.0}  # of an effect that is more than one fault


class Parameters(BaseModel):
    """What can be set."""

    captures: int = Field(32, description="images to capture for each twin")
    test_images: int = Field(100, description="captured to measure what the fault really costs")
    faults: str = Field("none," + ",".join(FAULTS), description="which, separated by commas; none is one")
    seed: int = Field(0, ge=0)


def run(lab: Lab, parameters: Parameters) -> Result:
    """Calibrate without a fault; then, for each, capture, fit, attribute."""
    release, network, backend = in_use(lab)
    train, test = network.data.train, network.data.test.first(parameters.test_images)
    bench = lab.bench
    door = _door(lab.bench_config.name)
    effects = _ask(door, op="truth")["effects"]
    healthy = {f"effects.{name}.on": name in ("shot_noise", "read_noise", "settling") for name in effects}
    restored = {
        **healthy,
        **{f"effects.{name}.{key}": value for name, e in effects.items() for key, value in e.items()},
    }
    _ask(door, op="set", values={**healthy, **{f"effects.{key}": value for key, value in ALONE.items()}})
    calibration = network.calibrate(lab)
    series = focus_series(network, lab.bench_config, bench.slm.pitch_um)
    designed = network.student.frontend.kernels().detach()
    shown = torch.from_numpy(pick(train, parameters.captures, parameters.seed))
    judged = network.data.test
    images, labels = torch.from_numpy(judged.images), torch.from_numpy(judged.labels)
    found: dict[str, Any] = {}
    for fault in parameters.faults.split(","):
        changed = {f"effects.{key}": value for key, value in FAULTS.get(fault, {}).items()}
        _ask(door, op="set", values=changed)
        _ask(door, op="psf", tile=0, side=15)  # so that no exposure has to wait until the PSFs are computed
        name = fault.replace(" ", "-")
        tiles = network.capture(lab, f"fit-{name}", train.images[shown], calibration, keep_frames=False)
        captured = network.capture(lab, f"test-{name}", test.images, calibration, keep_frames=False)
        twin = fit_twin(torch.from_numpy(train.images[shown]), tiles, designed)
        costs = attribute(twin, designed, backend, images, labels, series=series)
        found[fault] = {
            "real": accuracy_percent(backend, signed_maps(captured), test.labels),
            "twin": costs.as_it_is,
            "designed": costs.as_designed,
            "held_out_r2": float(twin.held_out_r2.mean()),
            "culprit": None if costs.culprit is None else costs.culprit.fault,
            "costs": {cost.fault: (cost.points, cost.alone_points) for cost in costs.costs},
            "departures": {
                name: value.tolist() if isinstance(value, torch.Tensor) else value
                for name, value in vars(costs.anatomy.departures).items()
            },
        }
        _ask(door, op="set", values={key: restored[key] for key in changed})
        _ask(door, op="set", values={key: False for key in healthy if f"{key[:-3]}." in " ".join(changed)})
    return Result(release=release.id, found=found)


def _door(bench: str) -> tuple[str, int]:
    from sim import registry

    info = registry.living(bench)
    assert info is not None
    host, port = str(info["test"]).rsplit(":", 1)
    return host, int(port)


def _ask(door: tuple[str, int], **request: Any) -> dict[str, Any]:
    with socket.create_connection(door, timeout=300) as connection:
        connection.sendall(json.dumps({"id": 1, **request}).encode() + b"\n")
        reply: dict[str, Any] = json.loads(connection.makefile("r", encoding="utf-8").readline())
    assert reply["ok"], reply
    return reply
