"""Decodes a large latent in tiles, exactly as the whole would be, in bounded memory.

Tiles that are decoded one by one and blended show seams, because each group norm of the decoder
would see the statistics of its tile alone. Here every norm gets the statistics of the whole map,
summed tile by tile; a tile brings as many neighbours as its convolutions look at, and loses them
again. What remains is the rounding of float32. The price is time: a norm is known only after a pass
over all tiles. Maps of at most KEPT_BYTES are kept whole, so that a pass starts at the last of
them; larger ones are computed again. The middle of the decoder, with its attention, sees the whole
latent at once, for it is small.

Departs from `enable_tiling` of diffusers, which blends; the two passes come from Tiled VAE
(pkuliyi2015/multidiffusion-upscaler-for-automatic1111), which guesses the statistics by default.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

KEPT_BYTES = 1 << 28  # of one map; two are held at once
TILE_SIDE = 256  # of what a pass computes, without the neighbours
MIN_TILE_SIDE = 32  # of what a pass reads: smaller ones would be mostly neighbours

Map = Float[Tensor, "1 channel row column"]


class Step(NamedTuple):
    """One operation of the decoder."""

    name: str
    """norm, activate, convolve, upsample, branch (remember the map) or join (add it again)."""
    module: Any = None
    """What holds its weights; of a join, what the remembered map passes through, or None."""


class Affine(NamedTuple):
    """A group norm whose statistics are known: y = x * scale + shift."""

    scale: Float[Tensor, "channel 1 1"]
    shift: Float[Tensor, "channel 1 1"]


class Span(NamedTuple):
    """One tile along one axis."""

    read: slice
    """Of the base, neighbours included; padding at the edge of the picture stays padding."""
    inner: slice
    """Of what the steps make of it, without the neighbours."""
    place: slice
    """Of the whole result."""


@torch.no_grad()
def decode_in_tiles(model: Any, latent: Map) -> Map:
    """What `model.decode(latent).sample` gives, tile by tile.

    Args:
        model: a diffusers AutoencoderKL for which `has_tiles` is true.
        latent: as the model takes it.
    """
    if model.post_quant_conv is not None:
        latent = model.post_quant_conv(latent)
    base = model.decoder.mid_block(model.decoder.conv_in(latent))
    known: dict[nn.Module, Affine] = {}
    pending: list[Step] = []
    for step in _steps(model.decoder):
        if step.name == "norm":
            known[step.module] = _statistics(base, pending, known, step.module)
        pending.append(step)
        if step.name == "join" and _num_bytes(base, pending) <= KEPT_BYTES:
            base, pending = _whole(base, pending, known), []
    return _whole(base, pending, known)


def has_tiles(model: Any) -> bool:
    """Whether the decoder of a model is made of what this module knows, as the released are."""
    return set(model.config.up_block_types) == {"UpDecoderBlock2D"}


def _steps(decoder: Any) -> Iterator[Step]:
    """What a diffusers `Decoder` computes after its middle, in order."""
    for block in decoder.up_blocks:
        for resnet in block.resnets:
            yield Step("branch")
            for norm, convolution in ((resnet.norm1, resnet.conv1), (resnet.norm2, resnet.conv2)):
                yield Step("norm", norm)
                yield Step("activate", resnet.nonlinearity)
                yield Step("convolve", convolution)
            yield Step("join", resnet.conv_shortcut)
        for upsampler in block.upsamplers or ():
            yield Step("upsample")
            yield Step("convolve", upsampler.conv)
    yield Step("norm", decoder.conv_norm_out)
    yield Step("activate", decoder.conv_act)
    yield Step("convolve", decoder.conv_out)


def _apply(x: Map, steps: Sequence[Step], known: dict[nn.Module, Affine]) -> Map:
    branch = x
    for step in steps:
        if step.name == "branch":
            branch = x
        elif step.name == "norm":
            x = torch.addcmul(known[step.module].shift, x, known[step.module].scale)
        elif step.name == "upsample":
            x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
        elif step.name == "join":
            x = x + (branch if step.module is None else step.module(branch))
        else:
            x = step.module(x)
    return x


def _scale(steps: Sequence[Step]) -> int:
    return 2 ** sum(step.name == "upsample" for step in steps)


def _margin(steps: Sequence[Step]) -> int:
    """How many cells of the base, each way, the result of one cell looks at."""
    margin, scale = 0.0, 1
    for step in steps:
        if step.name == "upsample":
            scale *= 2
        elif step.name == "convolve":
            margin += step.module.kernel_size[0] // 2 / scale
    return math.ceil(margin)


def _spans(size: int, scale: int, margin: int) -> Iterator[Span]:
    """The tiles along one axis of a base of this size."""
    side = max(TILE_SIDE // scale, MIN_TILE_SIDE)
    for start in range(0, size, side):
        stop, first = min(start + side, size), max(start - margin, 0)
        yield Span(
            read=slice(first, min(stop + margin, size)),
            inner=slice((start - first) * scale, (stop - first) * scale),
            place=slice(start * scale, stop * scale),
        )


def _tiles(
    base: Map, steps: Sequence[Step], known: dict[nn.Module, Affine]
) -> Iterator[tuple[Map, slice, slice]]:
    """The result of the steps, tile by tile, with the rows and columns where it belongs."""
    scale, margin = _scale(steps), _margin(steps)
    for rows in _spans(base.shape[2], scale, margin):
        for columns in _spans(base.shape[3], scale, margin):
            tile = _apply(base[:, :, rows.read, columns.read], steps, known)
            yield tile[:, :, rows.inner, columns.inner], rows.place, columns.place


def _statistics(
    base: Map, steps: Sequence[Step], known: dict[nn.Module, Affine], norm: nn.GroupNorm
) -> Affine:
    """A group norm over the whole result of the steps, as one factor and summand per channel.

    y = (x - mean_g) / sqrt(var_g + eps) * weight_c + bias_c; sums are float64, for a map has
    millions of values and float32 loses the variance where the mean is large.
    """
    total = torch.zeros(2, norm.num_groups, dtype=torch.float64, device=base.device)
    count = 0
    for tile, _, _ in _tiles(base, steps, known):
        x = rearrange(tile, "1 (g c) h w -> g (c h w)", g=norm.num_groups).double()
        total += torch.stack([x.sum(1), x.square().sum(1)])
        count += x.shape[1]
    mean, square = total / count
    std = (square - mean.square() + norm.eps).sqrt()
    repeats = norm.num_channels // norm.num_groups
    mean, std = (x.repeat_interleave(repeats)[:, None, None] for x in (mean, std))
    scale = norm.weight[:, None, None] / std
    shift = norm.bias[:, None, None] - mean * scale
    return Affine(scale.to(base.dtype), shift.to(base.dtype))


def _whole(base: Map, steps: Sequence[Step], known: dict[nn.Module, Affine]) -> Map:
    """The result of the steps as one map."""
    height, width = (side * _scale(steps) for side in base.shape[2:])
    whole = base.new_empty(1, _num_channels(steps), height, width)
    for tile, rows, columns in _tiles(base, steps, known):
        whole[:, :, rows, columns] = tile
    return whole


def _num_channels(steps: Sequence[Step]) -> int:
    last = next(step for step in reversed(steps) if step.name == "convolve")
    return int(last.module.out_channels)


def _num_bytes(base: Map, steps: Sequence[Step]) -> int:
    cells = base.shape[2] * base.shape[3] * _scale(steps) ** 2
    return cells * _num_channels(steps) * base.element_size()
