"""The VAE of sounds whose samples an autoencoder takes as they are."""

from jaxtyping import Float
from torch import Tensor

from lumina_audio.options import MONO, AudioOptions
from lumina_audio.samples import Samples, Sound, floats
from lumina_audio.sound_vae import SoundVAE
from lumina_core import LuminaError

OF_SPECTROGRAMS = ("n_fft", "hop_length", "num_mels", "mel_scale", "mel_range", "vocoder")
"""Options that do nothing here."""


class WaveformVAE(SoundVAE):
    """Sound <-> latent (channels, 1, 1, time)."""

    time_dim = 3

    @property
    def samples_per_cell(self) -> int:
        """As in SoundVAE."""
        return int(self.autoencoder.stride)

    def check(self, options: AudioOptions) -> None:
        """As in SoundVAE: its rate or channels differ, or an option does nothing here."""
        for key, wanted in (
            ("sample_rate", self.autoencoder.sample_rate),
            ("channels", self.autoencoder.sides),
        ):
            if (found := getattr(options, key)) != wanted:
                raise LuminaError(
                    f"modality.{key}={found}, and the autoencoder in {self.folder} has {wanted}; "
                    f"set modality.{key}={wanted}"
                )
        if options.patch[0] != 1:
            raise LuminaError(
                f"modality.patch={list(options.patch)}, but a latent of waveforms has one row; set "
                f"modality.patch=[1,{options.patch[1]}]"
            )
        usual = AudioOptions()
        for key in OF_SPECTROGRAMS:
            if getattr(options, key) != getattr(usual, key):
                raise LuminaError(
                    f"modality.{key} is for spectrograms, and the autoencoder in {self.folder} is "
                    "one of waveforms; leave it out"
                )

    def sizes(self, cells: int) -> tuple[int, int]:
        """As in SoundVAE."""
        self.check(self._options)
        return 1, cells

    def seen(self, media: Sound) -> Float[Tensor, "side sample"]:
        """As in SoundVAE."""
        return floats(media).reshape(-1, media.shape[-1])

    def heard(self, made: Tensor, options: AudioOptions) -> Samples:
        """As in SoundVAE."""
        return made[0] if options.channels == MONO else made
