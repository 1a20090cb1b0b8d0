"""For plugins: a VAE that codes each frame by an autoencoder of pictures."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from lumina_core.autoencoder.networks import FramewiseAutoencoder
from lumina_core.media.pixels import Frames, Pixels, check_multiple, levels_of, pixels_of
from lumina_core.modality import VAE

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
