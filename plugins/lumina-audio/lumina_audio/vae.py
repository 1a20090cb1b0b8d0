"""The VAE of sounds: samples to a log-mel spectrogram to its latent, and back by a vocoder."""

import logging
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int16
from torch import Tensor
from torch.nn.functional import pad

from lumina_audio.mel import log_mel
from lumina_audio.neural_vocoder import Vocoder
from lumina_audio.options import AudioOptions
from lumina_audio.vocoders import open_vocoder
from lumina_core import VAE, LuminaError
from lumina_core.autoencoder.networks import open_autoencoder

FULL_SCALE = 32_767  # of a sample in a file of 16 bits

Sound = Int16[Tensor, "sample"]
Spectrogram = Float[Tensor, "1 1 time mel"]
Latent = Float[Tensor, "channel 1 row column"]

_log = logging.getLogger(__name__)


class AudioVAE(VAE):
    """Sound <-> latent (channels, 1, time, frequency); a duration is rounded up to whole tokens."""

    def __init__(self, folder: Path, options: AudioOptions) -> None:
        """Read nothing yet.

        Args:
            folder: of the autoencoder.
            options: of them, what a checkpoint fixes, and the vocoder.
        """
        self.folder = folder
        self._options = options
        self._device = torch.device("cpu")
        self._vocoders: dict[str, Vocoder] = {}

    @cached_property
    def autoencoder(self) -> Any:
        """What its folder holds; the weights are read when they are used."""
        autoencoder = open_autoencoder(self.folder, "spectrograms", "audio")
        autoencoder.to(self._device)
        return autoencoder

    def vocoder(self, name: str) -> Vocoder:
        """A vocoder by name, kept once it is open.

        Raises:
            LuminaError: there is none of that name, or it is none of these spectrograms.
        """
        if name not in self._vocoders:
            opened = open_vocoder(name, self._options.front_end)
            self._vocoders[name] = opened.to(self._device)
        return self._vocoders[name]

    def to(self, device: torch.device) -> "AudioVAE":
        """Use this device from now on."""
        self._device = device
        if "autoencoder" in vars(self):
            self.autoencoder.to(device)
        for vocoder in self._vocoders.values():
            vocoder.to(device)
        return self

    @property
    def samples_per_row(self) -> int:
        """Samples along a row of the latent."""
        return self.autoencoder.strides[0] * self._options.hop_length

    @property
    def samples_per_token(self) -> int:
        """Samples along a token."""
        return self.samples_per_row * self._options.patch[0]

    def latent_shape(self, media_shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        """Shape of the latent of a sound; its duration is rounded up.

        Raises:
            LuminaError: the mel bands fill no whole tokens; names the nearest numbers that do.
        """
        (num_samples,) = media_shape
        self._check_bands()
        rows = -(-num_samples // self.samples_per_token) * self._options.patch[0]
        columns = self._options.num_mels // self.autoencoder.strides[1]
        return self.autoencoder.channels, 1, rows, columns

    def _check_bands(self) -> None:
        bands, (height, width) = self._options.num_mels, self._options.patch
        wanted, stride = self.autoencoder.num_mels, self.autoencoder.strides[1]
        if wanted not in (None, bands):
            raise LuminaError(
                f"modality.num_mels={bands}, but the autoencoder in {self.folder} takes {wanted} "
                f"mel bands; set modality.num_mels={wanted}"
            )
        columns, rest = divmod(bands, stride)
        if not rest and columns % width == 0:
            return
        unit = stride * width
        below = max(bands // unit, 1) * unit
        choices = [f"{below} or {below + unit}"] * (wanted is None)
        if not rest:
            legal = max(size for size in range(1, width) if columns % size == 0)
            choices.append(f"modality.patch=[{height},{legal}]")
        raise LuminaError(
            f"modality.num_mels={bands} is not divisible by {unit}, the bands of a token; use "
            f"{', or '.join(choices)}"
        )

    def pixels(self, media: Sound) -> Spectrogram:
        """The spectrogram as the autoencoder sees it: about [-1, 1] over the mel_range."""
        samples = media.float() / FULL_SCALE
        samples = pad(samples, (0, -len(samples) % self._options.hop_length))
        low, high = self._options.mel_range
        mel = log_mel(samples, self._options.front_end)
        return ((mel - low) / (high - low) * 2 - 1)[None, None]

    def encode(self, media: Sound) -> Latent:
        """The latent of a sound and of the silence that fills its last token."""
        missing = -len(media) % self.samples_per_token
        return self.autoencoder.encode(self.pixels(pad(media, (0, missing))))

    def decode(
        self, latent: Latent, vocoder: str | None = None, num_samples: int | None = None
    ) -> Sound:
        """The sound of a latent; made softer, and a warning logged, where it would be cut off.

        Args:
            latent: of `encode`.
            vocoder: its name; None: that of the options.
            num_samples: how many are kept; None: all.
        """
        low, high = self._options.mel_range
        pixels = self.autoencoder.decode(latent)[0, 0]
        mel = (pixels + 1) / 2 * (high - low) + low
        samples = self.vocoder(vocoder or self._options.vocoder)(mel)[:num_samples].cpu()
        peak = float(samples.abs().max())
        if peak > 1:
            _log.warning("the sound is made %.3g times softer, so that nothing is cut off", peak)
            samples = samples / peak
        return (samples * FULL_SCALE).round().to(torch.int16)
