r"""`python -m sim.mask_design BENCH --model MODEL --out DIR`: make the fixed optic of a trained model.

One surface gives each colour a PSF of its own: its phase is 2 pi w(x) l0 / l, w in waves at the nominal wavelength l0.
Gradient descent on w makes what the camera reads at every tap of a kernel, of all colours together, proportional to it:

    loss = |c / sum c - k|^2 / |k|^2 - 0.2 log sum_K c,    c = B |A u A^T|^2 B^T (Fraunhofer)

with K the taps of the kernel itself, and c those of a margin around it as well, in which no light is wanted. B is what
square pixels do: those of the scene and those of the camera are a tap wide, so that a tap reads the light around it
under a triangle two taps wide.

`DIR` is then a bench of its own: a copy of BENCH with these masks, a serial number, and the model's name in [optic].
`python -m sim.mask_design WORLD --tap-um TAP` draws kernels instead, and puts the masks where the world file names
them, with the kernels beside them. What the world then makes of masks, by Rayleigh-Sommerfeld propagation and with the
errors of their fabrication, is another matter.
"""

import argparse
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sim.errors import SimulationError
from sim.made_optic import mount, order_of_model
from sim.masks import write_masks
from sim.world_file import BenchGeometry, WorldFile, read, read_bench, read_world

Array = NDArray[np.float64]
_PER_TAP, _MARGIN = 4, 2
_LEVELS_PER_WAVE = 16
_MOST_WAVES = 12.0
EFFICIENCY = 0.2  # weight of the light's logarithm
_STEPS_OF_PATCHES = 4  # waves that the patches of a start may differ by, and one


def drawn_kernels(kernels: int, channels: int, taps: int, seed: int) -> Array:
    """Draw signed kernels, (kernels, channels, taps, taps): edges and bars in all directions, plain and of two colours.

    They are what first layers learn on photographs: Gabor functions under a Gaussian, with a weight for each colour.
    """
    chance = np.random.default_rng(seed)
    along = (np.arange(taps) - (taps - 1) / 2) / max(taps - 1, 1) * 2
    down, right = np.meshgrid(along, along, indexing="ij")
    drawn = []
    for number in range(kernels):
        angle = np.pi * (number + chance.uniform(0, 0.5)) / kernels * 3
        across = down * np.sin(angle) + right * np.cos(angle)
        wave = np.cos(np.pi * chance.uniform(0.4, 1.4) * across + chance.choice([0.0, np.pi / 2]))
        window = np.exp(-(down**2 + right**2) / (2 * chance.uniform(0.45, 0.9) ** 2))
        shape = window * (wave - (window * wave).sum() / window.sum())
        colour = np.ones(channels) if number % 2 == 0 else chance.uniform(-1.0, 1.0, channels)
        drawn.append(colour[:, None, None] * shape)
    return np.asarray(drawn)


def halves(kernels: Array) -> Array:
    """Split signed kernels into their positive and negative parts, alternating: (2 kernels, channels, taps, taps)."""
    parts = np.stack([np.maximum(kernels, 0.0), np.maximum(-kernels, 0.0)], axis=1)
    return parts.reshape(-1, *kernels.shape[1:])


