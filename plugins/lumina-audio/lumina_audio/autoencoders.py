"""Opens the autoencoder of sounds in a folder; the kinds that spectrograms go through.

- AutoencoderKL of diffusers with one channel of pixels: the demo's, and AudioLDM's. The latter are
  fed with natural logarithms of 64 mel bands as they are (modality.mel_range=[-1,1]), a row per 160
  samples at 16 kHz, the bands as columns: diffusers (0.42) hands what they decode to a vocoder of
  such spectrograms, deprecated/audioldm/pipeline_audioldm.py.
- MelAutoencoder1D: the 1-D VAE of the released audio models, which takes natural logarithms too.

Those of waveforms stand in waveform_autoencoders.py.
"""

from pathlib import Path

from lumina_core import FramewiseAutoencoder, LuminaError
from lumina_core.autoencoder.networks import Autoencoder, open_autoencoder, read_config, shown

SOUNDS = "sounds"  # the medium, as the hook names it
SIZES = {"in_channels": 3, "out_channels": 3}  # where a config.json of diffusers names none


def open_sound_autoencoder(folder: Path) -> Autoencoder:
    """The autoencoder of a folder, of spectrograms or of waveforms; reads no weights.

    Raises:
        LuminaError: there is none, or it is none of sounds.
    """
    found: Autoencoder = open_autoencoder(folder, SOUNDS, "audio")
    return found


class SpectrogramAutoencoder(FramewiseAutoencoder):
    """AutoencoderKL of diffusers with one channel of pixels: a spectrogram is a grey picture."""

    num_mels = None  # any number that fills whole cells

    def __init__(self, folder: Path) -> None:
        """Read config.json, and no weights yet.

        Raises:
            LuminaError: it describes an autoencoder of colours.
        """
        super().__init__(folder)
        config = {**SIZES, **read_config(folder)}
        for key in SIZES:
            if config[key] != 1:
                raise LuminaError(
                    f"the autoencoder in {folder} is not one of spectrograms: {key} is "
                    f"{shown(config[key])}, not 1; give modality.vae=FOLDER of another"
                )

    @property
    def strides(self) -> tuple[int, int]:
        """Rows (hops) and columns (mel bands) of the spectrogram per latent cell."""
        return self.stride, self.stride
