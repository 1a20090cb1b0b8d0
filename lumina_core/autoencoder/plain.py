"""The plainest autoencoder of diffusers, without diffusers, which is slow to import.

It is an `AutoencoderKL` with neither attention nor convolutions around the latent, as `train-vae`
makes it. Files, names of weights and results are those of the class, to the bit; tests compare
them. Whatever is not exactly that is left to the class, which also says what is wrong with it.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from safetensors import SafetensorError
from torch import Tensor, nn

from lumina_core.files.weights import read_float32

EPS = 1e-6  # of the norms; no config.json names it
DOWN, UP = "DownEncoderBlock2D", "UpDecoderBlock2D"
WITHOUT = ("mid_block_add_attention", "use_quant_conv", "use_post_quant_conv")


class Resnet(nn.Module):
    """Two convolutions, each behind a norm, and a way around both."""

    def __init__(self, inner: int, outer: int, groups: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = (nn.GroupNorm(groups, width, EPS) for width in (inner, outer))
        self.conv1, self.conv2 = _convolution(inner, outer), _convolution(outer, outer)
        self.conv_shortcut = None if inner == outer else nn.Conv2d(inner, outer, 1)
        self.nonlinearity = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of `x` but for its channels."""
        made = self.conv1(self.nonlinearity(self.norm1(x)))
        made = self.conv2(self.nonlinearity(self.norm2(made)))
        return made + (x if self.conv_shortcut is None else self.conv_shortcut(x))


class PlainAutoencoder(nn.Module):
    """Frames to latents and back; what others use of an AutoencoderKL is called as there."""

    post_quant_conv = None

    def __init__(self, about: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = SimpleNamespace(**about)
        widths, groups = about["block_out_channels"], about["norm_num_groups"]
        latent, depth = about["latent_channels"], about["layers_per_block"]
        down = _levels(widths, depth, groups, downsamplers=_downsampler)
        up = _levels(widths[::-1], depth + 1, groups, upsamplers=_upsampler)
        middles = [_named(resnets=_resnets([widths[-1]] * 3, groups)) for _ in range(2)]
        parts = {"down_blocks": down, "mid_block": middles[0]}
        moments = 2 * latent  # means and logarithms of variances
        self.encoder = _half(about["in_channels"], moments, widths, groups, parts)
        parts = {"mid_block": middles[1], "up_blocks": up}
        self.decoder = _half(latent, about["out_channels"], widths[::-1], groups, parts)

    def encode(self, pixels: Tensor) -> SimpleNamespace:
        """The posterior, of which the mode alone is there."""
        mean = self.encoder(pixels).chunk(2, dim=1)[0]
        return SimpleNamespace(latent_dist=SimpleNamespace(mode=lambda: mean))

    def decode(self, latent: Tensor) -> SimpleNamespace:
        """The pixels as `sample`."""
        return SimpleNamespace(sample=self.decoder(latent))


def _half(
    inner: int, outer: int, widths: Sequence[int], groups: int, parts: Mapping[str, nn.Module]
) -> nn.Module:
    """The encoder or the decoder."""
    ends = _convolution(inner, widths[0]), _convolution(widths[-1], outer)
    norm = nn.GroupNorm(groups, widths[-1], EPS)
    return _named(
        conv_in=ends[0], **parts, conv_norm_out=norm, conv_act=nn.SiLU(), conv_out=ends[1]
    )


def _levels(
    widths: Sequence[int], depth: int, groups: int, **between: Callable[[int], nn.Module]
) -> nn.Sequential:
    """Resnets of each resolution, and what leads from one to the next."""
    ((name, leading),) = between.items()
    levels: list[nn.Module] = []
    for before, width in pairwise([widths[0], *widths]):
        leads = nn.Sequential(*[leading(width)] * (len(levels) + 1 < len(widths)))
        resnets = _resnets([before, *[width] * depth], groups)
        levels.append(_named(resnets=resnets, **{name: leads}))
    return nn.Sequential(*levels)


def _resnets(widths: Sequence[int], groups: int) -> nn.Sequential:
    return nn.Sequential(*(Resnet(inner, outer, groups) for inner, outer in pairwise(widths)))


def _downsampler(width: int) -> nn.Module:
    return _named(pad=nn.ZeroPad2d((0, 1, 0, 1)), conv=nn.Conv2d(width, width, 3, stride=2))


def _upsampler(width: int) -> nn.Module:
    return _named(enlarge=nn.Upsample(scale_factor=2.0), conv=_convolution(width, width))


def _convolution(inner: int, outer: int) -> nn.Conv2d:
    return nn.Conv2d(inner, outer, 3, padding=1)


def _named(**parts: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(**parts))


def is_plain(config: Mapping[str, Any]) -> bool:
    """Whether a config.json without faults describes the plainest autoencoder."""
    num_levels = len(config["block_out_channels"])
    blocks = config.get("down_block_types"), config.get("up_block_types")
    is_usual = blocks == ([DOWN] * num_levels, [UP] * num_levels) and config.get("act_fn") == "silu"
    return is_usual and all(config.get(key) is False for key in WITHOUT)


def read_plain(folder: Path, config: Mapping[str, Any]) -> PlainAutoencoder | None:
    """The autoencoder of a folder in float32; None where it is not the plainest, or not whole.

    Args:
        folder: with its weights.
        config: of its config.json, without faults.
    """
    if not is_plain(config):
        return None
    try:
        path = folder / "diffusion_pytorch_model.safetensors"
        return read_float32(partial(PlainAutoencoder, config), path)
    except (KeyError, TypeError, ValueError, RuntimeError, OSError, SafetensorError):
        return None
