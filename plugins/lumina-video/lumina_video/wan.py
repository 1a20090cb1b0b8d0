"""AutoencoderKLWan, in chunks exactly: each causal convolution keeps the last frames it has seen.

Source: diffusers 0.42, autoencoder_kl_wan.py, `_encode` and `_decode`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from einops import rearrange

from lumina_core.autoencoder.networks import MAX_LEVELS, are_widths, is_count, statistic_faults
from lumina_core.media.pixels import NUM_COLOURS
from lumina_video.temporal import (
    Batch,
    Clip,
    TemporalAutoencoder,
    parts,
    picture_faults,
)

NO_SCALE: Mapping[str, Any] = {"scaling_factor": 1.0, "shift_factor": None}  # it has none


class WanAutoencoder(TemporalAutoencoder):
    """AutoencoderKLWan, of Wan 2.1 and 2.2."""

    kind = "AutoencoderKLWan"
    needed = frozenset({"z_dim", "dim_mult", "temperal_downsample", "latents_mean", "latents_std"})
    defaults: ClassVar[Mapping[str, Any]] = {"patch_size": None}

    def faults(self, config: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """As in Autoencoder."""
        if not are_widths(config["dim_mult"]):
            yield "dim_mult", f"a list of 1 to {MAX_LEVELS} whole numbers"
        num_steps = len(config["dim_mult"]) - 1
        if not _are_flags(config["temperal_downsample"], num_steps):
            yield "temperal_downsample", f"a list of {num_steps} times true or false"
        if config["patch_size"] is not None and not is_count(config["patch_size"]):
            yield "patch_size", "a whole number of 1 or more, or null"
        wanted = NUM_COLOURS * (config["patch_size"] or 1) ** 2
        yield from picture_faults(config, wanted)
        for key in ("latents_mean", "latents_std"):
            if config[key] is None:
                yield key, "a list of numbers, one per latent channel"
        yield from statistic_faults({**NO_SCALE, **config}, "z_dim")

    @property
    def channels(self) -> int:
        """Channels of the latent."""
        return int(self.config["z_dim"])

    @property
    def stride(self) -> int:
        """As in TemporalAutoencoder."""
        return self._patch * 2 ** (len(self.config["dim_mult"]) - 1)

    @property
    def frame_stride(self) -> int:
        """As in TemporalAutoencoder."""
        return 2 ** sum(self.config["temperal_downsample"])

    @property
    def _patch(self) -> int:
        return self.config["patch_size"] or 1

    def moments(self, clip: Clip) -> Iterator[Batch]:
        """As in TemporalAutoencoder."""
        model = self.model()
        cache = _feature_cache(model.encoder)
        found = []
        for part in parts(len(clip), 1, self.frame_stride):
            pixels = rearrange(
                self.batch_of(clip[part]),
                "b c f (h p) (w q) -> b (c q p) f h w",
                p=self._patch,
                q=self._patch,
            )
            found.append(model.encoder(pixels, feat_cache=cache, feat_idx=[0]))
        yield model.quant_conv(torch.cat(found, dim=2))

    @torch.no_grad()
    def chunks(self, latent: Batch) -> Iterator[Batch]:
        """The frames of one latent frame after the other."""
        model = self.model()
        cache = _feature_cache(model.decoder)
        latent = model.post_quant_conv(latent)
        for number, frame in enumerate(latent.split(1, dim=2)):
            made = model.decoder(frame, feat_cache=cache, feat_idx=[0], first_chunk=number == 0)
            yield rearrange(
                made, "b (c q p) f h w -> b c f (h p) (w q)", p=self._patch, q=self._patch
            )


def _are_flags(value: Any, length: int) -> bool:
    return isinstance(value, list) and [type(x) for x in value] == [bool] * length


def _feature_cache(part: Any) -> list[Any]:
    """An empty place for each causal convolution of Wan's encoder or decoder."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d

    return [None] * sum(isinstance(module, WanCausalConv3d) for module in part.modules())
