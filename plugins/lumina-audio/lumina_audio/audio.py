"""Sounds: the parts that the audio modality registers.

A sound is an int16 tensor (sample,), mono, at the sample rate of the options. The rows of its
tokens are time, counted in seconds from its beginning, so that what lasts a second does so in a
clip of any length; the columns are pitch, which is not relative: the same for every sound.
"""

from pathlib import Path

from jaxtyping import Int16
from torch import Tensor

from lumina_audio.audio_files import AudioDecoder
from lumina_audio.given_sound import known_rows, place
from lumina_audio.options import AudioCondition, AudioOptions
from lumina_audio.vae import AudioVAE, Latent, Sound
from lumina_audio.world import AudioWorld
from lumina_core import Given, LuminaError, Modality, PatchTokenizer, SizeLimits

UNITS_PER_SECOND = 8.0  # about one per token of the demo, as a picture has
EXTENT = 8.0  # all bands together
FROM_START = (0.5, 0.0, 0.5)  # where zero is: time begins there, the middle band has it


class AudioModality(Modality):
    """The audio modality: its options and its parts."""

    def __init__(self, options: AudioOptions, vae_folder: Path) -> None:
        super().__init__(options)
        self.vae = AudioVAE(vae_folder, options)
        self.decoder = AudioDecoder(options.sample_rate)
        self.world = AudioWorld()

    @property
    def tokenizer(self) -> PatchTokenizer:
        """Patches of time and frequency of one frame."""
        return PatchTokenizer(
            self.vae.autoencoder.channels, (1, *self.options.patch), self._step, origin=FROM_START
        )

    def _step(self, frames: int, rows: int, columns: int) -> tuple[float, float, float]:
        seconds = self.vae.samples_per_token / self.options.sample_rate
        return 0.0, UNITS_PER_SECOND * seconds, EXTENT / columns

    def media_shape(self, options: AudioOptions) -> tuple[int, ...]:
        """Shape of the sound that `options` ask for.

        Raises:
            LuminaError: their vocoder is missing, or is none of these spectrograms.
        """
        self.vae.vocoder(options.vocoder)
        return (options.num_samples,)

    def decode(self, latent: Latent, options: AudioOptions) -> Sound:
        """The duration that was asked for, by the vocoder that was asked for."""
        return self.vae.decode(latent, options.vocoder, options.num_samples)

    def condition(self, wanted: AudioCondition, options: AudioOptions) -> Given:
        """The given part of a sound, and which cells of the latent it fixes.

        Raises:
            LuminaError: a file that cannot be read, or that does not fit what is to be made.
        """
        sound, known = place(wanted, options, self.decoder.read_beginning)
        _, frames, rows, columns = self.vae.latent_shape(tuple(sound.shape))
        given = known_rows(known, rows, self.vae.samples_per_row)
        return Given(sound, given[None, :, None].expand(frames, rows, columns).clone())

    def read(self, path: Path, options: AudioOptions) -> Sound:
        """The beginning of a file, at most as long as the options say.

        Raises:
            LuminaError: the file is missing, broken or no sound.
        """
        return self.decoder.read_beginning(path, options.num_samples)

    def fit(self, media: Sound, limits: SizeLimits) -> Int16[Tensor, "kept"]:
        """A sound within the limits of a run; what is too long is cut after a whole token.

        Raises:
            LuminaError: it is too short, or not one row of its tokens fits.
        """
        _, _, height, width = self.vae.latent_shape(tuple(media.shape))
        rows, columns = height // self.options.patch[0], width // self.options.patch[1]
        if rows * columns < limits.min_tokens:
            seconds = len(media) / self.options.sample_rate
            raise LuminaError(
                f"it is too short: {seconds:.3g} s hold {rows * columns} tokens, fewer than "
                f"min_tokens={limits.min_tokens}"
            )
        if columns > limits.max_tokens:
            raise LuminaError(
                f"a row of its tokens is {columns}, more than max_tokens={limits.max_tokens}"
            )
        return media[: limits.max_tokens // columns * self.vae.samples_per_token]
