"""AutoencoderKLLTXVideo: layer by layer over a stream of frames.

Its norms act on each place by itself and its convolutions look at three frames, so a clip in chunks
is the whole clip, up to rounding. Decoders that are given a time decode at time 0, as what they get
has no noise; decoders that add noise get it from a generator per layer, the same at every call.
Source: diffusers 0.42, autoencoder_kl_ltx.py, whose `forward` methods are followed here.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, ClassVar

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from lumina_core import LuminaError
from lumina_core.autoencoder.networks import MAX_NUMBER, is_count, is_true, statistic_faults
from lumina_video.streaming import Layer, streamed
from lumina_video.temporal import (
    Batch,
    Clip,
    TemporalAutoencoder,
    parts,
    picture_faults,
)

NUM_TOGETHER = 4  # latent frames of a chunk; fewer repeat more, more need more memory


class LTXAutoencoder(TemporalAutoencoder):
    """AutoencoderKLLTXVideo; its statistics are weights."""

    kind = "AutoencoderKLLTXVideo"
    needed = frozenset({"latent_channels", "spatio_temporal_scaling", "patch_size"})
    defaults: ClassVar[Mapping[str, Any]] = {
        "patch_size_t": 1,
        "scaling_factor": 1.0,
        "shift_factor": None,
        "spatial_compression_ratio": None,
        "temporal_compression_ratio": None,
    }

    def faults(self, config: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """As in Autoencoder."""
        flags = config["spatio_temporal_scaling"]
        if not isinstance(flags, list) or any(type(flag) is not bool for flag in flags):
            yield "spatio_temporal_scaling", "a list of true and false"
        if not is_count(config["patch_size"]):
            yield "patch_size", "a whole number of 1 or more"
        if config["patch_size_t"] != 1:
            yield "patch_size_t", "1"
        for key in ("spatial_compression_ratio", "temporal_compression_ratio"):
            if config[key] is not None and not is_count(config[key]):
                yield key, "a whole number of 1 or more, or null"
        yield from picture_faults(config)
        yield from statistic_faults(config)

    @property
    def stride(self) -> int:
        """As in TemporalAutoencoder."""
        return self.config["spatial_compression_ratio"] or self.config["patch_size"] * self._scale

    @property
    def frame_stride(self) -> int:
        """As in TemporalAutoencoder."""
        return self.config["temporal_compression_ratio"] or self._scale

    @property
    def _scale(self) -> int:
        return 2 ** sum(self.config["spatio_temporal_scaling"])

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each channel, from the weights.

        Raises:
            LuminaError: they are not numbers that a latent can have.
        """
        model = self.model()
        mean, std = model.latents_mean.float(), model.latents_std.float()
        is_fit = (std.min() >= 1 / MAX_NUMBER) & (std.max() <= MAX_NUMBER)
        if not is_true(is_fit & (mean.abs().max() <= MAX_NUMBER), planned=True):
            raise LuminaError(
                f"the latents_mean and latents_std of the autoencoder in {self.folder} are no "
                "statistics of latents; give another diffusers folder"
            )
        return mean, std / self.config["scaling_factor"]

    def moments(self, clip: Clip) -> Iterator[Batch]:
        """As in TemporalAutoencoder."""
        length = NUM_TOGETHER * self.frame_stride
        chunks = (self.batch_of(clip[part]) for part in parts(len(clip), 1 + length, length))
        yield from streamed(encoder_layers(self.model().encoder), chunks)

    @torch.no_grad()
    def chunks(self, latent: Batch) -> Iterator[Batch]:
        """The frames of a few latent frames after those of others."""
        cuts = parts(latent.shape[2], 1 + NUM_TOGETHER, NUM_TOGETHER)
        chunks = (latent[:, :, part] for part in cuts)
        yield from streamed(decoder_layers(self.model().decoder), chunks)


