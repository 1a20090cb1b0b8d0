"""The kinds of autoencoder that spectrograms go through, behind one interface.

- AutoencoderKL of diffusers with one channel of pixels: the demo's, and AudioLDM's. The latter are
  fed with natural logarithms of 64 mel bands as they are (modality.mel_range=[-1,1]), a row per 160
  samples at 16 kHz, the bands as columns: diffusers (0.42) hands what they decode to a vocoder of
  such spectrograms, deprecated/audioldm/pipeline_audioldm.py.
- MelAutoencoder1D: the 1-D VAE of the released audio models, which takes natural logarithms too.
"""

from pathlib import Path

from lumina_audio.mel_autoencoder import MelAutoencoder
from lumina_core import FramewiseAutoencoder, LuminaError, nearest
from lumina_core.autoencoder.networks import read_config, shown

SIZES = {"in_channels": 3, "out_channels": 3}  # where a config.json of diffusers names none


class SpectrogramAutoencoder(FramewiseAutoencoder):
    """AutoencoderKL of diffusers with one channel of pixels: a spectrogram is a grey picture."""

    num_mels = None  # any number that fills whole cells

    @property
    def strides(self) -> tuple[int, int]:
        """Rows (hops) and columns (mel bands) of the spectrogram per latent cell."""
        return self.stride, self.stride


AnyAutoencoder = SpectrogramAutoencoder | MelAutoencoder


def open_autoencoder(folder: Path) -> AnyAutoencoder:
    """The autoencoder of a folder, of the kind that its config.json names; reads no weights.

    Raises:
        LuminaError: there is none, or it is of a kind that spectrograms cannot go through.
    """
    kinds = {found.kind: found for found in (SpectrogramAutoencoder, MelAutoencoder)}
    config = {"_class_name": SpectrogramAutoencoder.kind, **SIZES, **read_config(folder)}
    kind = config["_class_name"]
    if not isinstance(kind, str) or kind not in kinds:
        raise LuminaError(
            f"the autoencoder in {folder} is of kind {shown(kind)}; spectrograms take "
            f"{', '.join(kinds)}; give modality.vae=FOLDER of one of these."
            f"{nearest(str(kind), list(kinds))}"
        )
    for key in SIZES if kind == SpectrogramAutoencoder.kind else ():
        if config[key] != 1:
            raise LuminaError(
                f"the autoencoder in {folder} is not one of spectrograms: {key} is "
                f"{shown(config[key])}, not 1; give modality.vae=FOLDER of another"
            )
    return kinds[kind](folder)
