"""What the kinds of autoencoder with a time axis share: frames in groups, the first one alone.

`encode` takes 1 + k t frames and gives 1 + k latent frames, `decode` the other way round, where t
is `frame_stride`. Both work through a clip in chunks, so that their memory does not grow with its
length. Layers are called as diffusers (0.42) calls them, with caches of our own, so that nothing
is kept in a model between calls.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from lumina_core.autoencoder.networks import Autoencoder
from lumina_core.media.clips.writing import Clip
from lumina_core.media.pixels import NUM_COLOURS, Pixels, pixels_of

Batch = Float[Tensor, "1 channel frame row column"]
Latent = Float[Tensor, "channel group row column"]  # a group of frames, the first one alone


class TemporalAutoencoder(Autoencoder):
    """A kind whose latent frames, but for the first, hold several frames of the clip."""

    frame_stride: int
    """Frames of the clip per latent frame after the first."""
    stride: int
    """Pixels per latent cell along height and width."""

    @torch.no_grad()
    def encode(self, clip: Clip) -> Latent:
        """The normalised latent of a clip, the mean of its posterior.

        Args:
            clip: 1 + k * frame_stride frames.
        """
        mean, std = (x[:, None, None, None] for x in self.statistics())
        moments = torch.cat(list(self.moments(clip)), dim=2)
        return (moments[0, : self.channels] - mean) / std

    def decode(self, latent: Latent) -> Iterator[Pixels]:
        """The 1 + k * frame_stride frames of a latent, some at a time, in about [-1, 1]."""
        mean, std = (x[:, None, None, None] for x in self.statistics())
        for chunk in self.chunks((latent.to(self._device) * std + mean)[None]):
            yield rearrange(chunk, "1 c f h w -> f c h w")

    @abstractmethod
    def moments(self, clip: Clip) -> Iterator[Batch]:
        """What the encoder says of a clip, some latent frames at a time; first come the means."""

    @abstractmethod
    def chunks(self, latent: Batch) -> Iterator[Batch]:
        """What the decoder makes of a latent, some frames at a time."""

    def batch_of(self, clip: Clip) -> Batch:
        """Frames as the encoder takes them."""
        return rearrange(pixels_of(clip.to(self._device)), "f c h w -> 1 c f h w")


def parts(length: int, first: int, others: int) -> Iterator[slice]:
    """Cut `length` frames into a part of `first` and parts of `others`, the last what is left."""
    yield slice(0, first)
    for start in range(first, length, others):
        yield slice(start, start + others)


def lengthened(frames: Tensor, group: int, *, dim: int) -> Tensor:
    """Frames with the last one repeated until there are 1 + k * group of them.

    Args:
        frames: frames along `dim`.
        group: frames that belong together.
        dim: axis of time.
    """
    missing = -(frames.shape[dim] - 1) % group
    last = frames.narrow(dim, frames.shape[dim] - 1, 1)
    return torch.cat([frames, *[last] * missing], dim=dim)


def picture_faults(
    config: Mapping[str, Any], channels: int = NUM_COLOURS
) -> Iterator[tuple[str, str]]:
    """The channels in a config.json that are not those of RGB pixels."""
    for key in ("in_channels", "out_channels"):
        if key in config and config[key] != channels:
            yield key, f"{channels}"