def encoder_layers(encoder: Any) -> list[Layer]:
    """The layers of an LTXVideoEncoder3d."""
    conv = partial(_convolution, encoder.conv_in.is_causal)
    layers = [conv(lambda x: encoder.conv_in(_folded(x, encoder.patch_size)))]
    for block in [*encoder.down_blocks, encoder.mid_block]:
        layers += [conv(resnet, 2) for resnet in block.resnets]
        for sampler in getattr(block, "downsamplers", None) or []:
            is_plain = isinstance(sampler.conv, torch.nn.Conv3d)
            stride = (sampler.conv if is_plain else sampler).stride[0]
            layers.append(conv(sampler, down=stride))
        if getattr(block, "conv_out", None) is not None:
            layers.append(conv(block.conv_out, 2))

    def last(x: Tensor) -> Tensor:
        return encoder.conv_out(encoder.conv_act(_normed(encoder.norm_out, x)))

    return [*layers, conv(last)]


def decoder_layers(decoder: Any) -> list[Layer]:
    """The layers of an LTXVideoDecoder3d."""
    conv = partial(_convolution, decoder.conv_in.is_causal)
    time = None
    if decoder.timestep_scale_multiplier is not None:
        time = torch.zeros(1, device=decoder.timestep_scale_multiplier.device)
    layers = [conv(decoder.conv_in)]

    def add(resnet: Any, features: Tensor | None) -> None:
        layers.append(conv(partial(_noisy, resnet, features, len(layers)), 2))

    for block in [decoder.mid_block, *decoder.up_blocks]:
        if getattr(block, "conv_in", None) is not None:
            add(block.conv_in, time)
        for sampler in getattr(block, "upsamplers", None) or []:
            layers.append(conv(sampler, up=sampler.stride[0]))
        features = _time_features(block, time)
        for resnet in block.resnets:
            add(resnet, features)

    def last(x: Tensor) -> Tensor:
        x = _normed(decoder.norm_out, x)
        features = _time_features(decoder, time)
        if features is not None:
            table = decoder.scale_shift_table[None, ..., None, None, None]
            shift, scale = (features.unflatten(1, (2, -1)) + table).unbind(dim=1)
            x = x * (1 + scale) + shift
        return _unfolded(decoder.conv_out(decoder.conv_act(x)), decoder.patch_size)

    return [*layers, conv(last)]


def _convolution(is_causal: bool, run: Any, count: int = 1, *, up: int = 1, down: int = 1) -> Layer:
    """A layer of `count` convolutions over three frames; with `down`, of groups of frames."""
    before, after = (2 * count, 0) if is_causal else (count, count)
    return Layer(run, before + down - 1, after, up, down)


def _noisy(resnet: Any, features: Tensor | None, seed: int, x: Tensor) -> Tensor:
    return resnet(x, features, torch.Generator(x.device).manual_seed(seed))


def _time_features(block: Any, time: Tensor | None) -> Tensor | None:
    """The time as the residual blocks of a block take it."""
    if block.time_embedder is None:
        return None
    features = block.time_embedder(
        timestep=time, resolution=None, aspect_ratio=None, batch_size=1, hidden_dtype=torch.float32
    )
    return features.view(1, -1, 1, 1, 1)


def _normed(norm: Any, x: Tensor) -> Tensor:
    return rearrange(norm(rearrange(x, "b c f h w -> b f h w c")), "b f h w c -> b c f h w")


def _folded(
    x: Float[Tensor, "1 3 frame height width"], patch: int
) -> Float[Tensor, "1 channel frame row column"]:
    return rearrange(x, "b c f (h p) (w q) -> b (c q p) f h w", p=patch, q=patch)


def _unfolded(
    x: Float[Tensor, "1 channel frame row column"], patch: int
) -> Float[Tensor, "1 3 frame height width"]:
    return rearrange(x, "b (c q p) f h w -> b c f (h p) (w q)", p=patch, q=patch)
