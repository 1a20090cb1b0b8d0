"""The kinds of diffusers autoencoder that clips go through, behind one interface.

Decoded (and encoded) in chunks, a clip is what it is as a whole

- with AutoencoderKL to the bit, for no frame sees another;
- with AutoencoderKLWan to the bit of what diffusers makes, which works in chunks itself;
- with AutoencoderKLLTXVideo up to rounding;
- with AutoencoderKLCogVideoX to the bit of what diffusers makes of 1 + 8 k frames; its chunks are
  part of what it computes.
"""

from collections.abc import Iterator

import torch

from lumina_core import FramewiseAutoencoder
from lumina_core.media.pixels import pixels_of
from lumina_video.temporal import Clip, Latent, Pixels


class FrameAutoencoder(FramewiseAutoencoder):
    """AutoencoderKL: every frame by itself."""

    frame_stride = 1

    def encode(self, clip: Clip) -> Latent:
        """The normalised latent of a clip."""
        encode = super().encode
        return torch.cat([encode(pixels_of(frame[None])) for frame in clip], dim=1)

    def decode(self, latent: Latent) -> Iterator[Pixels]:
        """The frames of a latent, one after the other."""
        decode = super().decode
        for frame in latent.split(1, dim=1):
            yield decode(frame)
