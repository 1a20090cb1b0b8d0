"""BigVGAN as it is released: config.json and bigvgan_generator.pt, and no other code.

The network of S. Lee et al., "BigVGAN: a universal neural vocoder with large-scale training"
(arXiv 2206.04658): transposed convolutions, each followed by residual blocks whose activation,
x + sin^2(alpha x) / beta, works at twice the rate between two low-pass filters. Departure: the
weight norm of a file is multiplied out when it is read, which changes no value and is faster.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn.functional import conv1d, conv_transpose1d, pad

from lumina_audio.neural_vocoder import NeuralVocoder, check_front_end, opening, unreadable
from lumina_audio.options import FrontEnd
from lumina_core import built_within, reason_of
from lumina_core.autoencoder.networks import are_widths, is_count

WEIGHTS = ("bigvgan_generator.safetensors", "model.safetensors", "bigvgan_generator.pt")
NORMS = (
    ("weight_g", "weight_v"),
    ("parametrizations.weight.original0", "parametrizations.weight.original1"),  # newer torch
)
DEFAULTS = dict.fromkeys(("snake_logscale", "use_tanh_at_final", "use_bias_at_final"), True)
"""Of keys that the first release does not have."""
TAPS = 12  # of the low-pass filters
EDGE = 7  # kernel of the first and the last convolution
NOT_ZERO = 1e-9  # added to beta, as in the release

Signal = Float[Tensor, "batch channel time"]


def open_bigvgan(folder: Path, config: Mapping[str, Any], front_end: FrontEnd) -> NeuralVocoder:
    """The vocoder of a folder.

    Args:
        folder: with config.json and one of WEIGHTS.
        config: what config.json holds.
        front_end: it must be for; what config.json does not tell is not checked.

    Raises:
        LuminaError: as `open_vocoder`.
    """
    config = {**DEFAULTS, **config}
    for key, wanted in _faults(config):
        raise unreadable(folder, f"{key} of config.json is not {wanted}")
    check_front_end(folder, _made_for(config), front_end)
    with opening(folder, (RuntimeError, ValueError, OSError, SafetensorError)):
        with torch.device("meta"), built_within([_weights_file(folder)]):
            network = BigVGAN(config)
        network.load_state_dict(plain_weights(_read_weights(folder)), strict=True, assign=True)
    return NeuralVocoder(
        network, front_end.hop_length, lambda mel: network(mel.T[None].contiguous())[0, 0]
    )


def _faults(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What config.json must hold for the network to be built, and does not."""
    for key in ("num_mels", "sampling_rate", "upsample_initial_channel"):
        if not is_count(config.get(key)):
            yield key, "a whole number of 1 or more"
    for key in ("snake_logscale", "use_tanh_at_final", "use_bias_at_final"):
        if not isinstance(config[key], bool):
            yield key, "true or false"
    for key in ("upsample_rates", "upsample_kernel_sizes", "resblock_kernel_sizes"):
        if not are_widths(config.get(key)):
            yield key, "a list of whole numbers of 1 or more"
    rates, kernels = config["upsample_rates"], config["upsample_kernel_sizes"]
    if len(rates) != len(kernels) or any(k < r for k, r in zip(kernels, rates, strict=True)):
        yield "upsample_kernel_sizes", "one number per upsample_rates, and as much at least"
    if config["upsample_initial_channel"] % 2 ** len(rates):
        yield "upsample_initial_channel", "divisible by 2 per upsample_rates"
    sizes, dilations = config["resblock_kernel_sizes"], config.get("resblock_dilation_sizes")
    if any(size % 2 == 0 for size in sizes):
        yield "resblock_kernel_sizes", "odd throughout"
    if not isinstance(dilations, list) or len(dilations) != len(sizes):
        yield "resblock_dilation_sizes", "one list per resblock_kernel_sizes"
    elif not all(map(are_widths, dilations)):
        yield "resblock_dilation_sizes", "lists of whole numbers of 1 or more"
    if str(config["resblock"]) not in ("1", "2"):
        yield "resblock", "1 or 2"
    if config.get("activation") not in ("snake", "snakebeta"):
        yield "activation", "snake or snakebeta"


def _made_for(config: Mapping[str, Any]) -> dict[str, Any]:
    """The spectrograms that a config.json describes, by names of FrontEnd."""
    known = {"n_fft": config.get("n_fft"), "fmin": config.get("fmin")}
    if "fmax" in config:  # null is the whole band
        known["fmax"] = config["fmax"] or config["sampling_rate"] / 2
    return {
        "sample_rate": config["sampling_rate"],
        "hop_length": math.prod(config["upsample_rates"]),
        "num_mels": config["num_mels"],
        **{key: value for key, value in known.items() if value is not None},
    }


def _weights_file(folder: Path) -> Path:
    found = [folder / name for name in WEIGHTS if (folder / name).is_file()]
    if not found:
        raise unreadable(folder, f"it holds none of {', '.join(WEIGHTS)}")
    return found[0]


def _read_weights(folder: Path) -> dict[str, Tensor]:
    """The generator's tensors; a .pt file is read without running what it holds."""
    path = _weights_file(folder)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged file raises
        raise unreadable(folder, f"{path.name}: {reason_of(error)}") from error
    state = weights.get("generator") if isinstance(weights, dict) else None
    if not isinstance(state, dict) or not all(isinstance(x, Tensor) for x in state.values()):
        raise unreadable(folder, f"{path.name} holds no weights under 'generator'")
    return state


