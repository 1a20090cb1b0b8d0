"""Frames: the parts that the mymodality modality registers.

Media are uint8 tensors (frame, 3, height, width). Every frame spans the same interval on both axes,
so that a layout means the same at every size.
"""

import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from einops import rearrange
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from lumina_core import (
    VAE,
    Decoder,
    Modality,
    PatchTokenizer,
    SizeLimits,
    atomic_write,
    fit_together,
)
from lumina_core.media.containers import comment_with, metadata_in, reading
from lumina_core.media.pictures import as_rgb, opened
from lumina_core.media.pixels import NUM_COLOURS, check_multiple, levels_of, pixels_of
from lumina_mymodality.options import MAX_FRAMES, MAX_SIDE, MymodalityOptions
from lumina_mymodality.world import MymodalityWorld

MEAN, STD = -0.55, 0.6  # of the world's pixels in [-1, 1]; latents have about unit variance
EXTENT = 8.0  # that a frame spans on each axis
FRAME_UNIT = 1.0  # between neighbouring frames
KIND = ("PNG",), "broken, or no PNG"  # that is read, and what another file is
KEY, NUM_FRAMES = "lumina", "frames"  # texts inside a PNG: the request, and how to cut it


class MymodalityVAE(VAE):
    """Frames <-> latent (3, frames, height, width): a formula, so it has no weights."""

    def latent_shape(self, media_shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        """Shape of the latent of some frames."""
        frames, colours, height, width = media_shape
        return colours, frames, height, width

    def encode(self, media: Tensor) -> Tensor:
        """Zero mean and unit variance, as the flow wants."""
        return rearrange((pixels_of(media) - MEAN) / STD, "f c h w -> c f h w")

    def decode(self, latent: Tensor) -> Tensor:
        """The frames of a latent, rounded to whole grey levels."""
        return levels_of(rearrange(latent.float() * STD + MEAN, "c f h w -> f c h w")).cpu()


class MymodalityDecoder(Decoder):
    """Frames <-> PNG: frames side by side, their number and the request in its texts."""

    suffixes = (".png",)
    noun = "frames"

    def write(self, media: Tensor, path: Path, metadata: Mapping[str, Any], options: Any) -> None:
        """Write the file, whole or not at all.

        Raises:
            LuminaError: the suffix is another one.
        """
        self.check_suffix(path)
        texts = PngInfo()
        texts.add_itxt(KEY, comment_with(metadata))
        texts.add_itxt(NUM_FRAMES, json.dumps(len(media)))
        image = Image.fromarray(rearrange(media, "f c h w -> h (f w) c").contiguous().numpy())
        encoded = BytesIO()  # Pillow's own writing takes a cut write for a whole one
        image.save(encoded, "PNG", pnginfo=texts)
        with atomic_write(path) as file:
            file.write(encoded.getbuffer())

    def read(self, path: Path) -> Tensor:
        """The frames of a file; one, where it does not say how many.

        Raises:
            LuminaError: there is no such file, or it is no PNG, or broken.
        """
        with reading(path, "a PNG"), opened(path, *KIND) as image:
            if image.height > MAX_SIDE or image.width > MAX_SIDE * MAX_FRAMES:
                raise ValueError(f"it is {image.width} x {image.height} pixels, which is too large")
            image.load()  # texts may stand behind the pixels
            count = int(getattr(image, "text", {}).get(NUM_FRAMES, "1"))
            if not 1 <= count <= MAX_FRAMES or image.width % count:
                raise ValueError(f"{image.width} pixels are not {count} frames side by side")
            pixels = as_rgb(image)
        return rearrange(pixels, "c h (f w) -> f c h w", f=count).contiguous()

    def read_metadata(self, path: Path) -> dict[str, Any] | None:
        """The request inside a file; None where there is none.

        Raises:
            LuminaError: there is no such file, or it is no PNG, or its request is broken.
        """
        with reading(path, "a PNG"), opened(path, *KIND) as image:
            image.load()
            return metadata_in(getattr(image, "text", {}).get(KEY, ""), path)

    def preview(self, media: Tensor, options: Any) -> Tensor:
        """An RGB picture: the frames side by side."""
        return rearrange(media, "f c h w -> c h (f w)").contiguous()


class MymodalityModality(Modality):
    """The mymodality modality: its options and its parts."""

    def __init__(self, options: MymodalityOptions, vae_folder: Path | None = None) -> None:
        super().__init__(options)
        self.tokenizer = PatchTokenizer(NUM_COLOURS, (1, options.patch, options.patch), _step)
        self.vae = MymodalityVAE()
        self.decoder = MymodalityDecoder()
        self.world = MymodalityWorld()

    def media_shape(self, options: MymodalityOptions) -> tuple[int, ...]:
        """Shape of the frames that `options` ask for.

        Raises:
            LuminaError: a side is no multiple of a token; names the nearest legal ones.
        """
        check_multiple(options.height, options.width, self.options.patch)
        return options.frames, NUM_COLOURS, options.height, options.width

    def fit(self, media: Tensor, limits: SizeLimits) -> Tensor:
        """Frames from a file at a legal size, within the limits of a run.

        Raises:
            LuminaError: they are too small, too long or too many.
        """
        return fit_together(media, self.options.patch, limits, num_layers=len(media), noun="frames")


def _step(frames: int, rows: int, columns: int) -> tuple[float, float, float]:
    """Distance between neighbouring tokens along each axis."""
    return FRAME_UNIT, EXTENT / rows, EXTENT / columns
