"""For plugins: pictures and frames as tensors, between grey levels and what autoencoders see.

It brings no frames to another size: fitting.py does.
"""

from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from lumina_core.autoencoder import FramewiseAutoencoder
from lumina_core.errors import LuminaError
from lumina_core.modality import VAE

NUM_COLOURS = 3
MAX_LEVEL = 255

Frames = UInt8[Tensor, "frame 3 height width"]
Pixels = Float[Tensor, "frame 3 height width"]
Latent = Float[Tensor, "channel frame row column"]


class FramewiseVAE(VAE):
    """Frames <-> latent (channels, frames, height / stride, width / stride), each by itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.autoencoder = FramewiseAutoencoder(folder)

    def to(self, device: torch.device) -> "FramewiseVAE":
        """Use this device from now on."""
        self.autoencoder.to(device)
        return self

    def latent_shape(self, media_shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        """Shape of the latent of some frames.

        Raises:
            LuminaError: a side is not a multiple of the stride; names the nearest legal sizes.
        """
        num_frames, _, height, width = media_shape
        stride = self.autoencoder.stride
        check_multiple(height, width, stride)
        return self.autoencoder.channels, num_frames, height // stride, width // stride

    def pixels(self, media: Frames) -> Pixels:
        """The frames as the autoencoder sees them, in [-1, 1]."""
        return pixels_of(media)

    def encode(self, media: Frames) -> Latent:
        """The latent of some frames."""
        return self.autoencoder.encode(self.pixels(media))

    def decode(self, latent: Latent) -> Frames:
        """The frames of a latent, rounded to whole grey levels."""
        return levels_of(self.autoencoder.decode(latent)).cpu()


def pixels_of(frames: Frames) -> Pixels:
    """Frames as autoencoders see them, in [-1, 1]."""
    return frames.float() / MAX_LEVEL * 2 - 1


def levels_of(pixels: Pixels) -> Frames:
    """Pixels in about [-1, 1] as whole grey levels."""
    return ((pixels + 1) / 2 * MAX_LEVEL).round().clamp(0, MAX_LEVEL).to(torch.uint8)


def check_multiple(height: int, width: int, unit: int, width_unit: int | None = None) -> None:
    """Refuse a side that is no multiple of its unit.

    Args:
        height: pixels.
        width: pixels.
        unit: pixels, of both sides.
        width_unit: of the width, if it is another.

    Raises:
        LuminaError: names the nearest legal ones.
    """
    sides = (("height", height, unit), ("width", width, width_unit or unit))
    for key, size, multiple in sides:
        if size % multiple:
            below = size // multiple * multiple
            legal = f"{below} or {below + multiple}" if below else f"{multiple}"
            raise LuminaError(
                f"modality.{key}={size} is not a multiple of {multiple} pixels; use {legal}"
            )
