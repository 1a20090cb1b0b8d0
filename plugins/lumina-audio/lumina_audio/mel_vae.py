"""The 1-D convolutional VAE of mel spectrograms that the released audio models use.

The mel bands are its channels, so that its latent is one column wide; time is halved where
`down_layers` says, once in the released one. It takes natural logarithms of mel amplitudes as they
are (modality.mel_range=[-1,1]). Names and shapes of the weights are the released ones.

Source: Lumina-T2X, lumina_music/models/autoencoder1d.py at 4ea28fd; the model is that of
Make-An-Audio 2 (arXiv 2305.18474). Departure: attention never holds all its scores at once.
"""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

NUM_GROUPS = 32  # of the group norms
NORM_EPS = 1e-6
RESAMPLING_KERNEL = 3
DECODER_KERNEL = 3  # of its residual blocks; its first and last convolution have `kernel_size`


@dataclass(frozen=True)
class MelVAEShape:
    """Architecture, by the names of the released config."""

    in_channels: int
    """Mel bands."""
    z_channels: int
    """Channels between encoder and decoder."""
    embed_dim: int
    """Channels of the latent."""
    ch: int
    """Channels of the first convolution; a level has this times its `ch_mult`."""
    ch_mult: tuple[int, ...]
    """One per level, the finest first."""
    num_res_blocks: int
    """Residual blocks per level of the encoder; the decoder has one more."""
    kernel_size: int
    """Of the encoder, and of the decoder's first and last convolution; odd."""
    down_layers: tuple[int, ...]
    """Levels of the encoder after which time is halved; not the last one."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level."""
        return tuple(self.ch * factor for factor in self.ch_mult)