def plain_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights without weight norm, w = g v / |v|; others stay.

    Source: T. Salimans and D. Kingma 2016, arXiv 1602.07868, equation 2; |v| per first axis.
    """
    plain = dict(state)
    for magnitude, direction in NORMS:
        for name in [key for key in state if key.endswith(f".{magnitude}")]:
            stem = name.removesuffix(magnitude)
            if stem + direction in plain:
                v, g = plain.pop(stem + direction).float(), plain.pop(name).float()
                norm = v.flatten(1).norm(dim=1).reshape(-1, *[1] * (v.dim() - 1))
                plain[f"{stem}weight"] = g * v / norm
    return plain


class BigVGAN(nn.Module):
    """The generator, with the names of the released weights."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Build it from what config.json holds, checked."""
        super().__init__()
        width = config["upsample_initial_channel"]
        self.conv_pre = nn.Conv1d(config["num_mels"], width, EDGE, padding=EDGE // 2)
        block = {"1": AMPBlock1, "2": AMPBlock2}[str(config["resblock"])]
        self.ups, self.resblocks = nn.ModuleList(), nn.ModuleList()
        steps = zip(config["upsample_rates"], config["upsample_kernel_sizes"], strict=True)
        for rate, size in steps:
            wide, width = width, width // 2
            up = nn.ConvTranspose1d(wide, width, size, rate, padding=(size - rate) // 2)
            self.ups.append(nn.ModuleList([up]))
            for kernel, dilations in zip(
                config["resblock_kernel_sizes"], config["resblock_dilation_sizes"], strict=True
            ):
                self.resblocks.append(block(width, kernel, dilations, config))
        self.activation_post = SmoothActivation(width, config)
        has_bias = config["use_bias_at_final"]
        self.conv_post = nn.Conv1d(width, 1, EDGE, padding=EDGE // 2, bias=has_bias)
        self.has_tanh = config["use_tanh_at_final"]

    def forward(self, mel: Signal) -> Float[Tensor, "batch 1 sample"]:
        """Samples in [-1, 1] of natural logarithms of mel amplitudes."""
        x = self.conv_pre(mel)
        per_step = len(self.resblocks) // len(self.ups)
        for step, up in enumerate(self.ups):
            x = up[0](x)
            blocks = self.resblocks[step * per_step : (step + 1) * per_step]
            x = sum(block(x) for block in blocks) / per_step
        x = self.conv_post(self.activation_post(x))
        return x.tanh() if self.has_tanh else x.clamp(-1, 1)


class AMPBlock1(nn.Module):
    """Per dilation two convolutions, each behind an activation, added to what came in."""

    def __init__(
        self, width: int, kernel: int, dilations: list[int], config: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(_conv(width, kernel, dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(_conv(width, kernel, 1) for _ in dilations)
        self.activations = nn.ModuleList(
            SmoothActivation(width, config) for _ in range(2 * len(dilations))
        )

    def forward(self, x: Signal) -> Signal:
        """The same shape."""
        pairs = zip(self.convs1, self.convs2, strict=True)
        for index, (dilated, plain) in enumerate(pairs):
            inner = dilated(self.activations[2 * index](x))
            x = x + plain(self.activations[2 * index + 1](inner))
        return x


class AMPBlock2(nn.Module):
    """Per dilation one convolution behind an activation, added to what came in."""

    def __init__(
        self, width: int, kernel: int, dilations: list[int], config: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList(_conv(width, kernel, dilation) for dilation in dilations)
        self.activations = nn.ModuleList(SmoothActivation(width, config) for _ in dilations)

    def forward(self, x: Signal) -> Signal:
        """The same shape."""
        for conv, activation in zip(self.convs, self.activations, strict=True):
            x = x + conv(activation(x))
        return x


def _conv(width: int, kernel: int, dilation: int) -> nn.Conv1d:
    padding = (kernel - 1) * dilation // 2
    return nn.Conv1d(width, width, kernel, dilation=dilation, padding=padding)


class SmoothActivation(nn.Module):
    """The activation at twice the rate, so that what it adds above the old band is filtered out."""

    def __init__(self, width: int, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.act = Snake(width, config)
        self.upsample = LowPass()
        self.downsample = nn.Module()
        self.downsample.lowpass = LowPass()

    def forward(self, x: Signal) -> Signal:
        """The same shape; the ends are held."""
        channels = x.shape[1]
        begin = TAPS // 2 - 1
        up = self.upsample.filter.expand(channels, 1, TAPS)
        x = 2 * conv_transpose1d(pad(x, (begin, begin), "replicate"), up, stride=2, groups=channels)
        cut = 2 * begin + (TAPS - 2) // 2
        x = self.act(x[..., cut:-cut])
        down = self.downsample.lowpass.filter.expand(channels, 1, TAPS)
        return conv1d(pad(x, (begin, begin + 1), "replicate"), down, stride=2, groups=channels)


class LowPass(nn.Module):
    """The taps of a filter, which the weights bring along."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filter", torch.zeros(1, 1, TAPS))


class Snake(nn.Module):
    """x + sin^2(alpha x) / beta per channel; beta is alpha in the kind `snake`."""

    def __init__(self, width: int, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.is_logarithm = config["snake_logscale"]
        self.alpha = nn.Parameter(torch.zeros(width))
        self.beta = (
            nn.Parameter(torch.zeros(width)) if config["activation"] == "snakebeta" else None
        )

    def forward(self, x: Signal) -> Signal:
        """The same shape."""
        alpha, beta = self.alpha, self.alpha if self.beta is None else self.beta
        if self.is_logarithm:
            alpha, beta = alpha.exp(), beta.exp()
        return x + (alpha[:, None] * x).sin() ** 2 / (beta[:, None] + NOT_ZERO)
