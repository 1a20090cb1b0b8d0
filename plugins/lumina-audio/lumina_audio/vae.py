"""The VAE of sounds: samples to a log-mel spectrogram to its latent, and back by a vocoder."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from lumina_audio.mel import log_mel
from lumina_audio.neural_vocoder import Vocoder
from lumina_audio.options import MONO, AudioOptions
from lumina_audio.samples import Samples, Sound, floats
from lumina_audio.sound_vae import SoundVAE
from lumina_audio.vocoders import open_vocoder
from lumina_core import LuminaError

Spectrogram = Float[Tensor, "1 1 time mel"]


class AudioVAE(SoundVAE):
    """Sound <-> latent (channels, 1, time, frequency)."""

    time_dim = 2

    def __init__(self, folder: Path, options: AudioOptions) -> None:
        super().__init__(folder, options)
        self._vocoders: dict[str, Vocoder] = {}

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
        """As in VAE."""
        super().to(device)
        for vocoder in self._vocoders.values():
            vocoder.to(device)
        return self

    @property
    def samples_per_cell(self) -> int:
        """As in SoundVAE: a row has so many hops."""
        return self.autoencoder.strides[0] * self._options.hop_length

    def sizes(self, cells: int) -> tuple[int, int]:
        """As in SoundVAE: a sound is mono, and its mel bands fill whole tokens."""
        if self._options.channels != MONO:
            raise LuminaError(
                f"modality.channels={self._options.channels}, and spectrograms are those of mono "
                "sounds; set modality.channels=1, or modality.vae to an autoencoder of waveforms"
            )
        self._check_bands()
        return cells, self._options.num_mels // self.autoencoder.strides[1]

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
        samples = floats(media)
        samples = pad(samples, (0, -len(samples) % self._options.hop_length))
        low, high = self._options.mel_range
        mel = log_mel(samples, self._options.front_end)
        return ((mel - low) / (high - low) * 2 - 1)[None, None]

    def seen(self, media: Sound) -> Spectrogram:
        """As in SoundVAE."""
        return self.pixels(media)

    def check(self, options: AudioOptions) -> None:
        """As in SoundVAE: a vocoder that is missing, or is none of these spectrograms."""
        self.vocoder(options.vocoder)

    def heard(self, made: Spectrogram, options: AudioOptions) -> Samples:
        """As in SoundVAE, by the vocoder of the options."""
        low, high = self._options.mel_range
        mel = (made[0, 0] + 1) / 2 * (high - low) + low
        return self.vocoder(options.vocoder)(mel)
