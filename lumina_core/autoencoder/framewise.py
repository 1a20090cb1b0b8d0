"""For plugins: a VAE that codes each frame by an autoencoder of pictures."""

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lumina_core.autoencoder.networks import PICTURES, open_autoencoder
from lumina_core.media.pixels import Frames, Pixels, check_multiple, levels_of, pixels_of
from lumina_core.modality import VAE

Latent = Float[Tensor, "channel frame row column"]


class FramewiseVAE(VAE):
    """Frames <-> latent (channels, frames, height / stride, width / stride), each by itself."""

    folder: Path

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._device = torch.device("cpu")

    @cached_property
    def autoencoder(self) -> Any:
        """What its folder holds; the weights are read when they are used."""
        autoencoder = open_autoencoder(self.folder, PICTURES)
        autoencoder.to(self._device)
        return autoencoder

    def to(self, device: torch.device) -> "FramewiseVAE":
        """Use this device from now on."""
        self._device = device
        if "autoencoder" in vars(self):
            self.autoencoder.to(device)
        return self

    def latent_shape(self, media_shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        """As in VAE; a side that is no multiple of the stride is refused."""
        num_frames, _, height, width = media_shape
        stride = self.autoencoder.stride
        check_multiple(height, width, stride)
        return self.autoencoder.channels, num_frames, height // stride, width // stride

    def pixels(self, media: Frames) -> Pixels:
        """As in VAE."""
        return pixels_of(media)

    def encode(self, media: Frames) -> Latent:
        """The latent of some frames."""
        return self.autoencoder.encode(self.pixels(media))

    def decode(self, latent: Latent) -> Frames:
        """The frames of a latent, rounded to whole grey levels."""
        return levels_of(self.autoencoder.decode(latent)).cpu()