def design_masks(
    world: WorldFile, parts: Array, tap_um: float, steps: int, seed: int = 0, *, efficiency: float = EFFICIENCY
) -> tuple[Array, Array]:
    """Compute phase in waves, (T, n, n), for parts (T, channels, taps, taps), and the share of light in them, (T,).

    A smaller weight of the `efficiency` makes PSFs that are nearer to the kernels, of less light.

    Raises
    ------
    SimulationError
        If there are not as many parts as sub-apertures, or colours as the source has.
    """
    tiles, lines_nm = world.lenslets.count, world.source.lines_nm
    if parts.shape[:2] != (tiles, len(lines_nm)):
        raise SimulationError(f"kernels of {parts.shape}; this optic needs {(tiles, len(lines_nm))} first")
    side, taps = world.lenslets.aperture_px, parts.shape[-1]
    transforms = [_transform(world, nm, taps, tap_um) for nm in lines_nm]
    ratios = [world.source.wavelength_nm / nm for nm in lines_nm]
    if not parts.sum(axis=(1, 2, 3)).all():
        raise SimulationError("a kernel has no positive or no negative part: there is no PSF of no light")
    totals = parts.sum(axis=(1, 2, 3), keepdims=True)
    wanted = torch.tensor(np.pad(parts / totals, ((0, 0), (0, 0), (_MARGIN,) * 2, (_MARGIN,) * 2)), dtype=torch.float32)
    waves = torch.tensor(_start(world, taps * tap_um, seed), dtype=torch.float32, requires_grad=True)
    optimizer = torch.optim.Adam([waves], lr=0.03)
    kernel = slice(_MARGIN, _MARGIN + taps)
    inside = torch.zeros(tiles)
    for _ in range(steps):
        colours = zip(transforms, ratios, strict=True)
        read_at = torch.stack([_read(waves, each, ratio, taps + 2 * _MARGIN) for each, ratio in colours], dim=1)
        light = read_at.sum(dim=(1, 2, 3), keepdim=True)
        inside = read_at[:, :, kernel, kernel].sum(dim=(1, 2, 3))
        miss = ((read_at / light - wanted) ** 2).sum(dim=(1, 2, 3)) / (wanted**2).sum(dim=(1, 2, 3))
        loss = (miss - efficiency * inside.log()).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    found = waves.detach().numpy().astype(np.float64)
    found -= found.min(axis=(1, 2), keepdims=True)
    found = np.where(found > _MOST_WAVES, found - np.ceil(found - _MOST_WAVES), found)
    return found, inside.detach().numpy() / (len(lines_nm) * side**4)


def _read(waves: torch.Tensor, transform: torch.Tensor, ratio: float, window: int) -> torch.Tensor:
    """What is read at each tap of a window, (T, window, window), of a scene of one pixel."""
    field = torch.polar(torch.ones_like(waves), 2 * np.pi * ratio * waves)
    focused = transform @ field @ transform.T
    pixels = _pixels(window)
    return pixels @ (focused.real**2 + focused.imag**2) @ pixels.T


@lru_cache(maxsize=4)
def _pixels(window: int) -> torch.Tensor:
    """How much of the light at each sample a tap reads, (window, window * _PER_TAP): a triangle two taps wide."""
    at_tap = (np.arange(window * _PER_TAP) + 0.5) / _PER_TAP - 0.5
    away = np.abs(at_tap - np.arange(window)[:, None])
    return torch.tensor(np.maximum(0.0, 1.0 - away), dtype=torch.float32)


def _transform(world: WorldFile, wavelength_nm: float, taps: int, tap_um: float) -> torch.Tensor:
    """Fraunhofer's kernel along one axis, from mask to focus; the sum of |field|^2 in the whole focal plane is n^4."""
    side, window = world.lenslets.aperture_px, (taps + 2 * _MARGIN) * _PER_TAP
    u_um = (np.arange(side) - (side - 1) / 2) * world.pitch_um
    x_um = (np.arange(window) - (window - 1) / 2) * tap_um / _PER_TAP
    reach = wavelength_nm / 1e3 * world.lenslets.focal_mm * 1e3
    weight = np.sqrt(side * world.pitch_um * tap_um / _PER_TAP / reach)
    return torch.tensor(weight * np.exp(-2j * np.pi / reach * np.outer(x_um, u_um)), dtype=torch.complex64)


