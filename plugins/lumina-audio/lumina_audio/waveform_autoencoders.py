"""The kinds of autoencoder that samples go through as they are: no spectrogram, no vocoder.

A latent is one row of columns, (channels, 1, 1, time). Long sounds go through in pieces that
overlap by as much as a place of the result sees of its neighbours, so that memory grows with the
length alone and nothing but rounding tells the pieces.

Source: diffusers 0.42, autoencoder_oobleck.py, autoencoder_same.py and
autoencoder_longcat_audio_dit.py.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from itertools import accumulate, pairwise
from math import ceil, prod
from operator import mul
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from lumina_audio.options import MONO, SAMPLE_RATES, STEREO
from lumina_core.autoencoder.networks import (
    MAX_LEVELS,
    MAX_NUMBER,
    Autoencoder,
    are_widths,
    is_count,
    is_number,
    statistic_faults,
)

PIECE = 256  # columns of a latent that are made at once; 12 s of Stable Audio, 24 s of SAME
DILATIONS = (1, 3, 9)  # of the units between two strides of Oobleck
KERNEL_REACH = 3  # on each side, of its kernels of 7

Config = dict[str, Any]
Faults = Iterator[tuple[str, str]]
Samples = Float[Tensor, "channel sample"]
Latent = Float[Tensor, "latent 1 1 column"]


class WaveformAutoencoder(Autoencoder):
    """Samples in [-1, 1] <-> latents of one row, normalised per channel."""

    needed = frozenset()  # diffusers has a default for each key
    rate_key: ClassVar[str] = "sampling_rate"
    channels_key: ClassVar[str] = "latent_dim"
    sides_key: ClassVar[str] = "audio_channels"

    def faults(self, config: Config) -> Faults:
        """As in Autoencoder."""
        low, high = SAMPLE_RATES
        rate = config[self.rate_key]
        if not is_count(rate) or not low <= rate <= high:
            yield self.rate_key, f"a whole number from {low} to {high}"
        if config[self.sides_key] not in (MONO, STEREO):
            yield self.sides_key, f"{MONO} or {STEREO}"
        yield from statistic_faults(config, self.channels_key)

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return int(self.config[self.rate_key])

    @property
    def sides(self) -> int:
        """Channels of the sound."""
        return int(self.config[self.sides_key])

    @property
    def channels(self) -> int:
        """As in Autoencoder."""
        return int(self.config[self.channels_key])

    @property
    @abstractmethod
    def stride(self) -> int:
        """Samples per column."""

    @property
    @abstractmethod
    def reach(self) -> int:
        """Columns on each side that a column sees, at most."""

    @abstractmethod
    def encoded(self, samples: Float[Tensor, "1 channel sample"]) -> Tensor:
        """What the model makes of samples, as it calls a latent: (1, latent, column)."""

    @torch.no_grad()
    def encode(self, samples: Samples) -> Latent:
        """The mean of the posterior, normalised.

        Args:
            samples: a multiple of `stride`.
        """
        mean, std = self.statistics()
        made = self._in_pieces(self.encoded, samples, self.stride, 1)
        return ((made - mean[:, None]) / std[:, None])[:, None, None]

    @torch.no_grad()
    def decode(self, latent: Latent) -> Samples:
        """Samples of a latent; inverse of `encode` up to its loss. They may exceed [-1, 1]."""
        mean, std = self.statistics()
        columns = latent[:, 0, 0].to(self._device) * std[:, None] + mean[:, None]
        return self._in_pieces(lambda x: self.model().decode(x).sample, columns, 1, self.stride)

    def _in_pieces(
        self, call: Callable[[Tensor], Tensor], whole: Tensor, step: int, made_step: int
    ) -> Tensor:
        """What a call makes of a whole, piece by piece along its last axis.

        Args:
            call: takes and gives one sample of a batch.
            whole: (channel, place).
            step: places of it per column.
            made_step: those of the result.
        """
        count, pieces = whole.shape[-1] // step, []
        for start in range(0, count, PIECE):
            end = min(start + PIECE, count)
            low, high = max(start - self.reach, 0), min(end + self.reach, count)
            made = call(whole[None, :, low * step : high * step].to(self._device))[0]
            pieces.append(made[:, (start - low) * made_step : (end - low) * made_step])
        return torch.cat(pieces, dim=1)


class OobleckAutoencoder(WaveformAutoencoder):
    """AutoencoderOobleck: of Stable Audio Open, and of ACE-Step 1.5."""

    kind = "AutoencoderOobleck"
    channels_key = "decoder_input_channels"
    defaults: ClassVar[dict[str, Any]] = {
        "encoder_hidden_size": 128,
        "downsampling_ratios": [2, 4, 4, 8, 8],
        "channel_multiples": [1, 2, 4, 8, 16],
        "decoder_input_channels": 64,
        "audio_channels": STEREO,
        "sampling_rate": 44_100,
        "scaling_factor": 1.0,
        "shift_factor": None,
    }

    def faults(self, config: Config) -> Faults:
        """As in Autoencoder."""
        yield from super().faults(config)
        ratios, widths = config["downsampling_ratios"], config["channel_multiples"]
        if not are_widths(ratios) or any(ratio % 2 for ratio in ratios):
            yield "downsampling_ratios", f"a list of 1 to {MAX_LEVELS} even numbers"
        if not are_widths(widths) or len(widths) != len(ratios):
            yield "channel_multiples", f"a list of {len(ratios)} whole numbers"
        if config["encoder_hidden_size"] != 2 * config[self.channels_key]:
            yield "encoder_hidden_size", f"twice the {config[self.channels_key]} latent channels"

    @property
    def ratios(self) -> list[int]:
        """By which each level of the encoder makes a sound shorter."""
        return list(self.config["downsampling_ratios"])

    @property
    def stride(self) -> int:
        """As in WaveformAutoencoder."""
        return prod(self.ratios)

    @property
    def reach(self) -> int:
        """As in WaveformAutoencoder, from the kernels on the way to either side."""
        return max(_reach_of_encoder(self.ratios), _reach_of_decoder(self.ratios))

    def encoded(self, samples: Float[Tensor, "1 channel sample"]) -> Tensor:
        """As in WaveformAutoencoder."""
        found: Tensor = self.model().encode(samples).latent_dist.mode()
        return found


class LongCatAutoencoder(OobleckAutoencoder):
    """LongCatAudioDiTVae: Oobleck with short cuts around its levels, which reach no farther."""

    kind = "LongCatAudioDiTVae"
    rate_key, channels_key, sides_key = "sample_rate", "latent_dim", "in_channels"
    defaults: ClassVar[dict[str, Any]] = {
        "in_channels": MONO,
        "c_mults": None,
        "strides": None,
        "latent_dim": 64,
        "encoder_latent_dim": 128,
        "downsampling_ratio": 2048,
        "sample_rate": 24_000,
        "scale": 0.71,
        "scaling_factor": 1.0,
        "shift_factor": None,
    }

    def faults(self, config: Config) -> Faults:
        """As in Autoencoder."""
        yield from WaveformAutoencoder.faults(self, config)
        for key in ("c_mults", "strides"):
            if config[key] is not None and not are_widths(config[key]):
                yield key, f"a list of 1 to {MAX_LEVELS} whole numbers"
        ratios = _ratios_of_longcat(config)
        if any(ratio % 2 for ratio in ratios):
            yield "strides", "a list of even numbers"
        if config["downsampling_ratio"] != prod(ratios):
            yield "downsampling_ratio", f"{prod(ratios)}, the product of its strides"
        if not is_number(config["scale"], 1 / MAX_NUMBER):
            yield "scale", "a number above 0"
        if config["encoder_latent_dim"] != 2 * config["latent_dim"]:
            yield "encoder_latent_dim", f"twice the {config['latent_dim']} latent channels"

    @property
    def ratios(self) -> list[int]:
        """As in OobleckAutoencoder."""
        return _ratios_of_longcat(self.config)

    def encoded(self, samples: Float[Tensor, "1 channel sample"]) -> Tensor:
        """As in WaveformAutoencoder."""
        found: Tensor = self.model().encode(samples, sample_posterior=False).latents
        return found


class SameAutoencoder(WaveformAutoencoder):
    """AutoencoderSAME: of Stable Audio 3."""

    kind = "AutoencoderSAME"
    defaults: ClassVar[dict[str, Any]] = {
        "audio_channels": STEREO,
        "patch_size": 256,
        "encoder_strides": [16],
        "encoder_transformer_depths": [6],
        "latent_dim": 256,
        "sliding_window": 1,
        "sampling_rate": 44_100,
        "scaling_factor": 1.0,
        "shift_factor": None,
    }

    def faults(self, config: Config) -> Faults:
        """As in Autoencoder."""
        yield from super().faults(config)
        for key in ("patch_size", "sliding_window"):
            if not is_count(config[key]):
                yield key, "a whole number above 0"
        strides, depths = config["encoder_strides"], config["encoder_transformer_depths"]
        if not are_widths(strides):
            yield "encoder_strides", f"a list of 1 to {MAX_LEVELS} whole numbers"
        if not are_widths(depths) or len(depths) != len(strides):
            yield "encoder_transformer_depths", f"a list of {len(strides)} whole numbers"

    @property
    def stride(self) -> int:
        """As in WaveformAutoencoder."""
        return int(self.config["patch_size"]) * prod(self.config["encoder_strides"])

    @property
    def reach(self) -> int:
        """As in WaveformAutoencoder: each layer sees so many columns of its own level, or fewer."""
        return sum(self.config["encoder_transformer_depths"]) * int(self.config["sliding_window"])

    def encoded(self, samples: Float[Tensor, "1 channel sample"]) -> Tensor:
        """As in WaveformAutoencoder."""
        found: Tensor = self.model().encode(samples).latents
        return found


def _ratios_of_longcat(config: Config) -> list[int]:
    """A stride per level: the last one again where they are too few."""
    count = len(config["c_mults"] or range(5))
    strides = config["strides"] or [2]
    return [strides[min(level, len(strides) - 1)] for level in range(count)]


def _reach_of_encoder(ratios: list[int]) -> int:
    """Columns on each side that a column of an encoder of Oobleck sees."""
    units = KERNEL_REACH * sum(DILATIONS)
    strides = list(accumulate([1, *ratios], mul))  # samples per place before each level
    levels = zip(strides, ratios, strict=False)
    samples = KERNEL_REACH + sum(stride * (units + ratio) for stride, ratio in levels) + strides[-1]
    return ceil(samples / strides[-1])


def _reach_of_decoder(ratios: list[int]) -> int:
    """Columns on each side that a sample of a decoder of Oobleck sees."""
    units = KERNEL_REACH * sum(DILATIONS)
    places = list(accumulate([1, *reversed(ratios)], mul))  # per column at each level
    levels = sum(1 / before + units / after for before, after in pairwise(places))
    return ceil(KERNEL_REACH + levels + KERNEL_REACH / places[-1])
