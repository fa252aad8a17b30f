r"""The PSF of every sub-aperture, as it is on the bench, measured with pseudo-random scenes.

A single point gives too little light. Scenes S_k of random black and white squares give half the display's, and since a
tile is the convolution of the scene with its PSF, the PSF follows from all scenes together, at every frequency f:

    P(f) = sum_k conj(S_k(f)) Y_k(f) / (sum_k |S_k(f)|^2 + lambda)

with Y_k the tile's frame without the black one, and lambda what keeps frequencies that no scene has from being noise.
Only black and white are shown, so the display's gamma does not matter. The scenes are kept small enough that a tile's
light stays inside its own window, and no neighbour's comes in.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from labonn.capture.light import light, take_stack
from labonn.capture.mosaic import Mosaic
from labonn.capture.scene import plain_scene, shown_in
from labonn.errors import CalibrationError
from labonn.instruments import COLOURS, Bench

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

_SQUARE_PX = 4  # display pixels along a random square
_OVERSAMPLING = 3  # of the grid on which display pixels are laid before they meet camera pixels
_LAMBDA = 3e-2  # of the scenes' mean power: where their own is less, noise would be all that is found
_FRAMES = 2
_LEAST_SIGNAL = 5.0  # standard deviations of a pixel's noise, for a tile's brightest part


@dataclass(frozen=True)
class MeasuredPsfs:
    """Measured PSFs, in camera pixels."""

    psf: Floats
    """(T, side, side), each about its tile's centre, summing to 1; side is odd."""
    pixel_um: float
    residual: Doubles
    """(T,): rms of what the PSF does not explain of the tile's frames, as a share of their own rms."""


def measure_psfs(
    bench: Bench,
    affine: Doubles,
    *,
    scenes: int = 8,
    psf_taps: float = 9.0,
    seed: int = 0,
    colour: int | None = None,
    mosaic: Mosaic | None = None,
    on_scene: Callable[[int], None] | None = None,
) -> MeasuredPsfs:
    """Measure every tile's PSF with the phase pattern that is on the SLM.

    Parameters
    ----------
    bench
        An open bench, at an exposure that uses the camera's range; its shutter is closed when this ends.
    affine
        Calibrated geometry, (T, 2, 3): sensor pixel (y, x) = affine @ (tap y, tap x, 1).
    scenes
        How many random scenes to show.
    psf_taps
        Side of the window in which a PSF is looked for; what is left of a tile's pitch is the scene's.
    seed
        Of the scenes.
    colour
        In which the scenes are shown.
    mosaic
        A colour camera's filters, of which that of the colour is looked at.
    on_scene
        Told how many scenes are done, after each.

    Raises
    ------
    CalibrationError
        If the window leaves no room for a scene, or a tile stays dark.
    """
    geometry = bench.config.geometry
    pitch_taps = geometry.tile_pitch_um / geometry.tap_um
    scene_taps = pitch_taps - 2 * psf_taps
    if scene_taps < psf_taps / 2 or psf_taps <= 1:
        raise CalibrationError(
            f"PSF measurement: psf_taps = {psf_taps:g} leaves {scene_taps:.1f} taps of a tile's {pitch_taps:.1f} for"
            " the scene; choose a smaller window"
        )
    pictures = _random_scenes(bench, scene_taps, scenes, np.random.default_rng(seed))
    half_px = int(pitch_taps * geometry.pixels_per_tap / 2)
    frames = []
    with light(bench):
        bench.display.show(plain_scene(0.0, bench))
        black = take_stack(bench, _FRAMES)
        for number, picture in enumerate(pictures, start=1):
            bench.display.show(shown_in(picture, bench, colour))
            frame = take_stack(bench, _FRAMES).mean - black.mean
            frames.append(frame if mosaic is None or colour is None else mosaic.picture(frame, COLOURS[colour]))
            if on_scene is not None:
                on_scene(number)
    side = 2 * int(psf_taps * geometry.pixels_per_tap / 2) + 1
    psfs, residuals = [], []
    for tile, to_pixels in enumerate(affine):
        psf, residual = _deconvolve(pictures, frames, to_pixels, geometry.display_px_per_tap, half_px, side)
        peak = max(float(_window(frame, to_pixels[:, 2], half_px).max()) for frame in frames)
        if peak < _LEAST_SIGNAL * black.noise or not psf.sum() > 0:
            raise CalibrationError(
                f"tile {tile}: stays dark under every scene (at most {peak:.3g} counts); check the SLM, the light and"
                " the geometry"
            )
        psfs.append(psf / psf.sum())
        residuals.append(residual)
    return MeasuredPsfs(np.stack(psfs).astype(np.float32), geometry.camera_pixel_um, np.array(residuals))