def _start(world: WorldFile, width_um: float, seed: int) -> Array:
    """Bowls that spread the light over a kernel's width, and whole waves, patch by patch, that tell the colours apart.

    At the nominal wavelength whole waves are nothing, and at others a phase of each patch's own. What a patch diffracts
    is as wide as a kernel: smaller ones would throw light beyond it, into other tiles.
    """
    side = world.lenslets.aperture_px
    u = (np.arange(side) - (side - 1) / 2) / (side / 2)
    half_um = side * world.pitch_um / 2
    reach_um2 = world.source.wavelength_nm / 1e3 * world.lenslets.focal_mm * 1e3
    bowl = width_um / 4 * half_um / reach_um2
    if len(world.source.lines_nm) == 1:
        patches, steps = side, 1
    else:
        patches, steps = 4, _STEPS_OF_PATCHES
        while side % (2 * patches) == 0 and side * world.pitch_um / patches > 2 * reach_um2 / width_um:
            patches *= 2
    waves = np.random.default_rng(seed).integers(0, steps, (world.lenslets.count, patches, patches))
    rough = 0.05 * np.random.default_rng(seed).standard_normal((world.lenslets.count, side, side))
    return np.asarray(
        bowl * (u[:, None] ** 2 + u[None, :] ** 2) + np.kron(waves, np.ones((side // patches,) * 2)) + rough
    )


def main(arguments: list[str] | None = None) -> int:
    """Compute masks and write them; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sim.mask_design", description="the masks of a world's fixed optic")
    parser.add_argument("bench", type=Path, help="a *.bench.toml, or a *.world.toml, with [optic] masks")
    parser.add_argument("--model", type=Path, help="folder of a trained model, whose kernels the optic is made for")
    parser.add_argument("--out", type=Path, help="where a bench with that optic goes; with --model")
    parser.add_argument("--tap-um", type=float, help="distance of a kernel's taps on the sensor; a bench file says it")
    parser.add_argument("--taps", type=int, default=7, help="taps along a side of drawn kernels (7)")
    parser.add_argument(
        "--kernels", type=Path, help="an .npz with `kernels`, signed, (K, channels, taps, taps); else drawn"
    )
    parser.add_argument("--steps", type=int, default=200, help="of gradient descent (200)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        return _make_for_model(options) if options.model is not None else _make_in_place(options)
    except (SimulationError, OSError, KeyError) as error:
        print(error, file=sys.stderr)
        return 2


def _make_for_model(options: argparse.Namespace) -> int:
    """Make the optic of a trained model, and a bench with it."""
    if options.out is None or options.kernels is not None:
        raise SimulationError("--model needs --out DIR, the folder of the bench with the new optic, and no --kernels")
    _, world = read_bench(options.bench)
    tap_um = options.tap_um or read(options.bench, BenchGeometry).geometry.tap_um
    _masks_of(world, options.bench)
    order = order_of_model(options.model)
    waves, shares = design_masks(world, order.parts, tap_um, options.steps, options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    beside = options.out / f"{order.model}.masks.npz"
    write_masks(beside, waves, _LEVELS_PER_WAVE)
    made = mount(options.bench, options.out, beside, order.model)
    print(f"{made}: {_said(waves, shares)}")
    return 0


def _make_in_place(options: argparse.Namespace) -> int:
    """Make the optic of a world file, where it names it."""
    if options.tap_um is None or options.out is not None:
        raise SimulationError("a world file's own masks need --tap-um, and go where it names them: no --out")
    world = read_world(options.bench)
    path = _masks_of(world, options.bench)
    if options.kernels is None:
        pairs, channels = world.lenslets.count // 2, len(world.source.lines_nm)
        kernels = drawn_kernels(pairs, channels, options.taps, options.seed)
    else:
        kernels = np.asarray(np.load(options.kernels)["kernels"], np.float64)
    parts = halves(kernels)[..., ::-1, ::-1].copy()  # light convolves
    waves, shares = design_masks(world, parts, options.tap_um, options.steps, options.seed)
    write_masks(path, waves, _LEVELS_PER_WAVE)
    np.savez_compressed(path.with_suffix("").with_suffix(".kernels.npz"), kernels=kernels)
    print(f"{path}: {_said(waves, shares)}")
    return 0


def _masks_of(world: WorldFile, file: Path) -> Path:
    if world.optic is None or world.optic.masks is None:
        raise SimulationError(f"{file}: it has no [optic] with masks")
    return world.optic.masks


def _said(waves: Array, shares: Array) -> str:
    return f"{len(waves)} masks, {waves.max():.1f} waves deep, {100 * shares.mean():.0f} % of the light in the kernels"


if __name__ == "__main__":
    sys.exit(main())
