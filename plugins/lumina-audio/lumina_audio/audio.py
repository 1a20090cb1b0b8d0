"""Sounds: the parts that the audio modality registers.

A sound is a tensor as samples.py says, at the sample rate of the options. The rows of its tokens
are time, counted in seconds from its beginning, so that what lasts a second does so in a clip of
any length; the columns are pitch, which is not relative: the same for every sound. Latents of
waveforms have one row, whose columns are time.
"""

from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from lumina_audio.audio_files import AudioDecoder
from lumina_audio.autoencoders import open_sound_autoencoder
from lumina_audio.given_sound import known_cells, place
from lumina_audio.options import AudioCondition, AudioOptions
from lumina_audio.samples import Sound
from lumina_audio.sound_vae import Latent, SoundVAE
from lumina_audio.vae import AudioVAE
from lumina_audio.waveform_autoencoders import WaveformAutoencoder
from lumina_audio.waveform_vae import WaveformVAE
from lumina_audio.world import AudioWorld
from lumina_core import Given, Grid, LuminaError, Modality, PatchTokenizer, SizeLimits

UNITS_PER_SECOND = 8.0  # about one per token of the demo, as a picture has
EXTENT = 8.0  # all bands together
FROM_START = (0.5, 0.0, 0.5)  # where zero is: time begins there, the middle band has it
FROM_START_OF_ROW = (0.5, 0.5, 0.0)
LONG_SECONDS = 32.0  # where the feature of the duration is 1; a power of two, which rounds nothing


class AudioModality(Modality):
    """The audio modality: its options and its parts."""

    def __init__(self, options: AudioOptions, vae_folder: Path) -> None:
        super().__init__(options)
        self._vae_folder = vae_folder
        self.decoder = AudioDecoder(options.sample_rate, options.channels, options.sample_format)
        self.world = AudioWorld()

    @cached_property
    def vae(self) -> SoundVAE:
        """By what the folder of the autoencoder says; one of spectrograms where it is empty yet."""
        is_there = (self._vae_folder / "config.json").is_file()
        found = open_sound_autoencoder(self._vae_folder) if is_there else None
        made_by = WaveformVAE if isinstance(found, WaveformAutoencoder) else AudioVAE
        return made_by(self._vae_folder, self.options)

    @property
    def feature_dim(self) -> int:
        """The duration, which positions of waveforms do not tell, is one of theirs."""
        return 1 if isinstance(self.vae, WaveformVAE) else 0

    @property
    def tokenizer(self) -> PatchTokenizer:
        """Patches of time and frequency of one frame, or of time alone."""
        is_row = isinstance(self.vae, WaveformVAE)
        origin = FROM_START_OF_ROW if is_row else FROM_START
        patch = (1, *self.options.patch)
        return PatchTokenizer(self.vae.autoencoder.channels, patch, self._step, origin=origin)

    def _step(self, frames: int, rows: int, columns: int) -> tuple[float, float, float]:
        units = UNITS_PER_SECOND * self.vae.samples_per_token / self.options.sample_rate
        is_row = isinstance(self.vae, WaveformVAE)
        return (0.0, 0.0, units) if is_row else (0.0, units, EXTENT / columns)

    def media_shape(self, options: AudioOptions) -> tuple[int, ...]:
        """Shape of the sound that `options` ask for.

        Raises:
            LuminaError: their autoencoder or vocoder does not make such sounds.
        """
        self.vae.check(options)
        return options.shape

    def decode(self, latent: Latent, options: AudioOptions) -> Sound:
        """The duration that was asked for, by the vocoder that was asked for."""
        return self.vae.decode(latent, options)

    def features(self, options: AudioOptions, grid: Grid) -> Float[Tensor, "frame 1"] | None:
        """The duration that was asked for, for latents of waveforms."""
        if not self.feature_dim:
            return None
        return torch.full((grid.frames, 1), options.seconds / LONG_SECONDS)

    def described(self, path: Path, media: Sound, options: AudioOptions) -> AudioOptions:
        """With the duration of the sound, where that is a feature."""
        if not self.feature_dim:
            return options
        return replace(options, seconds=media.shape[-1] / options.sample_rate)

    def condition(self, wanted: AudioCondition, options: AudioOptions) -> Given:
        """The given part of a sound, and which cells of the latent it fixes.

        Raises:
            LuminaError: a file that cannot be read, or that does not fit what is to be made.
        """
        sound, known = place(wanted, options, self.decoder.read_beginning)
        shape = self.vae.latent_shape(tuple(sound.shape))
        dim = self.vae.time_dim - 1  # without channels
        given = known_cells(known, shape[1 + dim], self.vae.samples_per_cell)
        along = [len(given) if axis == dim else 1 for axis in range(3)]
        return Given(sound, given.reshape(along).expand(shape[1:]).clone())

    def read(self, path: Path, options: AudioOptions) -> Sound:
        """The beginning of a file, at most as long as the options say.

        Raises:
            LuminaError: the file is missing, broken or no sound.
        """
        return self.decoder.read_beginning(path, options.num_samples)

    def fit(self, media: Sound, limits: SizeLimits) -> Shaped[Tensor, "*channel kept"]:
        """A sound within the limits of a run; what is too long is cut after a whole token.

        Raises:
            LuminaError: it is too short, or not one row of its tokens fits.
        """
        _, _, height, width = self.vae.latent_shape(tuple(media.shape))
        rows, columns = height // self.options.patch[0], width // self.options.patch[1]
        if rows * columns < limits.min_tokens:
            seconds = media.shape[-1] / self.options.sample_rate
            raise LuminaError(
                f"it is too short: {seconds:.3g} s hold {rows * columns} tokens, fewer than "
                f"min_tokens={limits.min_tokens}"
            )
        at_once = 1 if isinstance(self.vae, WaveformVAE) else columns
        if at_once > limits.max_tokens:
            raise LuminaError(
                f"a row of its tokens is {at_once}, more than max_tokens={limits.max_tokens}"
            )
        return media[..., : limits.max_tokens // at_once * self.vae.samples_per_token]
