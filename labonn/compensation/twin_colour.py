r"""The optical twin in colour: one for each colour, since tiles come unmixed, each with kernels of its own.

    map_k = sum_c map_kc   where the backend reads a kernel's maps summed over the colours, else each by itself

What a twin has of its own (kernels, offsets, display gamma, sensor curve, noise) every colour has of its own; what they
share is how they are fitted and judged. Where the camera's matrix has not unmixed a tile quite, its colour's twin has
kernels over the others' pictures, too, if left-out captures ask for them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from labonn.compensation.colour_checks import check_colours
from labonn.compensation.twin import CHUNK_IMAGES, Twin, with_noise
from labonn.compensation.twin_basis import ALL_PARTS, Basis, Part
from labonn.compensation.twin_fit import fit_twin
from labonn.compensation.twin_spectral import SpectralPredictor
from labonn.errors import CalibrationError
from labonn.optics import Frontend, joined, signed_maps


@dataclass(frozen=True)
class ColourTwin:
    """Twins of the colours, in the order of the images' planes.

    Attributes
    ----------
    colours
        One of each.
    summed
        Whether a kernel's maps are summed over the colours, (N, K, H, W), or stay apart, colour by colour,
        (N, C K, H, W).
    """

    colours: tuple[Twin, ...]
    summed: bool

    @property
    def kernels(self) -> Tensor:
        """The kernels, (T, C, KERNEL_TAPS, KERNEL_TAPS), gain included."""
        return torch.stack([twin.kernels for twin in self.colours], dim=1)

    @property
    def held_out_r2(self) -> Tensor:
        """Part of the left-out captures' variance that is predicted, of each tile and colour, (T C,)."""
        return torch.stack([twin.held_out_r2 for twin in self.colours], dim=1).flatten()

    @property
    def captures(self) -> int:
        """How many it was fitted to."""
        return self.colours[0].captures

    @property
    def residual(self) -> Tensor:
        """Root mean square of what is not predicted of each tile in each colour, place by place, (T C, H, W)."""
        return torch.stack([twin.residual for twin in self.colours], dim=1).flatten(0, 1)

    def tiles(self, images: Tensor) -> Tensor:
        """Predict the optical maps (N, T, C, H, W) of images (N, C, H, W), without noise."""
        return torch.stack(
            [twin.tiles(images_for(twin.basis, images, c)) for c, twin in enumerate(self.colours)], dim=2
        )

    def maps(self, images: Tensor) -> Tensor:
        """Predict the signed maps (N, M, H, W) of images (N, C, H, W), without noise."""
        predict = self.mapping(len(images))
        return torch.cat([predict(chunk) for chunk in torch.split(images, CHUNK_IMAGES)])

    def mapping(self, count: int) -> Callable[[Tensor], Tensor]:
        """What predicts the signed maps of images, as `maps` does; made ready for so many of them, in any parts."""
        if self.summed and all(twin.sensor.straight and twin.is_spectral(count) for twin in self.colours):
            spectral = SpectralPredictor([(twin.basis, signed_maps(twin.weights)) for twin in self.colours])
            return lambda images: spectral(
                [twin.light(images_for(twin.basis, images, c)) for c, twin in enumerate(self.colours)]
            )
        of_colours = [twin.mapping(count) for twin in self.colours]

        def predict(images: Tensor) -> Tensor:
            each = [one(images_for(self.colours[c].basis, images, c)) for c, one in enumerate(of_colours)]
            return joined(each, summed=self.summed)

        return predict

    def noisy(
        self,
        maps: Tensor,
        images: Tensor,
        generator: torch.Generator | None = None,
        *,
        normals: Tensor | None = None,
    ) -> Tensor:
        """Signed maps (N, M, H, W) as one more capture of the images (N, C, H, W) would show them; as `Twin.noisy`.

        All colours of a capture come at one time, and have one level of light.
        """
        level_rms = sum(twin.level_rms for twin in self.colours) / len(self.colours)
        return with_noise(maps, self.map_noise_of(images), level_rms, generator, normals)

    def map_noise_of(self, images: Tensor) -> Tensor:
        """Standard deviation of the noise of each reading of the signed maps of images, (N, M, H, W)."""
        alone = [images[:, c : c + 1] for c in range(len(self.colours))]
        if not self.summed:
            return torch.cat([twin.map_noise_of(own) for twin, own in zip(self.colours, alone, strict=True)], dim=1)
        light, slope, dark = zip(
            *(twin.noise_of_light(own) for twin, own in zip(self.colours, alone, strict=True)), strict=True
        )
        rise = torch.stack(slope, dim=1)[..., None, None]
        return functional.conv2d(torch.cat(light, dim=1), rise, torch.stack(dark).sum(dim=0)).sqrt_()

    def sample(self, generator: torch.Generator | None = None) -> "ColourTwin":
        """Another twin that the captures allow as well."""
        return ColourTwin(tuple(twin.sample(generator) for twin in self.colours), self.summed)


