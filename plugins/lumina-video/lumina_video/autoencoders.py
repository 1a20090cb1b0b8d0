"""The kinds of diffusers autoencoder that clips go through, behind one interface.

Decoded (and encoded) in chunks, a clip is what it is as a whole

- with AutoencoderKL to the bit, for no frame sees another;
- with AutoencoderKLWan to the bit of what diffusers makes, which works in chunks itself;
- with AutoencoderKLLTXVideo up to rounding;
- with AutoencoderKLCogVideoX to the bit of what diffusers makes of 1 + 8 k frames; its chunks are
  part of what it computes.
"""

from collections.abc import Iterator
from pathlib import Path

import torch

from lumina_core import FramewiseAutoencoder, LuminaError, nearest
from lumina_core.autoencoder.networks import read_config, shown
from lumina_core.media.pixels import pixels_of
from lumina_video.cogvideox import CogVideoXAutoencoder
from lumina_video.ltx import LTXAutoencoder
from lumina_video.temporal import Clip, Latent, Pixels, TemporalAutoencoder
from lumina_video.wan import WanAutoencoder


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


def open_autoencoder(folder: Path) -> "FrameAutoencoder | TemporalAutoencoder":
    """The autoencoder of a folder, of the kind that its config.json names; reads no weights.

    Raises:
        LuminaError: there is none, or it is of a kind that clips cannot go through.
    """
    classes = (FrameAutoencoder, WanAutoencoder, LTXAutoencoder, CogVideoXAutoencoder)
    kinds = {found.kind: found for found in classes}
    kind = read_config(folder).get("_class_name", FrameAutoencoder.kind)
    if not isinstance(kind, str) or kind not in kinds:
        raise LuminaError(
            f"the autoencoder in {folder} is of kind {shown(kind)}; clips take "
            f"{', '.join(kinds)}; give modality.vae=FOLDER of one of these."
            f"{nearest(str(kind), list(kinds))}"
        )
    return kinds[kind](folder)