class ResidualBlock(nn.Module):
    """Two convolutions, each after norm and swish, added to what goes in."""

    def __init__(self, width: int, out: int, kernel: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = _norm(width), _convolution(width, out, kernel)
        self.norm2, self.conv2 = _norm(out), _convolution(out, out, kernel)
        self.nin_shortcut = nn.Identity() if width == out else _convolution(width, out, 1)

    def forward(self, x: Float[Tensor, "b c t"]) -> Float[Tensor, "b out t"]:
        """Add the second convolution's result; a third one brings x to its width."""
        made = self.conv1(functional.silu(self.norm1(x)))
        made = self.conv2(functional.silu(self.norm2(made)))
        return self.nin_shortcut(x) + made


class Attention(nn.Module):
    """Attention over time, of one head, added to what goes in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = _norm(width)
        self.q, self.k, self.v, self.proj_out = (_convolution(width, width, 1) for _ in range(4))

    def forward(self, x: Float[Tensor, "b c t"]) -> Float[Tensor, "b c t"]:
        """Add proj_out(softmax(q k / sqrt(c)) v)."""
        normed = self.norm(x)
        q, k, v = (rearrange(f(normed), "b c t -> b 1 t c") for f in (self.q, self.k, self.v))
        found = functional.scaled_dot_product_attention(q, k, v)
        return x + self.proj_out(rearrange(found, "b 1 t c -> b c t"))


class Encoder(nn.Module):
    """Mel bands to means and log variances."""

    def __init__(self, shape: MelVAEShape) -> None:
        super().__init__()
        widths, kernel = shape.widths, shape.kernel_size
        self.conv_in = _convolution(shape.in_channels, shape.ch, kernel)
        self.down = nn.Sequential()
        for number, (width, out) in enumerate(zip((shape.ch, *widths), widths, strict=False)):
            halving = {"downsample": _downsample(out)} if number in shape.down_layers else {}
            self.down.append(_level((width, out), shape.num_res_blocks, kernel, halving))
        self.mid = _middle(widths[-1], kernel)
        self.norm_out = _norm(widths[-1])
        self.conv_out = _convolution(widths[-1], 2 * shape.z_channels, kernel)

    def forward(self, x: Float[Tensor, "b mel t"]) -> Float[Tensor, "b moment row"]:
        """From the finest level to the middle."""
        x = self.mid(self.down(self.conv_in(x)))
        return self.conv_out(functional.silu(self.norm_out(x)))


class Decoder(nn.Module):
    """Latent to mel bands; nothing bounds what comes out."""

    def __init__(self, shape: MelVAEShape) -> None:
        super().__init__()
        widths, kernel = shape.widths, shape.kernel_size
        self.conv_in = _convolution(shape.z_channels, widths[-1], kernel)
        self.mid = _middle(widths[-1], DECODER_KERNEL)
        self.up = nn.ModuleList()
        for number, (width, out) in enumerate(zip((*widths[1:], widths[-1]), widths, strict=True)):
            twice = {"upsample": _upsample(out)} if number - 1 in shape.down_layers else {}
            self.up.append(_level((width, out), shape.num_res_blocks + 1, DECODER_KERNEL, twice))
        self.norm_out = _norm(widths[0])
        self.conv_out = _convolution(widths[0], shape.in_channels, kernel)

    def forward(self, z: Float[Tensor, "b z row"]) -> Float[Tensor, "b mel t"]:
        """From the middle to the finest level."""
        x = self.mid(self.conv_in(z))
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(functional.silu(self.norm_out(x)))


class MelVAE(nn.Module):
    """Encoder and decoder, and a convolution of width 1 on each side of the latent."""

    def __init__(self, shape: MelVAEShape) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(shape), Decoder(shape)
        self.quant_conv = _convolution(2 * shape.z_channels, 2 * shape.embed_dim, 1)
        self.post_quant_conv = _convolution(shape.embed_dim, shape.z_channels, 1)

    def encode(self, mel: Float[Tensor, "b mel t"]) -> Float[Tensor, "b channel row"]:
        """The mean of the posterior.

        Args:
            mel: natural logarithms; where a halving meets an odd length, the last place is lost.
        """
        mean, _ = self.quant_conv(self.encoder(mel)).chunk(2, dim=1)
        return mean

    def decode(self, z: Float[Tensor, "b channel row"]) -> Float[Tensor, "b mel t"]:
        """Natural logarithms of mel amplitudes."""
        return self.decoder(self.post_quant_conv(z))


def empty_mel_vae(shape: MelVAEShape) -> MelVAE:
    """The model without its weights, of which it knows names and shapes; takes no memory."""
    with torch.device("meta"):
        return MelVAE(shape)


def _convolution(width: int, out: int, kernel: int) -> nn.Conv1d:
    """One that keeps the length."""
    return nn.Conv1d(width, out, kernel, padding=kernel // 2)


def _norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(NUM_GROUPS, width, eps=NORM_EPS)


def _chain(parts: dict[str, nn.Module]) -> nn.Sequential:
    return nn.Sequential(OrderedDict(parts))


def _middle(width: int, kernel: int) -> nn.Sequential:
    return _chain(
        {
            "block_1": ResidualBlock(width, width, kernel),
            "attn_1": Attention(width),
            "block_2": ResidualBlock(width, width, kernel),
        }
    )


def _level(
    widths: tuple[int, int], num_blocks: int, kernel: int, resampling: dict[str, nn.Module]
) -> nn.Sequential:
    """Residual blocks from one width to another, and what changes the length after them."""
    width, out = widths
    first = ResidualBlock(width, out, kernel)
    others = [ResidualBlock(out, out, kernel) for _ in range(num_blocks - 1)]
    return _chain({"block": nn.Sequential(first, *others), **resampling})


def _downsample(width: int) -> nn.Sequential:
    """Half the length, rounded down; a zero is added at the end."""
    conv = nn.Conv1d(width, width, RESAMPLING_KERNEL, stride=2)
    return _chain({"pad": nn.ConstantPad1d((0, 1), 0.0), "conv": conv})


def _upsample(width: int) -> nn.Sequential:
    conv = _convolution(width, width, RESAMPLING_KERNEL)
    return _chain({"repeat": nn.Upsample(scale_factor=2.0, mode="nearest"), "conv": conv})
