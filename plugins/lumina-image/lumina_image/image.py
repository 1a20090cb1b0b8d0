"""Pictures: the parts that the image modality registers.

A picture is a uint8 tensor (3, height, width). It has one frame; its positions are normalised by
its size, so that every picture spans the same interval on both axes.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

from lumina_core import (
    VAE,
    FramewiseVAE,
    Given,
    Modality,
    PatchTokenizer,
    SizeLimits,
    fit_frames,
    resized,
)
from lumina_core.media.pixels import NUM_COLOURS, check_multiple
from lumina_image.editing import place
from lumina_image.options import ImageCondition, ImageOptions
from lumina_image.picture_files import Picture, PictureDecoder
from lumina_image.world import ImageWorld

EXTENT = 8.0  # a picture spans [-4, 4] on each axis: about one unit per token at the trained sizes

Resized = UInt8[Tensor, "3 new_height new_width"]


def normalised_step(frames: int, rows: int, columns: int) -> tuple[float, float, float]:
    """Distance between neighbouring patches: every picture spans EXTENT on both axes."""
    return 0.0, EXTENT / rows, EXTENT / columns


class ImageVAE(VAE):
    """Picture <-> latent (channels, 1, height / stride, width / stride): that of its one frame."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._frames = FramewiseVAE(folder)

    @property
    def autoencoder(self) -> Any:
        """Of frames."""
        return self._frames.autoencoder

    def to(self, device: torch.device) -> "ImageVAE":
        """Use this device from now on."""
        self._frames.to(device)
        return self

    def latent_shape(self, media_shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        """As in VAE: a picture is one frame."""
        return self._frames.latent_shape((1, *media_shape))

    def pixels(self, media: Picture) -> Float[Tensor, "1 3 height width"]:
        """The picture as the autoencoder sees it: one frame in [-1, 1]."""
        return self._frames.pixels(media[None])

    def encode(self, media: Picture) -> Float[Tensor, "channel 1 row column"]:
        """The latent of a picture."""
        return self._frames.encode(media[None])

    def decode(self, latent: Float[Tensor, "channel 1 row column"]) -> Picture:
        """The picture of a latent, rounded to whole grey levels."""
        return self._frames.decode(latent)[0]


class ImageModality(Modality):
    """The image modality: its options and its parts."""

    def __init__(self, options: ImageOptions, vae_folder: Path) -> None:
        super().__init__(options)
        self.vae = ImageVAE(vae_folder)
        self.decoder = PictureDecoder()
        self.world = ImageWorld()

    @property
    def tokenizer(self) -> PatchTokenizer:
        """Square patches of one frame."""
        patch = self.options.patch_size
        return PatchTokenizer(self.vae.autoencoder.channels, (1, patch, patch), normalised_step)

    def coarser(self, options: ImageOptions, factor: float) -> ImageOptions:
        """Options of a smaller picture: both sides times the factor, to the nearest token."""
        unit = self.vae.autoencoder.stride * self.options.patch_size
        height, width = (
            max(1, round(side * factor / unit)) * unit for side in (options.height, options.width)
        )
        return replace(options, height=height, width=width)

    def enlarged(self, media: Picture, options: ImageOptions) -> Resized:
        """A small picture at the size of the options (Lanczos)."""
        return resized(media[None], options.height, options.width)[0]

    def condition(self, wanted: ImageCondition, options: ImageOptions) -> Given:
        """The given picture on the canvas of the picture to make, and which cells it fixes.

        Raises:
            LuminaError: a file that is no picture, or sizes that do not fit each other.
        """
        _, height, width = self.media_shape(options)
        stride = self.vae.autoencoder.stride
        unit = stride * self.options.patch_size
        canvas, known = place(wanted, self.decoder.read, (height, width), unit)
        cells = rearrange(known, "(h y) (w x) -> h w (y x)", y=stride, x=stride).all(dim=-1)
        return Given(canvas, cells[None])

    def media_shape(self, options: ImageOptions) -> tuple[int, ...]:
        """Shape of the picture that `options` ask for.

        Raises:
            LuminaError: a side is no multiple of stride x patch; names the nearest legal sizes.
        """
        unit = self.vae.autoencoder.stride * self.options.patch_size
        check_multiple(options.height, options.width, unit)
        return NUM_COLOURS, options.height, options.width

    def fit(self, media: Picture, limits: SizeLimits) -> Resized:
        """As in Modality; see `lumina_core.media.fitting`."""
        unit = self.vae.autoencoder.stride * self.options.patch_size
        return fit_frames(media[None], unit, limits)[0]
