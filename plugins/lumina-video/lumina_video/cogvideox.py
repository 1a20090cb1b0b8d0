"""AutoencoderKLCogVideoX, in the chunks that it was trained for: two latent frames each.

Its group norms average over the frames of a chunk, so there is no whole to which the chunks could
be equal: they are the result, here as in diffusers. A frame may look ahead within its chunk. The
first chunk has a third latent frame before the two, so a clip and its latent are made longer to
fit, and cut again.

Source: diffusers 0.42, autoencoder_kl_cogvideox.py, `_encode` and `_decode`.
"""

from collections.abc import Iterator
from typing import Any

import torch

from lumina_core.autoencoder.networks import FramewiseAutoencoder, statistic_faults, width_faults
from lumina_video.temporal import (
    Batch,
    Clip,
    TemporalAutoencoder,
    lengthened,
    parts,
    picture_faults,
)

NUM_TOGETHER = 2  # latent frames of a chunk


class CogVideoXAutoencoder(TemporalAutoencoder):
    """AutoencoderKLCogVideoX, of CogVideoX 1 and 1.5.

    `invert_scale_latents` concerns the picture that its transformer is given, not
    these latents, and is not used.
    """

    kind = "AutoencoderKLCogVideoX"
    stride = FramewiseAutoencoder.stride
    needed = frozenset(
        {"latent_channels", "block_out_channels", "temporal_compression_ratio", "scaling_factor"}
    )

    def faults(self, config: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """As in Autoencoder."""
        yield from width_faults(config)
        ratios = [2**level for level in range(len(config["block_out_channels"]))]
        if config["temporal_compression_ratio"] not in ratios:
            yield "temporal_compression_ratio", f"one of {', '.join(map(str, ratios))}"
        yield from picture_faults(config)
        yield from statistic_faults(config)

    @property
    def frame_stride(self) -> int:
        """As in TemporalAutoencoder."""
        return int(self.config["temporal_compression_ratio"])

    def moments(self, clip: Clip) -> Iterator[Batch]:
        """As in TemporalAutoencoder."""
        model, cache = self.model(), None
        left = 1 + (len(clip) - 1) // self.frame_stride
        length = NUM_TOGETHER * self.frame_stride
        clip = lengthened(clip, length, dim=0)
        for part in parts(len(clip), 1 + length, length):
            found, cache = model.encoder(self.batch_of(clip[part]), conv_cache=cache)
            if model.quant_conv is not None:
                found = model.quant_conv(found)
            yield found[:, :, :left]
            left -= found.shape[2]

    @torch.no_grad()
    def chunks(self, latent: Batch) -> Iterator[Batch]:
        """The frames of two latent frames after two others."""
        model, cache = self.model(), None
        left = 1 + (latent.shape[2] - 1) * self.frame_stride
        latent = lengthened(latent, NUM_TOGETHER, dim=2)
        for part in parts(latent.shape[2], 1 + NUM_TOGETHER, NUM_TOGETHER):
            chunk = latent[:, :, part]
            if model.post_quant_conv is not None:
                chunk = model.post_quant_conv(chunk)
            made, cache = model.decoder(chunk, conv_cache=cache)
            yield made[:, :, :left]
            left -= made.shape[2]