AnyTwin = Twin | ColourTwin


def own_first(images: Tensor, colour: int) -> Tensor:
    """Images (N, C, H, W) with one of their colours before the others."""
    order = [colour, *(other for other in range(images.shape[1]) if other != colour)]
    return images[:, order]


def images_for(basis: Basis, images: Tensor, colour: int) -> Tensor:
    """What a colour's twin looks at of images (N, C, H, W): its own, and the others where they matter to it."""
    return own_first(images, colour) if "mix" in basis.parts else images[:, colour : colour + 1]


def parts_of(twin: AnyTwin) -> tuple[Twin, ...]:
    """The twins of the colours; of a grey bench the twin itself."""
    return twin.colours if isinstance(twin, ColourTwin) else (twin,)


def put_together(twin: AnyTwin, parts: Sequence[Twin]) -> AnyTwin:
    """The same with other twins of its colours."""
    return replace(twin, colours=tuple(parts)) if isinstance(twin, ColourTwin) else parts[0]


def twin_of(
    frontend: Frontend,
    images: Tensor,
    tiles: Tensor,
    *,
    parts: tuple[Part, ...] = ALL_PARTS,
    on_colour: Callable[[], None] = lambda: None,
) -> AnyTwin:
    """Refit a student's frontend to captures, without labels: `fit_twin`, in colour for each of them.

    Parameters
    ----------
    frontend
        The student's, as trained.
    images
        (N, C, H, W) float32, what was shown.
    tiles
        (N, T, H, W), in colour (N, T, C, H, W) float32, what was captured.
    parts
        As of `fit_twin`.
    on_colour
        Called when a colour's twin is fitted.

    Raises
    ------
    CalibrationError
        As `fit_twin` does; in colour the message names it. Also if there are not as many colours as the design has, if
        they come in another order, or one is dead.
    """
    kernels, count = frontend.kernels().detach(), frontend.colours
    of_images, of_tiles = images.shape[1], tiles.shape[2] if tiles.ndim == 5 else 1
    if not of_images == of_tiles == count:
        raise CalibrationError(
            f"images of {of_images} colours and captures of {of_tiles} do not fit a design of {count}: were they"
            " captured on another bench, or for another design?"
        )
    if count > 1:
        check_colours(frontend, images, tiles)
    if count == 1:
        twin = fit_twin(images, tiles if tiles.ndim == 4 else tiles[:, :, 0], kernels, parts=parts)
        on_colour()
        return twin
    twins = []
    for c in range(count):
        try:
            twins.append(fit_twin(own_first(images, c), tiles[:, :, c], kernels[:, c], parts=parts))
        except CalibrationError as error:
            raise CalibrationError(f"colour {c + 1} of {count}: {error}") from error
        on_colour()
    return ColourTwin(tuple(twins), frontend.summed)