def _random_scenes(bench: Bench, scene_taps: float, count: int, chance: np.random.Generator) -> list[Floats]:
    squares = int(scene_taps * bench.config.geometry.display_px_per_tap / _SQUARE_PX)
    height, width = bench.display.plane_shape
    top, left = (height - squares * _SQUARE_PX) // 2, (width - squares * _SQUARE_PX) // 2
    pictures = []
    for _ in range(count):
        picture = np.zeros((height, width), np.float32)
        random = chance.integers(0, 2, (squares, squares)).astype(np.float32)
        grown = random.repeat(_SQUARE_PX, axis=0).repeat(_SQUARE_PX, axis=1)
        picture[top : top + len(grown), left : left + len(grown)] = grown
        pictures.append(picture)
    return pictures


def _deconvolve(
    pictures: list[Floats], frames: list[Floats], to_pixels: Doubles, px_per_tap: int, half_px: int, side: int
) -> tuple[Doubles, float]:
    centre = np.rint(to_pixels[:, 2])
    size = int(fft.next_fast_len(2 * half_px + 1 + side, real=True))
    above: NDArray[np.complex128] = np.zeros((size, size // 2 + 1), np.complex128)
    below = np.zeros((size, size // 2 + 1))
    spectra = []
    for picture, frame in zip(pictures, frames, strict=True):
        scene = _scene_spectrum(picture, to_pixels, px_per_tap, size)
        seen = fft.rfft2(_window(frame, to_pixels[:, 2], half_px).astype(np.float64), (size, size))
        above += scene.conj() * seen
        below += np.abs(scene) ** 2
        spectra.append((scene, seen))
    transfer = above / (below + _LAMBDA * below.mean())
    missed = sum(float((np.abs(seen - scene * transfer) ** 2).sum()) for scene, seen in spectra)
    whole = sum(float((np.abs(seen) ** 2).sum()) for _, seen in spectra)
    psf = fft.irfft2(transfer, (size, size))
    # A window begins `half_px` before its middle, a scene about its middle: the PSF's centre lies between them.
    psf = np.roll(psf, (side // 2 - half_px, side // 2 - half_px), axis=(0, 1))[:side, :side]
    offset = to_pixels[:, 2] - centre
    return _moved(psf, -offset), float(np.sqrt(missed / whole))


def _scene_spectrum(picture: Floats, to_pixels: Doubles, px_per_tap: int, size: int) -> NDArray[np.complex128]:
    """Transform of the scene as points at its display pixels, on the camera's grid, about the tile's centre."""
    rows, columns = np.nonzero(picture)
    middle = (np.array(picture.shape) - 1) / 2
    taps = np.stack([rows - middle[0], columns - middle[1]]) / px_per_tap
    at = _OVERSAMPLING * (to_pixels[:, :2] @ taps)
    fine = _OVERSAMPLING * size
    grid = np.zeros((fine, fine))
    corner = np.floor(at).astype(np.intp)
    part = at - corner
    for down in (0, 1):
        for right in (0, 1):
            share = np.abs(1 - down - part[0]) * np.abs(1 - right - part[1]) * picture[rows, columns]
            np.add.at(grid, ((corner[0] + down) % fine, (corner[1] + right) % fine), share)
    spectrum = fft.rfft2(grid)
    half = size // 2
    # The fine grid's low frequencies are the camera grid's.
    kept = np.concatenate([spectrum[: size - half], spectrum[fine - half :]])
    return np.asarray(kept[:, : half + 1], np.complex128)


def _window(frame: Floats, centre: Doubles, half_px: int) -> Floats:
    """Square about a tile's centre, black where it leaves the sensor."""
    middle = np.rint(centre).astype(int)
    padded = np.pad(frame, half_px)
    rows, columns = (slice(at, at + 2 * half_px + 1) for at in middle)
    return np.asarray(padded[rows, columns], np.float32)


def _moved(picture: Doubles, by_px: Doubles) -> Doubles:
    """Move a picture by a part of a pixel, band-limited."""
    rows = np.exp(-2j * np.pi * np.fft.fftfreq(picture.shape[0]) * by_px[0])[:, None]
    columns = np.exp(-2j * np.pi * np.fft.rfftfreq(picture.shape[1]) * by_px[1])[None, :]
    return np.asarray(fft.irfft2(fft.rfft2(picture) * rows * columns, picture.shape), np.float64)
